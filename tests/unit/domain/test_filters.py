"""Filters: what each makes of any JSON value, spelled as JSON does, on decimals, with zones, and with missing keys."""

import re
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.language.filters import EXAMPLE, FILTERS
from domain.language.filters.filter import FilterError
from domain.language.spelling import spelled
from domain.language.template import TemplateError, render
from domain.values.json import Json

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
VALUES: list[Json] = [None, True, False, 0, -3, 2.5, 10**30, "", "text", "7", [], [1, None, True, "a"], {}, {"a": None}]
PYTHON = re.compile(r"\bTrue\b|\bFalse\b|\bNone\b|\{'|\['|inf\b|nan\b|Undefined|Decimal")


def made(template: str, **body: Any) -> Any:
    return render(template, {"trigger": {"body": body}}, NOW)


@pytest.mark.parametrize("name", FILTERS)
def test_the_example_gives_what_it_says_and_uses_the_filter(name: str) -> None:
    filter_ = FILTERS[name]
    assert spelled(render(filter_.example, EXAMPLE, NOW)) == filter_.result
    assert re.search(rf"\| {name}\b", filter_.example)
    assert filter_.doc.endswith(".")


def what_it_says(template: str, **body: Any) -> str:
    try:
        return spelled(made(template, **body))
    except TemplateError as error:
        return error.message


@pytest.mark.parametrize("name", FILTERS)
def test_no_filter_spells_values_as_python_does(name: str) -> None:
    for count in [n for n in range(4) if FILTERS[name].misuse(n, []) is None]:
        given = ": " + ", ".join(["trigger.body.y"] * count) if count else ""
        template = f"{{{{ trigger.body.x | {name}{given} }}}}!"
        for value in VALUES:
            for argument in VALUES if count else [None]:
                text = what_it_says(template, x=value, y=argument)
                assert not PYTHON.search(text) or name == "capitalize", (value, argument, text)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ 'a' | append: true }}", "atrue"),
        ("{{ 'a' | append: nil }}", "a"),
        ("{{ 'a' | prepend: trigger.body.o }}", '{"k":[1,null]}a'),
        ("{{ trigger.body.o | url_encode }}", "%7B%22k%22%3A%5B1%2Cnull%5D%7D"),
        ("{{ trigger.body.l | join: ' ' }}", 'true  1.5 {"k":1} a'),
        ("{{ true | upcase }}", "TRUE"),
        ("{{ trigger.body.o | escape }}", "{&quot;k&quot;:[1,null]}"),
        ("{{ trigger.body.o | replace: nil, 'x' | size }}", "29"),
        ("{% assign x = trigger.body.l %}{{ x }}", '[true,null,1.5,{"k":1},"a"]'),
        ("{% cycle true, nil %}", "true"),
        ("{% echo trigger.body.o %}", '{"k":[1,null]}'),
        ("{% capture x %}{{ trigger.body.l }}{% endcapture %}{{ x | size }}", "27"),
        ("{% if trigger.body.t contains trigger.body.o.k %}yes{% endif %}", "yes"),
        ("{% for pair in trigger.body.o %}{{ pair }}{% endfor %}", '["k",[1,null]]'),
        (
            "{% tablerow i in trigger.body.l limit: 1 %}{{ i }}{% endtablerow %}",
            '<tr class="row1">\n<td class="col1">true</td></tr>\n',
        ),
    ],
)
def test_tags_and_filters_write_json(template: str, text: str) -> None:
    assert made(template, o={"k": [1, None]}, l=[True, None, 1.5, {"k": 1}, "a"], t="so [1,null] it is") == text


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("2.5 | round", "3"),
        ("-2.5 | round", "-3"),
        ("0.125 | round: 2", "0.13"),
        ("2.675 | round: 2", "2.68"),
        ("1.005 | round: 2", "1.01"),
        ("'2.675' | round: 2", "2.68"),
        ("1234 | round: -2", "1200"),
        ("3 | round: 2", "3"),
        ("'1e300' | round: 2", "1e300"),
        ("0.1 | plus: 0.2", "0.3"),
        ("'0.1' | plus: '0.2'", "0.3"),
        ("1.1 | times: 1.1", "1.21"),
        ("0.3 | minus: 0.1", "0.2"),
        ("1.0 | divided_by: 3", "0.3333333333333333"),
        ("7 | divided_by: 2", "3"),
        ("-7 | divided_by: 2", "-4"),
        ("5.5 | modulo: 2", "1.5"),
        ("-5.5 | modulo: 2", "0.5"),
        ("-1.2 | ceil", "-1"),
        ("-1.2 | floor", "-2"),
        ("true | plus: 1", "1"),
        ("nil | plus: 1", "1"),
        ("'text' | plus: 1", "1"),
        ("'3abc' | plus: 1", "4"),
        ("' -7 days' | abs", "7"),
        ("'+5 EUR' | times: 2", "10"),
        ("'12,5' | plus: 1", "13"),
        ("'2.9x' | ceil", "2"),
        (f"'{'9' * 401}' | plus: 1", "1"),
        ("'a,b,,' | split: ',' | size", "2"),
        ("',,' | split: ',' | size", "0"),
        ("',a' | split: ',' | size", "2"),
        ("9007199254740993 | plus: 1", "9007199254740994"),
        ("-0.0 | abs", "0.0"),
        ("5 | format_number", "5.00"),
        ("1.005 | format_number", "1.01"),
        ("-0.001 | format_number", "0.00"),
        ("'12345678901234567.89' | format_number: 1, '.', ' '", "12 345 678 901 234 567.9"),
        ("-1234.5 | format_number: 0, ',', '.'", "-1.235"),
        ("1000 | format_number: 3", "1000.000"),
    ],
)
def test_numbers_are_calculated_as_on_paper(expression: str, text: str) -> None:
    assert made(f"{{{{ {expression} }}}}") == text


