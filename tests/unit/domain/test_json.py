"""JSON from strangers: decoded, or refused with one error."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.values.json import MAX_DEPTH, MalformedJson, parse, too_deep

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
confusing = st.lists(st.sampled_from(['"', "\\", "[", "]", "{", "}", ":", ",", "a", "\\\\", '\\"']), max_size=60)


def depth_of(raw: str) -> int:
    """The deepest nesting outside strings, byte by byte: the slow reading that too_deep must agree with."""
    depth = deepest = 0
    in_string = escaped = False
    for sign in raw:
        if in_string:
            in_string = escaped or sign != '"'
            escaped = sign == "\\" and not escaped
        elif sign == '"':
            in_string = True
        elif sign in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in "]}":
            depth -= 1
    return deepest


@given(json_values)
def test_json_comes_back_as_it_was(value: object) -> None:
    assert parse(json.dumps(value).encode()) == value


@given(st.binary() | st.text().map(str.encode) | confusing.map(lambda parts: "".join(parts).encode()))
def test_any_bytes_are_decoded_or_refused(raw: bytes) -> None:
    with suppress(MalformedJson):
        parse(raw)


@pytest.mark.parametrize(
    "raw", [b"", b"NaN", b"1e999", b'"\\ud800"', b'"\xff"', b"\xef\xbb\xbf{}", b"{}x", b"9" * 9_999]
)
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedJson):
        parse(raw)


@pytest.mark.parametrize(("open_", "close"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_is_accepted_to_the_limit_and_not_beyond(open_: bytes, close: bytes) -> None:
    inner = b"1"
    assert parse(open_ * MAX_DEPTH + inner + close * MAX_DEPTH)
    with pytest.raises(MalformedJson, match="deeper"):
        parse(open_ * (MAX_DEPTH + 1) + inner + close * (MAX_DEPTH + 1))
    with pytest.raises(MalformedJson):
        parse(open_ * 1_000_000)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert parse(b"[" + b"[],{}," * 10_000 + b"1]")


@pytest.mark.parametrize("text", ["[" * 100, '\\"' + "[" * 100, "\\\\", '\\\\\\"[[' * 50, "]]]" + "{" * 100])
def test_brackets_in_strings_do_not_count(text: str) -> None:
    raw = json.dumps([text, {text: [text]}]).encode()
    assert parse(raw) == [text, {text: [text]}]


@given(confusing, st.integers(0, 6))
def test_depth_is_counted_outside_strings(parts: list[str], limit: int) -> None:
    raw = "".join(parts)
    assert too_deep(raw.encode(), limit) == (depth_of(raw) > limit)
