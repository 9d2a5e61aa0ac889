"""Data steps: what each makes of its config, and that none fails but with Unfit, whatever it gets."""

import csv
import io
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.connector.config import problems
from domain.data.operation import MAX_MADE, Unfit, like
from domain.data.work import OPERATIONS, work
from domain.language.template import render
from domain.values.json import Json
from tests.support.strategies import json_values

NOW = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
ORDERS: list[Json] = [
    {"id": 1, "customer": {"id": 7}, "country": "DE", "total": 10},
    {"id": 2, "customer": {"id": 8}, "country": "FR", "total": 2.5},
    {"id": 3, "customer": {"id": 7}, "country": "DE", "total": "20"},
    {"id": 4, "customer": None, "country": "DE", "total": None},
]


def do(type_: str, **config: Any) -> Any:
    return work(f"data.{type_}", config, NOW)


def wrong(type_: str, **config: Any) -> str:
    with pytest.raises(Unfit) as raised:
        do(type_, **config)
    return str(raised.value)


def test_each_step_is_documented_by_an_example_that_is_valid_and_a_sample() -> None:
    for type_, operation in OPERATIONS.items():
        assert problems(operation.config, operation.example) == {}, type_
        assert operation.check(operation.example) == {}, type_
        assert operation.sample, type_


def test_values_are_set_on_top_of_an_object() -> None:
    base = {"name": "Ada", "password": "x", "mail": "a@x.test"}
    found = do("set", base=base, without=["password"], rename={"mail": "email"}, values={"n": 1})
    assert found == {"name": "Ada", "email": "a@x.test", "n": 1}
    assert do("set", base=base, only=["mail", "none"]) == {"mail": "a@x.test"}
    assert do("set", values={"a": None}) == {"a": None}


def test_a_text_a_list_and_an_object_are_split() -> None:
    assert do("split", value="a, b,,c ", separator=",")["items"] == ["a", "b", "c"]
    assert do("split", value="a, b,,c ", separator=",", trim=False)["items"] == ["a", " b", "", "c "]
    assert do("split", value=[1, 2, 3], size=2) == {"items": [[1, 2], [3]], "count": 2}
    assert do("split", value={"a": 1})["items"] == [{"key": "a", "value": 1}]
    assert do("split", value=None)["count"] == 0
    assert "must be a text" in wrong("split", value=3)


def test_items_are_filtered_by_a_condition_over_each() -> None:
    condition: dict[str, Json] = {"field": "item.total", "operator": "greater_than", "value": 5}
    found = do("filter", items=ORDERS, condition=condition)
    assert ([order["id"] for order in found["items"]], found["dropped"]) == ([1, 3], 2)
    second = do("filter", items=[5, 6, 7], condition={"field": "index", "operator": "equals", "value": 1})
    assert second["items"] == [6]
    check = OPERATIONS["data.filter"].check
    assert "condition.field" in check({"items": [], "condition": {**condition, "field": "trigger.body.x"}})
    assert "condition.operator" in check({"items": [], "condition": {**condition, "operator": "graeter_than"}})
    assert "condition" in wrong("filter", items=[], condition={})


def ids(found: Any) -> list[int]:
    return [item["id"] for item in found["items"]]


def test_items_are_sorted_and_what_has_no_value_comes_last() -> None:
    assert ids(do("sort", items=ORDERS, by=[{"path": "total", "as": "number"}])) == [2, 1, 3, 4]
    assert ids(do("sort", items=ORDERS, by=[{"path": "total", "as": "number", "order": "descending"}])) == [3, 1, 2, 4]
    assert ids(do("sort", items=ORDERS, by=[{"path": "country"}, {"path": "id", "order": "descending"}])) == [
        4,
        3,
        1,
        2,
    ]
    assert do("sort", items=["b", "A", 3, None, 1.5])["items"] == [1.5, 3, "A", "b", None]
    days = [{"id": 1, "d": "26 Nov 2026"}, {"id": 2, "d": "2026-01-01"}]
    assert ids(do("sort", items=days, by=[{"path": "d", "as": "date"}], limit=1)) == [2]