@given(st.decimals(-1_000_000, 1_000_000, places=3), st.integers(0, 3))
def test_halves_go_away_from_zero(number: Any, digits: int) -> None:
    up = abs(number).scaleb(digits)
    exact = int(up) + (up - int(up) >= type(number)("0.5"))
    wanted = float(type(number)(exact).scaleb(-digits)) * (-1 if number < 0 else 1)
    assert float(made("{{ trigger.body.n | round: trigger.body.d }}", n=float(number), d=digits)) == wanted


@pytest.mark.parametrize(
    ("date", "form", "text"),
    [
        ("2026-11-25T10:00:00+01:00", "%s", "1795597200"),
        ("2026-11-25T10:00:00+01:00", "%H:%M %z", "10:00 +0100"),
        ("2026-11-25T10:00:00-05:30", "%:z", "-05:30"),
        ("2026-11-25T10:00:00Z", "%s", "1795600800"),
        ("2026-11-25 10:00:00", "%s %Z", "1795600800 UTC"),
        ("2026-11-25", "%FT%T", "2026-11-25T00:00:00"),
        ("Wed, 25 Nov 2026 10:00:00 +0100", "%s", "1795597200"),
        ("Wed, 25 Nov 2026 10:00:00 EST", "%s", "1795618800"),
        ("November 25, 2026 10:00 am CET", "%s", "1795597200"),
        (1795597200, "%Y-%m-%d %H:%M:%S %z", "2026-11-25 09:00:00 +0000"),
        (1795597200.5, "%s.%L", "1795597200.500"),
        ("1795597200", "%d.%m.%Y", "25.11.2026"),
        ("now", "%F", "2026-11-26"),
        ("today", "%-d/%-m/%y", "26/11/26"),
        ("1969-12-31T23:59:59.5Z", "%s", "-1"),
        ("2016-12-31T23:59:60Z", "%FT%T", "2017-01-01T00:00:00"),
        ("2017-01-01T00:59:60.25+01:00", "%T.%L", "01:00:00.250"),
        ("9999-12-31T23:59:60Z", "%F", "9999-12-31T23:59:60Z"),
        ("March 14, 2016", "%b %d, %y", "Mar 14, 16"),
        ("March 14, 2016", "%a, %b %d, %y", "Mon, Mar 14, 16"),
        ("March 14, 2016 4:40 pm", "%s", "1457973600"),
        ("Monday, March 14th, 2016", "%F", "2016-03-14"),
        ("14-Mar-2016", "%F", "2016-03-14"),
        ("March 2016", "%F", "2016-03-01"),
        ("Mon Mar 14 16:40:00 2016", "%FT%T%z", "2016-03-14T16:40:00+0000"),
        ("Mon Mar 14 16:40:00 EST 2016", "%FT%T%z", "2016-03-14T16:40:00-0500"),
        ("Mon Mar 14 2016 16:40:00 GMT+0100 (Central European Standard Time)", "%FT%T%z", "2016-03-14T16:40:00+0100"),
        ("14 Mar 2016 16:40 UTC-3", "%FT%T%z", "2016-03-14T16:40:00-0300"),
        ("3/4/2016 4:40 pm", "%FT%T", "2016-03-04T16:40:00"),
        ("4.3.2016 16:40", "%FT%T", "2016-03-04T16:40:00"),
        ("2016/03/04", "%F", "2016-03-04"),
        ("20160314T164000Z", "%s", "1457973600"),
        ("2026-11-25T10:00:00+01:00", "100%% %b %e %P", "100% Nov 25 am"),
        ("14 Mar 2016 16:40", "%F %R %z", "2016-03-14 16:40 +0000"),
        ("Wed Nov 25 2026 10:00:00 GMT+0100 (Central European Standard Time)", "%s", "1795597200"),
        ("Wed Nov 25 2026 10:00:00 GMT-0530", "%z", "-0530"),
        ("2026-11-25 10:00 UTC+2", "%R %z", "10:00 +0200"),
        ("Wed, 25 Nov 2026 10:00:00 +0100 (CET)", "%s", "1795597200"),
    ],
)
def test_dates_keep_their_zone(date: Json, form: str, text: str) -> None:
    assert made(f"{{{{ trigger.body.d | date: '{form}' }}}}", d=date) == text


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("'2026-11-25T10:00:00Z' | date: '%H:%M %z', 'Asia/Kathmandu'", "15:45 +0545"),
        ("'2026-11-25T10:00:00' | date: '%H:%M %z', 'Europe/Berlin'", "10:00 +0100"),
        ("'now' | date: '%F', 'Pacific/Kiritimati'", "2026-11-27"),
        ("'2026-03-28T12:00:00' | date_add: 1, 'day', 'Europe/Berlin'", "2026-03-29T12:00:00+02:00"),
        ("'2026-03-28T12:00:00' | date_add: 24, 'hours', 'Europe/Berlin'", "2026-03-29T13:00:00+02:00"),
        ("'2024-02-29' | date_add: 1, 'years' | date: '%F'", "2025-02-28"),
        ("'today' | date_add: -2, 'weeks' | date: '%F'", "2026-11-12"),
        ("nil | date_add: 1, 'day'", ""),
    ],
)
def test_dates_move_and_are_written_in_any_zone(expression: str, text: str) -> None:
    assert made(f"{{{{ {expression} }}}}") == text


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("'YT8-Yg' | base64_decode", "a?>b"),
        ("'YT8+Yg==' | base64_url_safe_decode", "a?>b"),
        ("trigger.body.lines | base64_decode", "ada lovelace"),
        ("'ada' | sha256: 'base64'", "/e5DDUC9V97qwYbNl5ADPQ8G+QmogG585ucXq3x9UCk="),
        ("'what do ya want for nothing?' | hmac_sha1: 'Jefe'", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        ("'aXbX' | regex_replace: '(?i)x', '-'", "a-b-"),
        ("'a1b' | regex_replace: '([0-9])', '<\\1>'", "a<1>b"),
        ("'#1 #22' | regex_find_all: '#([0-9]+)' | join: ','", "1,22"),
        ("'none' | regex_find: '[0-9]' | default: 'x'", "x"),
    ],
)
def test_encodings_digests_and_expressions(expression: str, text: str) -> None:
    assert made(f"{{{{ {expression} }}}}", lines="YWRhIGxv\r\ndmVsYWNl\n") == text


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ("'%%%' | base64_decode", "not text in base64"),
        ("'YWRhY' | base64_decode", "not text in base64"),
        ("'/w==' | base64_decode", "not text in base64"),
        ("'616' | hex_decode", "hexadecimal"),
        ("'a' | sha1: 'octal'", "'hex' or 'base64'"),
        ("'a' | hmac_sha256: nil", "the key is empty"),
        ("'a' | regex_find: '(?=a)'", "RE2"),
        ("'a' | regex_replace: 'a', '\\1'", "no such group"),
        ("trigger.body.x | regex_replace: '(.+)', trigger.body.y", "characters"),
        ("'a' | format_number", "expected a number"),
        ("nil | format_number", "expected a number"),
        ("1 | format_number: 99", "decimal places"),
        ("'now' | date: '%F', 'Mars/Olympus'", "time zone"),
        ("'soon' | date_add: 1, 'day'", "expected a date"),
        ("'now' | date_add: 1, 'fortnight'", "the unit is one of"),
        ("'9999-12-31' | date_add: 1, 'day'", "out of range"),
        ("'now' | date_add: 99999999999999999999, 'years'", "out of range"),
    ],
)
def test_what_a_filter_cannot_use_is_said(expression: str, named: str) -> None:
    assert named in what_it_says(f"{{{{ {expression} }}}}", x="x" * 9_999, y="\\1" * 4_999)


