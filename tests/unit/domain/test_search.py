"""The language of searches, and the keys that values and words have in the index."""

import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.log.errors import Invalid
from domain.search.contents import KNOWN_BYTES, MAX_KEYS, contents_of
from domain.search.keys import (
    MAX_TEXT,
    clean,
    leaf_key,
    number_key,
    path_key,
    path_of,
    text_key,
    value_key,
    words,
)  # fmt: skip
from domain.search.matches import matches_of
from domain.search.query import MAX_QUERY, Comparison, Term, comparison, search
from domain.values.json import Json
from domain.values.path import parse_path, written

numbers = st.one_of(
    st.integers(-(10**30), 10**30), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0, -0.0, 1e-300])
)


def decimal(number: float) -> Decimal:
    return Decimal(number) if isinstance(number, int) else Decimal(repr(number))


@given(numbers, numbers)
def test_keys_of_numbers_sort_and_are_equal_as_the_numbers(a: float, b: float) -> None:
    x, y = decimal(a), decimal(b)
    assert (number_key(x) < number_key(y)) == (x < y)
    assert (number_key(x) == number_key(y)) == (x == y)


@pytest.mark.parametrize("same", [["1.5", "1.50", "15e-1"], ["-100", "-1e2", "-100.000"], ["0", "-0", "0.000", "0e9"]])
def test_equal_numbers_have_one_key_however_they_are_written(same: list[str]) -> None:
    assert len({number_key(Decimal(text)) for text in same}) == 1


def test_decimals_are_exact() -> None:
    assert number_key(Decimal("0.1")) == value_key(0.1)
    assert number_key(Decimal("0.10000000000000000001")) > value_key(0.1)
    assert value_key(2**53) < value_key(2**53 + 1)


@given(st.text(max_size=300), st.text(max_size=300))
def test_texts_have_one_key_where_they_are_equal(a: str, b: str) -> None:
    clean = [text.replace("\0", " ").replace("\x1f", " ") for text in (a, b)]
    if all(text.isascii() for text in clean):
        assert (text_key(clean[0]) == text_key(clean[1])) == (clean[0] == clean[1])


def test_long_texts_are_cut_and_kept_apart() -> None:
    long = "x" * MAX_TEXT
    keys = {text_key(text) for text in (long, long + "a", long + "b")}
    assert (len(keys), max(map(len, keys))) == (3, 1 + MAX_TEXT + 1 + 16)


@given(st.lists(st.text(min_size=1, max_size=10).filter(lambda t: t.isascii() and t.isprintable()), min_size=1))
def test_a_path_comes_back_from_its_key(path: list[str]) -> None:
    assert path_of(leaf_key(path) + b"t") == path