@given(st.lists(st.one_of(st.integers(), st.text(max_size=3), st.none(), st.floats(allow_nan=False))))
def test_sorting_loses_nothing_and_twice_is_once(items: list[Json]) -> None:
    once = do("sort", items=items)["items"]
    assert sorted(map(repr, once)) == sorted(map(repr, items))
    assert do("sort", items=once)["items"] == once


def test_lists_are_joined_by_key() -> None:
    customers = [{"id": 7, "name": "Ada"}, {"id": 9, "name": "Bob"}]
    keys = {"left": ORDERS, "right": customers, "left_key": "customer.id", "right_key": "id", "as": "who"}
    left = do("join", **keys)
    assert [item["who"] and item["who"]["name"] for item in left["items"]] == ["Ada", None, "Ada", None]
    assert (left["unmatched_left"], left["unmatched_right"]) == (2, 1)
    assert ids(do("join", **keys, kind="inner")) == [1, 3]
    assert do("join", **keys, kind="full")["items"][-1] == {"who": {"id": 9, "name": "Bob"}}
    merged = do("join", left=[{"id": 1, "x": "l"}], right=[{"id": 1, "x": "r", "y": 2}], left_key="id")
    assert merged["items"] == [{"id": 1, "x": "l", "y": 2}]
    # null is nobody's partner, and 1 is no "1"
    assert do("join", left=[{}], right=[{}], left_key="k", kind="inner")["count"] == 0
    assert do("join", left=[{"k": 1}], right=[{"k": "1"}], left_key="k", kind="inner")["count"] == 0
    assert do("join", left=[{"k": 1}], right=[{"k": 1.0}], left_key="k", kind="inner")["count"] == 1


def test_a_join_that_multiplies_is_stopped() -> None:
    began = time.process_time()
    assert "100,000 items" in wrong("join", left=[{"k": 1}] * 1_000, right=[{"k": 1}] * 1_000, left_key="k")
    assert time.process_time() - began < 2


def test_values_are_aggregated_over_all_and_by_group() -> None:
    values = {
        "orders": {"make": "count"},
        "paid": {"make": "count", "of": "total"},
        "total": {"make": "sum", "of": "total"},
        "mean": {"make": "average", "of": "total"},
        "least": {"make": "min", "of": "total"},
        "first": {"make": "first", "of": "id"},
        "ids": {"make": "join", "of": "id", "separator": "+"},
        "of": {"make": "unique", "of": "customer.id"},
        "all": {"of": "id"},
    }
    found = do("aggregate", items=ORDERS, group_by=["country"], values=values)["groups"]
    assert found[0] == {
        "key": {"country": "DE"},
        "orders": 3,
        "paid": 2,
        "total": 30,
        "mean": 15,
        "least": 10,
        "first": 1,
        "ids": "1+3+4",
        "of": [7],
        "all": [1, 3, 4],
    }
    assert found[1]["total"] == 2.5
    empty = do("aggregate", items=[], values=values)["result"]
    assert (empty["total"], empty["mean"], empty["least"], empty["first"]) == (0, None, None, None)
    assert "no number" in wrong("aggregate", items=[{"a": "x"}], values={"s": {"make": "sum", "of": "a"}})
    assert do("aggregate", items=[0.1, 0.2, 0.3], values={"s": {"make": "sum"}})["result"]["s"] == 0.6


@given(st.lists(st.integers()))
def test_a_sum_of_whole_numbers_is_exact(numbers: list[int]) -> None:
    assert do("aggregate", items=numbers, values={"s": {"make": "sum"}})["result"]["s"] == sum(numbers)


def test_duplicates_are_removed_and_the_first_stays() -> None:
    found = do("dedupe", items=[{"e": "a", "n": 1}, {"e": "b"}, {"e": "a", "n": 2}], key=["e"])
    assert found == {"items": [{"e": "a", "n": 1}, {"e": "b"}], "count": 2, "duplicates": 1}
    assert do("dedupe", items=[1, 1.0, "1", True, None, None])["items"] == [1, "1", True, None]