@pytest.mark.parametrize(
    "date",
    [
        "soon",
        "March 14",
        "2026-11-25 10:00 XYZ",
        "5 pm 2016",
        "14 March 16:40 +0100",
        "9" * 50,
        "",
        True,
        [1],
        {"a": 1},
    ],
)
def test_what_is_no_date_stays_as_it_is(date: Json) -> None:
    assert made("{{ trigger.body.d | date: '%Y' }}", d=date) == spelled(date)


@pytest.mark.parametrize("form", ["%9999999d", "%Q", "%", "%E", "x" * 500])
def test_a_form_that_is_none_is_refused(form: str) -> None:
    with pytest.raises(TemplateError, match="date"):
        made(f"{{{{ '2026-11-25' | date: '{form}' }}}}")


ITEMS: list[Json] = [{"n": 2}, {"m": 1}, {"n": None}, {"n": 1}, {"n": "b"}, "x", 7, None]


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("sort: 'n' | map: 'n' | json", '[1,2,"b",null,null,null,null,null]'),
        ("sort_natural: 'n' | map: 'n' | json", '[1,2,"b",null,null,null,null,null]'),
        ("sort | size", "8"),
        ("map: 'n' | compact | json", '[2,1,"b"]'),
        ("compact: 'n' | size", "3"),
        ("compact | size", "7"),
        ("uniq: 'n' | size", "4"),
        ("uniq | size", "8"),
        ("where: 'n' | size", "3"),
        ("where: 'n', 1 | json", '[{"n":1}]'),
        ("reject: 'n' | size", "5"),
        ("find: 'n', 'b' | json", '{"n":"b"}'),
        ("find_index: 'n', 'z' | json", "null"),
        ("has: 'n', 2", "true"),
        ("sum: 'n'", "3"),
        ("sum", "7"),
        ("first | json", '{"n":2}'),
        ("join: '' | size", "42"),
    ],
)
def test_items_without_the_key_are_last_or_left_out(expression: str, text: str) -> None:
    assert made(f"{{{{ trigger.body.i | {expression} }}}}", i=ITEMS) == text