def test_names_of_headers_match_in_any_case() -> None:
    assert path_key(["trigger", "headers", "X-Id"]) == path_key(["trigger", "headers", "x-id"])
    assert path_key(["trigger", "body", "X-Id"]) != path_key(["trigger", "body", "x-id"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The order, ORD-17!", ["the", "order", "ord-17", "ord", "17"]), ("", []), ("  ... --- ", []),
        ("ada@example.com", ["ada@example.com", "ada", "example", "com"]),
        ("Straße", ["strasse"]), ("(4711)", ["4711"]),
        ("x" * 100, ["x" * 64]), ("x_1", ["x_1"]),
    ],
)  # fmt: skip
def test_words(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_contents_are_bounded_and_say_so() -> None:
    values: dict[str, Json] = {"trigger": {"body": {f"field{n}": n for n in range(1_000)}}}
    contents = contents_of(values)
    assert (contents.cut, MAX_KEYS <= len(contents.keys) <= MAX_KEYS + 1) == (True, True)
    small = contents_of(
        {"trigger": {"body": {"a": [1, "two"], "b": None}, "query_string": "a=1", "headers": {"h": "x"}}}
    )
    assert (small.cut, small.keys) == (
        False,
        {
            b"vtrigger\x1fbody\x1fa\x1f0\0n20500001", b"w1", b"vtrigger\x1fbody\x1fa\x1f1\0ttwo", b"wtwo",
            b"vtrigger\x1fbody\x1fb\0bnull", b"vtrigger\x1fheaders\x1fh\0tx",
        },
    )  # fmt: skip
    assert contents_of({"trigger": {"body": {"secret": {"x": 1}, "y": 2}}}, [("trigger", "body", "secret")]).keys == {
        b"vtrigger\x1fbody\x1fy\0n20500002", b"w2",
    }  # fmt: skip


def test_values_that_are_equal_and_not_the_same_have_keys_of_their_own() -> None:
    for value in [True, 1, 1.0, 1.5, 0, 0.0, -0.0, False, None, "1", "true", 10**500, 1]:
        own = leaf_key(("trigger", "a")) + value_key(value)
        assert own in contents_of({"trigger": {"a": value}}).keys
    assert contents_of({"trigger": {"headers": {"0": "word"}}}).keys == {b"vtrigger\x1fheaders\x1f0\0tword"}
    assert b"wword" in contents_of({"trigger": {"headers": ["word"]}}).keys


@pytest.mark.parametrize(
    "body",
    [
        lambda run: {f"{run}-{number}": {} for number in range(40_000)},
        lambda run: {f"{run}-{number}" + 5_000 * "x": {} for number in range(600)},
        lambda run: {"deep": [[[[[f"{run} {number}"]]]] for number in range(2_000)]},
        lambda run: [" ".join(f"{run}{number:x}{word}" for word in range(40)) for number in range(200)],
    ],
)
def test_whatever_runs_have_it_takes_little_memory_to_know_it(body: Callable[[int], Json]) -> None:
    tracemalloc.start()
    for run in range(3):
        contents_of({"trigger": {"body": body(run)}})
    _kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3 * KNOWN_BYTES


@given(
    st.recursive(st.none() | st.booleans() | numbers | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_any_json_has_keys(value: Any) -> None:
    for key in contents_of({"trigger": {"body": value}}).keys:
        assert key[:1] in (b"v", b"w")
        assert b"\xff" not in key


@pytest.mark.parametrize(
    ("text", "path", "operator", "value", "quoted"),
    [
        ("trigger.body.id=4711", ("trigger", "body", "id"), "=", "4711", False),
        (' steps.a-1.output["x y"].z[0] >= 1.5 ', ("steps", "a-1", "output", "x y", "z", "0"), ">=", "1.5", False),
        (r'error.message ~ "a \"b\" = c"', ("error", "message"), "~", 'a "b" = c', True),
        ("trigger.body.a!=b = c", ("trigger", "body", "a"), "!=", "b = c", False),
        ("trigger.body.a=\"\"", ("trigger", "body", "a"), "=", "", True),
        ("trigger.body?", ("trigger", "body"), "?", "", False),
    ],
)  # fmt: skip
def test_comparisons_are_read(text: str, path: tuple[str, ...], operator: Any, value: str, quoted: bool) -> None:
    assert comparison(text) == Comparison(path, operator, value, quoted)


@pytest.mark.parametrize(
    ("q", "where", "path", "code", "at"),
    [
        ('a "b', [], "q", "open_phrase", 3), ('a ""', [], "q", "no_word", 2), ("... a", [], "q", "no_word", 1),
        ("*", [], "q", "no_word", 1), ("a*b*", [], "q", "no_word", 4),
        ("x" * (MAX_QUERY + 1), [], "q", "too_long", 501),
        (None, ["trigger.a=1", "trigr.body=1"], "where.1", "unknown_path", 1), (None, ["=1"], "where.0", "no_path", 1),
        (None, ["trigger.body 1"], "where.0", "no_operator", 13), (None, ["trigger.a="], "where.0", "no_value", 11),
        (None, ['trigger.a="x'], "where.0", "open_quote", 11), (None, ["trigger.a? 1"], "where.0", "unexpected", 12),
        (None, [r'trigger.a="\q"'], "where.0", "malformed", 11),
        (None, ["trigger.a==1"], "where.0", "two_operators", 11),
        (None, ["trigger.a => 1"], "where.0", "two_operators", 12),
        (" ".join(f"w{n}" for n in range(30)), [], "q", "too_many", 0),
    ],
)  # fmt: skip
def test_mistakes_say_where_they_are(q: str | None, where: list[str], path: str, code: str, at: int) -> None:
    with pytest.raises(Invalid) as refused:
        search(q, where)
    errors = refused.value.details["errors"]
    assert isinstance(errors, list)
    (error,) = errors
    assert isinstance(error, dict)
    assert (error["path"], error["code"]) == (path, code)
    assert not at or f"(at character {at})" in str(error["reason"])
    if code == "unknown_path":
        assert error["did_you_mean"] == "trigger"


@given(st.text(max_size=100), st.lists(st.text(max_size=60), max_size=3))
def test_any_text_is_a_search_or_a_mistake(q: str, where: list[str]) -> None:
    with suppress(Invalid):
        search(q, where)


def test_matches_say_where_each_term_is_found() -> None:
    values: dict[str, Any] = {
        "trigger": {"body": {"note": "x " * 100 + "for Grace", "n": [1, 2]}, "headers": {"x-by": "grace"}},
        "steps": {"a b": {"output": "Grace again"}},
    }

    def told(q: str, *where: str) -> list[tuple[str, str]]:
        return [(match.path, match.text) for match in matches_of(values, search(q, where))]

    (note,) = told("grace")
    assert note[0] == "trigger.body.note"
    assert note[1].startswith("…")
    assert "Grace" in note[1]
    assert told("again") == [('steps["a b"].output', "Grace again")]
    assert told("", "trigger.body.n[1]>1", "trigger.headers.X-By~RAC") == [
        ("trigger.body.n[1]", "2"), ("trigger.headers.x-by", "grace"),
    ]  # fmt: skip
    assert told("", "trigger.body.n[0]!=1") == told("nowhere") == []


@given(st.lists(st.text(max_size=8), min_size=1, max_size=5))
def test_a_path_that_is_written_is_read_as_itself(path: list[str]) -> None:
    text = written(path)
    assert text is None or parse_path(text) == tuple(path)


@given(st.text(max_size=20), st.text(min_size=1, max_size=3))
@example("STRASSE", "ß")
@example("Straße", "ss")
@example("\u212a", "k")  # the sign for kelvin is a k in lower case
def test_a_text_contains_another_in_any_case(text: str, part: str) -> None:
    key = leaf_key(("trigger", "t")) + text_key(text)
    assert Term((), inside=part.casefold()).takes(key) == (part.casefold() in clean(text).casefold())
