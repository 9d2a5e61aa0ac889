"""Field mapping: what templates make of a run's data, and what hostile ones can not do."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.language.liquid import MAX_LOOP, MAX_TEMPLATE
from domain.language.scope import Heavy
from domain.language.template import TemplateError, check, compiled, render
from domain.values.json import MAX_DEPTH

BODY: dict[str, Any] = {
    "email": "ada@example.com",
    "count": 3,
    "price": 1.5,
    "paid": True,
    "none": None,
    "items": [{"sku": "a"}, {"sku": "b"}],
    "address": {"city": "Wien", "x-id": 9},
    "size": "XL",
    "lines": "a\r\nb\rc\n",
    "long": "x" * 100_000,
    "one": 1,
    "field": "items",
    "by_flag": {"true": ["y"]},
}
CONTEXT: dict[str, Any] = {
    "trigger": {"body": BODY, "headers": {"x-id": "7"}},
    "steps": {"look_up": {"output": {"id": 42}}},
    "run": {"id": "r1"},
    "zap": {"id": "z1", "version": 2},
}


def rendered(template: Any) -> Any:
    return render(template, CONTEXT)


@pytest.mark.parametrize("path", ["count", "price", "paid", "none", "items", "address"])
def test_a_lone_path_keeps_its_json_type(path: str) -> None:
    assert rendered(f"{{{{ trigger.body.{path} }}}}") == BODY[path]
    assert type(rendered(f"{{{{trigger.body.{path}}}}}")) is type(BODY[path])


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ trigger.body.items[1].sku }}", "b"),
        ("{{ trigger.body.items.size }}", 2),
        ("{{ trigger.body.items.last.sku }}", "b"),
        ("{{ trigger.body.items.first }}", {"sku": "a"}),
        ("{{ trigger.body.size }}", "XL"),
        ('{{ trigger.headers["x-id"] }}', "7"),
        ("{{ trigger.body['address']['x-id'] }}", 9),
        ("{{ trigger.body.address.x-id }}", 9),
        ("{{- steps.look_up.output.id -}}", 42),
        ("{{ zap.version }}", 2),
        ("{{ trigger.body.items[trigger.body.one] }}", {"sku": "b"}),
        ("{{ trigger.body[trigger.body.field][0].sku }}", "a"),
        ("{{ trigger.body.by_flag[trigger.body.paid] }}", ["y"]),
        ("{{ trigger.body[trigger.body.nope] | default: 5 }}", 5),
        ("{% if trigger.body[trigger.body.nope] %}y{% else %}n{% endif %}", "n"),
    ],
)
def test_paths_reach_fields_items_and_sizes(template: str, value: object) -> None:
    assert rendered(template) == value
    if "{%" not in template:
        assert compiled(template).quick(CONTEXT, datetime(2026, 11, 27, tzinfo=UTC)) == value


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ trigger.body.count | plus: 1 | parse_json }}", 4),
        ("{{ trigger.body.price | times: 2 | parse_json | default: 9 }}", 3.0),
        ("{{ trigger.body.items | map: 'sku' | parse_json }}", ["a", "b"]),
        ("{{ trigger.body.nope | plus: 1 | parse_json | default: trigger.body.items }}", BODY["items"]),
        ("{{ '[1, 2]' | parse_json }}", [1, 2]),
        ("{{ (1..3) | parse_json }}", [1, 2, 3]),
        ("{{ (1..trigger.body.count) | reverse | parse_json }}", [3, 2, 1]),
        ("{{ (3..1) | parse_json }}", []),
        ("{{ (1..nope) | parse_json }}", []),
        ("n {{ (1..3) | parse_json }}", "n [1,2,3]"),
        ("{{ (1..3) }}", "1..3"),
        ("{{ (1..3) | join: '-' }}", "1-2-3"),
        ("{{ trigger.body.count | parse_json | plus: 1 }}", "4"),
        ("{{ trigger.body.count | plus: 1 | default: 9 }}", "4"),
    ],
)
def test_what_parse_json_makes_of_other_filters_has_a_type_too(template: str, value: object) -> None:
    assert rendered(template) == value


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("no template { at } all %}", "no template { at } all %}"),
        ("Dear {{ trigger.body.email }}!", "Dear ada@example.com!"),
        ("{{ trigger.body.count }}{{ trigger.body.paid }}{{ trigger.body.none }}", "3true"),
        ("{{ trigger.body.email | upcase }}", "ADA@EXAMPLE.COM"),
        ("{% for item in trigger.body.items %}{{ item.sku }};{% endfor %}", "a;b;"),
        ("{% if trigger.body.count > 2 %}many{% else %}few{% endif %}", "many"),
        ("{% raw %}{{ {% }}{% endraw %}", "{{ {% }}"),
        ("{{ true }} {{ nil }}", "true "),
        ("a {{- ' b ' -}} c", "a b c"),
        ("{% if true %}{{ trigger.body.lines }}\r\n\r{% endif %}", "a\r\nb\rc\n\r\n\r"),
        ("{% capture x %}{{ trigger.body.lines }}{% endcapture %}{{ x }}", "a\r\nb\rc\n"),
        ("{% ifchanged %}{{ trigger.body.lines }}{% endifchanged %}", "a\r\nb\rc\n"),
        ("{{ blank }}{{ empty | append: 'x' }}", "x"),
        ("{% if empty <= 1 or 1 >= blank %}y{% else %}n{% endif %}", "n"),
    ],
)
def test_anything_else_renders_to_text(template: str, text: str) -> None:
    assert rendered(template) == text


def test_objects_and_lists_in_text_are_json() -> None:
    assert rendered("items={{ trigger.body.items }}") == 'items=[{"sku":"a"},{"sku":"b"}]'
    assert rendered("{{ trigger.body.address }}.") == '{"city":"Wien","x-id":9}.'


def test_configs_are_rendered_all_the_way_down() -> None:
    config: dict[str, Any] = {"a": [{"b": "{{ trigger.body.count }}"}, "x"], "n": 5, "{{ key }}": None}
    assert render(config, CONTEXT) == {"a": [{"b": 3}, "x"], "n": 5, "{{ key }}": None}


@pytest.mark.parametrize(
    ("template", "named"),
    [
        ("{{ trigger.body.nope }}", "trigger.body.nope"),
        ("{{ trigger.body.nope.deeper }}", "trigger.body.nope"),
        ("Dear {{ trigger.body.nope }}", "trigger.body.nope"),
        ("{{ trigger.body.items[2] }}", "trigger.body.items[2]"),
        ("{{ steps.later.output }}", "steps.later is"),
        ("{{ nope }}", "nope"),
        ("{{ trigger.body.email.nope }}", "trigger.body.email.nope"),
    ],
)
def test_a_missing_path_is_named(template: str, named: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render({"headers": {"x": [template]}}, CONTEXT)
    assert named in caught.value.message
    assert "undefined" in caught.value.message
    assert caught.value.path == ".headers.x.0"


def test_default_stands_in_for_what_is_missing() -> None:
    assert rendered("{{ trigger.body.nope | default: 'none' }}") == "none"
    assert rendered("{{ trigger.nope.deeper | default: 5 }}") == 5
    assert rendered("{{ trigger.body.email | default: 'none' }}") == "ada@example.com"


def test_an_unknown_filter_is_named() -> None:
    with pytest.raises(TemplateError, match="unknown filter 'nope'"):
        rendered("{{ 'a' | nope }}")


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("{% for i in (1..3) limit: 0 %}{{ i }}{% else %}none{% endfor %}", "none"),
        ("{% for i in (1..3) limit: -1 %}{{ i }}{% else %}none{% endfor %}", "none"),
        ("{% for i in (1..3) limit: none offset: none %}{{ i }}{% endfor %}", "123"),
        ("{% for i in (1..3) limit: missing offset: missing %}{{ i }}{% endfor %}", "123"),
        ("{% for i in (1..3) limit: 2 offset: 1 reversed %}{{ i }}{% endfor %}", "32"),
        ("{% for i in (1..3) limit: 3 offset: -1 %}{{ i }}{% endfor %}", "12"),
        (
            "{% for i in (1..4) limit: 1 %}{% endfor %}{% for i in (1..4) offset: continue %}{{ i }}{% endfor %}",
            "234",
        ),
        ("{% tablerow i in (1..3) limit: 0 %}{{ i }}{% endtablerow %}", ""),
        ("{% capture 'x' %}a{% endcapture %}{{ x }}", "a"),
        ("{% if now %}{% for i in (1..3) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}{% endif %}", ""),
    ],
)
def test_loops_take_as_many_items_as_in_liquid(template: str, rendered: str) -> None:
    assert render(template, {"none": None}) == rendered


def test_a_loop_says_what_its_limit_has_to_be() -> None:
    with pytest.raises(TemplateError, match="limit and offset of a loop are whole numbers, not text of 1 byte"):
        render("{% for i in (1..3) limit: 'x' %}{{ i }}{% endfor %}", {})


def test_a_long_range_is_not_turned_round() -> None:
    with pytest.raises(TemplateError, match="a loop may have 10,000 rounds"):
        render("{% for i in (1..1000000000) reversed %}{{ i }}{% endfor %}", {})


@pytest.mark.parametrize("bad", ["{{ a", "{% if a %}", "{% nope %}", "{{ }}", "{{ a..b }}", "{% raw %}"])
def test_what_does_not_parse_is_found_before_any_run(bad: str) -> None:
    with pytest.raises(TemplateError) as caught:
        check({"body": {"text": bad}})
    assert caught.value.path == ".body.text"


def test_a_config_nested_too_deep_is_refused() -> None:
    config: Any = "x"
    for _ in range(100_000):
        config = [config]
    with pytest.raises(TemplateError, match=str(MAX_DEPTH)):
        check(config)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__ }}",
        "{{ trigger.__class__ }}",
        "{{ trigger.body.email.__class__.__mro__ }}",
        "{{ trigger.body.items.append }}",
        "{{ trigger.body.keys }}",
        "x{{ trigger.body.__init__ }}",
        "{{ trigger['__class__'] }}",
        "{% include '/etc/passwd' %}",
        "{% render '/etc/passwd' %}",
        "{% include trigger.body.email %}",
        "{% extends 'x' %}",
    ],
)
def test_templates_reach_neither_python_nor_files(template: str) -> None:
    with pytest.raises(TemplateError):
        rendered(template)


BOMBS = {
    "range": "{% for i in (1..1000000000) %}x{% endfor %}",
    "range listed": "{{ (1..1000000000) | parse_json }}",
    "range joined": "{{ (1..1000000000) | join }}",
    "range assigned": "{% assign r = (1..9999999999) %}{% if r contains 'a' %}{% endif %}",
    "table": "{% tablerow i in (1..1000000000) %}x{% endtablerow %}",
    "nested loops": "{% for i in (1..9999) %}{% for j in (1..9999) %}x{% endfor %}{% endfor %}",
    "many loops": "{% for i in (1..9999) %}{% endfor %}" * 2_000,
    "long loop": "{% for i in (1..9999) %}" + "{{ '' }}" * 10_000 + "{% endfor %}",
    "replace chain": "{{ 'xxxxxxxxxx' " + "| replace: 'x', 'xxxxxxxxxx' " * 12 + "}}",
    "replace every letter": "{{ trigger.body.long | replace: '', trigger.body.long }}",
    "join": "{{ trigger.body.long | split: '' | join: trigger.body.long }}",
    "doubling": "{% assign a = 'xx' %}{% for i in (1..99) %}{% assign a = a | append: a %}{% endfor %}",
    "doubling lists": "{% assign a = 'x y' | split: ' ' %}"
    "{% for i in (1..99) %}{% assign a = a | concat: a %}{% endfor %}",
    "work in a loop": "{% for i in (1..9999) %}{{ trigger.body.long | upcase | size }}{% endfor %}",
    "capture": "{% capture a %}{% for i in (1..9999) %}{{ trigger.body.long }}{% endfor %}{% endcapture %}",
    "numbers": "{{ 9 " + "| times: 99999999999999999999 " * 3_000 + "}}",
    "exponent": "{{ '1e999999999' | ceil }}",
    "never closed": "{{" * 45_000,
    "tags never closed": "{%" * 45_000,
    "raw never closed": "{% raw %}" * 10_000,
    "white space": "{{" + " " * 90_000 + "}}",
    "white space in a tag": "{% if" + " " * 90_000 + "%}{% endif %}",
    "deep blocks": "{% if true %}" * 7_000,
    "deep brackets": "{{ a" + "[a" * 20_000 + "]" * 20_000 + " }}",
    "long condition": "{% if " + "a or " * 15_000 + "a %}{% endif %}",
    "long": "{{ 1 }}" + "x" * MAX_TEMPLATE,
    "huge index": "{{ trigger.body.items[" + "9" * 5_000 + "] }}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_an_error_within_a_second(name: str) -> None:
    began = time.process_time()
    with pytest.raises(TemplateError):
        rendered(BOMBS[name])
    assert time.process_time() - began < 1


def test_ordinary_work_is_well_within_the_limits() -> None:
    letter = "<p>{{ item }}</p>" * 20
    text = rendered("{% for item in (1..1000) %}" + letter + "{% endfor %}")
    assert text.count("<p>") == 20_000
    assert rendered("{{ trigger.body.long | replace: 'x', 'yz' | size }}") == "200000"
    assert MAX_LOOP >= 10_000


def words(text: str) -> st.SearchStrategy[str]:
    return st.sampled_from(text.split())


pieces = st.just(" ") | words(
    """{{ }} {% %} - | : , . ' " ( ) [ ] 1 .. é x trigger body items count none size first if endif for in endfor
    assign = == contains and raw endraw comment endcomment case when liquid echo upcase split join date times
    divided_by sort map slice round default sum"""
)
filters = words(
    """abs append at_least at_most base64_decode base64_encode base64_url_safe_decode capitalize ceil compact concat
    date default divided_by downcase escape escape_once find find_index first floor has join last lstrip map minus
    modulo date_add format_number regex_find regex_find_all regex_replace hex_decode sha256 hmac_sha1 newline_to_br
    plus prepend reject remove remove_first remove_last replace replace_first replace_last
    reverse round rstrip size slice sort sort_natural split strip strip_html strip_newlines sum times truncate
    truncatewords uniq upcase url_decode url_encode where"""
)
values = words(
    """trigger.body trigger.body.items trigger.body.none trigger.body.nope trigger.body.email (1..9) -1 0 1.5
    99999999999999999999 true nil empty '' '1e400' '%Y%' 'now' 'Ū' 'é'"""
)
calls = st.builds(
    lambda name, arguments: f" | {name}" + (": " + ", ".join(arguments) if arguments else ""),
    filters,
    st.lists(values, max_size=2),
)
expressions = st.builds(lambda value, used: "{{ " + value + "".join(used) + " }}", values, st.lists(calls, max_size=4))


@settings(deadline=None, max_examples=300)
@given(st.text() | expressions | st.builds(str.join, st.sampled_from(["", " "]), st.lists(pieces, max_size=25)))
def test_rendering_raises_nothing_but_a_template_error(template: str) -> None:
    with suppress(TemplateError):
        check(template)
        rendered(template)


@given(st.text(alphabet=st.characters(exclude_characters="{")))
def test_text_without_liquid_is_left_alone(text: str) -> None:
    assert rendered(text) == text


def test_dates_in_words_are_no_work_for_an_event_loop() -> None:
    config: Any = ["at {{ trigger.body.email | date: '%c %c %c' }}{{ 'March 14, 2016 4:40 pm' | date: '%c' }}"] * 500
    ready = compiled(config)
    began = time.thread_time()
    with pytest.raises(Heavy):
        ready.quick(CONTEXT, datetime(2026, 11, 26, tzinfo=UTC))
    assert time.thread_time() - began < 0.05