def test_equal_is_json_equality() -> None:
    assert (
        made("{{ trigger.body.i | uniq | json }}", i=[1, True, 1.0, "1", [1], [1], {"a": 1}]) == '[1,true,"1",{"a":1}]'
    )
    assert made("{{ trigger.body.i | where: 'a', true | json }}", i=[{"a": 1}, {"a": True}]) == '[{"a":true}]'


def test_json_and_back() -> None:
    assert made("{{ trigger.body.o | json }}", o={"a": ["x", None, 1.5]}) == '{"a":["x",null,1.5]}'
    assert made("{{ trigger.body.t | json }}", t='a "b"') == '"a \\"b\\""'
    assert made("{{ trigger.body.t | parse_json }}", t='{"a": [1]}') == {"a": [1]}
    assert made("{% assign m = trigger.body.t | parse_json %}{{ m.a[0].b }}", t='{"a": [{"b": 5}]}') == "5"
    with pytest.raises(TemplateError, match="not JSON"):
        made("{{ trigger.body.t | parse_json }}", t="{")


TIMED = [
    "strip_html",
    "escape_once",
    "newline_to_br",
    "squish",
    "escapejs",
    "url_decode",
    "strip_newlines",
    "uniq",
    "json",
    "date",
]


@pytest.mark.parametrize("name", TIMED)
@pytest.mark.parametrize("text", ["<", "<!--", "<script", "<script>", "<a", "&", "&#", "&a", "%", " ", "\r", "ab"])
def test_time_grows_with_the_text_and_not_with_its_square(name: str, text: str) -> None:
    call = FILTERS[name].call

    def cost(size: int) -> float:
        value: object = text * (size // len(text))
        best = 9.0
        for _ in range(2):
            began = time.process_time()
            with suppress(FilterError):
                call(list(str(value)) if name == "uniq" else value)
            best = min(best, time.process_time() - began)
        return max(best, 0.002)

    assert cost(400_000) < 40 * cost(40_000)