@given(json_values, json_values)
def test_values_are_alike_where_they_are_equal_as_json(one: Json, other: Json) -> None:
    assert like(one) == like(json.loads(json.dumps(one)))
    if json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True) and one != other:
        assert like(one) != like(other)


def test_csv_is_read() -> None:
    found = do("csv", text='\ufeffsku;name\r\nA1;"a ""b"";\nc"\r\n\r\nB2;x;extra\r\nC3\r\n')
    assert found["columns"] == ["sku", "name"]
    assert found["items"] == [
        {"sku": "A1", "name": 'a "b";\nc'},
        {"sku": "B2", "name": "x", "more": ["extra"]},
        {"sku": "C3", "name": ""},
    ]
    assert do("csv", text="a,a,\n1,2,3")["items"] == [{"a": "1", "a_2": "2", "column_3": "3"}]
    assert do("csv", text="1\t2", header=False)["items"] == [["1", "2"]]
    assert do("csv", text="1|2", header=False, columns=["x", "y"])["items"] == [{"x": "1", "y": "2"}]
    assert do("csv", text="")["count"] == 0
    assert "delimiter" in wrong("csv", text="a", delimiter="ab")
    assert "not CSV" in wrong("csv", text="a\n" + "x" * 2_000_000)


def test_csv_is_written_and_no_cell_becomes_a_formula() -> None:
    rows = [{"a": '=HYPERLINK("http://x.test")', "b": -3}, {"b": None, "c": [1]}]
    assert do("csv", mode="write", items=rows)["text"] == (
        'a,b,c\r\n"\'=HYPERLINK(""http://x.test"")",-3,\r\n,,[1]\r\n'
    )
    kept = do("csv", mode="write", items=rows[:1], columns=["a"], header=False, formulas="keep", delimiter=";")
    assert kept["text"] == '"=HYPERLINK(""http://x.test"")"\r\n'
    assert do("csv", mode="write", items=[["x", 1]])["text"] == "x,1\r\n"
    assert "items.0" in wrong("csv", mode="write", items=[3])


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=10)


@given(st.lists(st.fixed_dictionaries({"a": texts, "b c": texts}), min_size=1), st.sampled_from(",;|\t"))
def test_what_is_written_as_csv_is_read_again(rows: list[Json], delimiter: str) -> None:
    text = do("csv", mode="write", items=rows, formulas="keep", delimiter=delimiter)["text"]
    found = do("csv", text=text, delimiter=delimiter)["items"]
    assert found == rows
    assert list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)) == rows


def test_xml_is_read_and_written() -> None:
    value = {"order": {"@id": "7", "line": [{"sku": "A&1"}, {"sku": "<B>"}], "#text": "x"}}
    text = do("xml", mode="write", value=value)["text"]
    expected = '<order id="7"><line><sku>A&amp;1</sku></line><line><sku>&lt;B&gt;</sku></line>x</order>'
    assert text == f'<?xml version="1.0" encoding="UTF-8"?>\n{expected}'
    assert do("xml", text=text)["value"] == value
    assert do("xml", mode="write", value={"a": None}, declaration=False)["text"] == "<a/>"
    assert "name" in wrong("xml", mode="write", value={"a b": 1})
    assert "root" in wrong("xml", mode="write", value={"a": 1, "b": 2})
    assert "root" in wrong("xml", mode="write", value={"a": [1, 2]})


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><a>&b;</a>'


@pytest.mark.parametrize(
    "text",
    [BOMB, '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "<a" * 9, "<a>" * 5_000, "", "<a/><b/>", "<a>&x;</a>"],
)
def test_hostile_xml_is_refused(text: str) -> None:
    assert wrong("xml", text=text).startswith("text: ")


names = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=8)


@given(names, st.dictionaries(names, words, min_size=1, max_size=4))
def test_what_is_written_as_xml_is_read_again(root: str, fields: dict[str, str]) -> None:
    fields = {name: text.replace("\ufffe", "").replace("\uffff", "") or "x" for name, text in fields.items()}
    assert do("xml", text=do("xml", mode="write", value={root: fields})["text"])["value"] == {root: fields}


PAGE = """<html><head><title>T</title><style>p{}</style></head><body><script>alert(1)</script>
<article><h2>One</h2><a href="/1">more</a></article><article><h2>Two <b>x</b></h2></article></body></html>"""


def test_parts_of_html_are_taken() -> None:
    select = {"title": {"css": "h2"}, "link": {"css": "a", "take": "@href"}}
    assert do("html", text=PAGE, within="article", select=select)["items"] == [
        {"title": "One", "link": "/1"},
        {"title": "Two x", "link": None},
    ]
    all_ = {"h": {"css": "h2", "all": True}, "raw": {"css": "h2 b", "take": "html"}, "none": {"css": "h9"}}
    assert do("html", text=PAGE, select=all_)["found"] == {"h": ["One", "Two x"], "raw": "<b>x</b>", "none": None}
    assert do("html", text=PAGE)["text"] == "One\nmore\nTwo\nx"
    assert "CSS" in wrong("html", text=PAGE, select={"x": {"css": ":::["}})
    assert do("html", text="")["text"] == ""


def test_html_bombs_are_refused_or_survived() -> None:
    assert "tags" in wrong("html", text="<b>" * 300_000)
    do("html", text="<div>" * 5_000 + "x")
    do("html", text="<!--" * 10_000)


def test_dates_are_moved_and_written() -> None:
    found = do("dates", value="2026-03-28T12:00:00", time_zone="Europe/Berlin", add={"days": 1})
    assert found["iso"] == "2026-03-29T12:00:00+02:00"  # the clocks go forward that night; the time of day stays
    assert do("dates", value="2026-03-28T12:00:00+01:00", time_zone="Europe/Berlin", add={"hours": 24})["iso"] == (
        "2026-03-29T13:00:00+02:00"
    )
    assert do("dates", value="2026-01-31", add={"months": 1})["date"] == "2026-02-28"
    week = do("dates", start_of="week", end_of="day", time_zone="UTC", format="%d.%m.%Y %H:%M")
    assert (week["text"], week["weekday_name"], week["week"]) == ("23.11.2026 23:59", "Monday", 48)
    assert do("dates", value=0)["iso"] == "1970-01-01T00:00:00+00:00"
    summer = "Thu Nov 26 2026 10:00:00 GMT+0000 (Greenwich Mean Time)"  # as JavaScript in London writes it
    assert do("dates", value=summer, time_zone="Europe/Berlin")["iso"] == "2026-11-26T11:00:00+01:00"
    assert do("dates", value="November 26, 2026", time_zone="Europe/Berlin")["utc"] == "2026-11-25T23:00:00Z"
    assert do("dates", value="2026-11-26T00:30:00Z", time_zone="America/New_York")["date"] == "2026-11-25"
    assert do("dates")["unix"] == int(NOW.timestamp())


def test_the_difference_of_two_dates() -> None:
    found = do("dates", value="2026-01-01T00:00:00Z", until="2026-03-02T01:00:00Z")["difference"]
    assert (found["days"], found["hours"]) == (60 + 1 / 24, 1441)
    assert found["calendar"] == {"years": 0, "months": 2, "days": 1, "hours": 1, "minutes": 0, "seconds": 0}
    assert do("dates", value="2026-01-02T00:00:00Z", until="2026-01-01T00:00:00Z")["difference"]["days"] == -1


def test_dates_that_are_none_and_zones_that_are_not_known() -> None:
    assert "no date" in wrong("dates", value="soon")
    assert "no date" in wrong("dates", value={"a": 1})
    assert "time_zone" in wrong("dates", time_zone="Mars/Olympus")
    assert "range" in wrong("dates", value="9999-12-31", add={"years": 1})
    assert "range" in wrong("dates", value="2026-01-01", add={"seconds": 10**10, "years": 9000})
    check = OPERATIONS["data.dates"].check
    assert set(check({"time_zone": "Berlin", "format": "%Q"})) == {"time_zone", "format"}


def test_text_is_replaced_and_extracted() -> None:
    found = do(
        "text",
        text=" Re: Order #42 and #43 ",
        trim=True,
        replace=[{"find": "Re: "}, {"pattern": r"and (#\d+)", "with": r"& \1"}],
        extract={"first": r"#(\d+)", "none": "x(y)z"},
        case="upper",
    )
    assert found == {
        "text": "ORDER #42 & #43",
        "found": {"first": "42", "none": None},
        "length": 15,
        "words": 4,
        "lines": 1,
    }
    assert do("text", text="a1b2", extract={"n": r"\d"}, all=True)["found"] == {"n": ["1", "2"]}
    assert do("text", text={"a": 1})["text"] == '{"a":1}'
    assert do("text", text="ABC", extract={"x": "b"}, ignore_case=True, max_length=2)["found"] == {"x": "B"}
    assert "replace.0" in wrong("text", text="", replace=[{}])
    assert "extract.x" in wrong("text", text="", extract={"x": "("})
    assert "replace.0.with" in wrong("text", text="a", replace=[{"pattern": "a", "with": r"\9"}])
    check = OPERATIONS["data.text"].check
    assert set(check({"extract": {"x": "(?=a)"}, "replace": [{"find": "a", "pattern": "b"}]})) == {
        "extract.x",
        "replace.0",
    }


def test_text_that_grows_without_bound_is_refused_and_patterns_are_linear() -> None:
    assert "characters" in wrong("text", text="a" * 100_000, replace=[{"find": "a", "with": "b" * 1_000}])
    began = time.process_time()
    do("text", text="a" * 100_000, extract={"x": "(a+)+b"})
    assert time.process_time() - began < 1


def test_a_table_is_looked_up() -> None:
    assert do("lookup", value="de", table={"DE": "Germany"}, ignore_case=True) == {"found": True, "value": "Germany"}
    assert do("lookup", value="FR", table={"DE": "x"}, default="?") == {"found": False, "value": "?"}
    assert do("lookup", value=7, table={"7": "seven"})["value"] == "seven"
    rows = [{"code": 7, "name": {"en": "seven"}}, {"code": 7, "name": {"en": "again"}}]
    assert do("lookup", value=7, table=rows, key="code", take="name.en") == {"found": True, "value": "seven"}
    assert do("lookup", value="7", table=rows, key="code")["found"] is False


def test_wrong_fields_are_named() -> None:
    assert wrong("sort", items="x").startswith("items: ")
    assert "unknown field" in problems(OPERATIONS["data.sort"].config, {"items": [], "bye": 1})["bye"]
    assert "left_key" in OPERATIONS["data.join"].check({"left_key": "a b"})
    assert "values.s.of" in OPERATIONS["data.aggregate"].check({"values": {"s": {"of": "a b"}}})


def test_lists_that_are_too_long_are_refused() -> None:
    assert f"{MAX_MADE:,}" in wrong("split", value="a\n" * (MAX_MADE + 10))


FIELDS = st.sampled_from(
    sorted({field for operation in OPERATIONS.values() for field in operation.config.__struct_fields__})
)


@settings(max_examples=300)
@given(st.sampled_from(sorted(OPERATIONS)), st.dictionaries(FIELDS, json_values, max_size=6), st.data())
def test_nothing_but_unfit_comes_out_of_garbage(type_: str, config: dict[str, Json], data: st.DataObject) -> None:
    example = render(OPERATIONS[type_].example, _Everything()) if data.draw(st.booleans()) else {}
    assert isinstance(example, dict)
    OPERATIONS[type_].check({**example, **config})
    try:
        json.dumps(work(type_, {**example, **config}, NOW))
    except Unfit:
        return


class _Everything(dict[str, Json]):
    """A context in which a few names have values."""

    def __init__(self) -> None:
        rows: Json = [{"total": 1, "country": "DE", "id": 7, "customer_id": 7, "email": "a@x.test"}]
        body: Json = {"lines": rows, "orders": rows, "contacts": rows, "tags": "a,b", "customer": {"a": 1}}
        assert isinstance(body, dict)
        body |= {"due": "2026-11-26", "subject": "#1", "country": "DE"}
        steps: Json = {"customers": {"output": {"body": rows}}, "fetch": {"output": {"body": PAGE}}}
        super().__init__({"trigger": {"body": body}, "steps": steps})
