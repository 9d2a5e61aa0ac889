"""JSON from strangers: decoded, or refused with one error."""

import json
import re
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.values.json import MAX_DEPTH, MalformedJson, check, doubled_key, parse, parse_strictly, too_deep, utf8

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
confusing = st.lists(st.sampled_from(['"', "\\", "[", "]", "{", "}", ":", ",", "a", "\\\\", '\\"']), max_size=60)


def depth_of(raw: str) -> int:
    """The deepest nesting outside strings, byte by byte: the slow reading that too_deep must agree with.

    No JSON has a backslash outside strings: what it does there makes no difference.
    """
    depth = deepest = 0
    in_string = escaped = False
    for sign in raw:
        if sign == '"' and not escaped:
            in_string = not in_string
        elif sign in "[{" and not in_string:
            depth += 1
            deepest = max(deepest, depth)
        elif sign in "]}" and not in_string:
            depth -= 1
        escaped = sign == "\\" and not escaped
    return deepest


@given(json_values)
def test_json_comes_back_as_it_was(value: object) -> None:
    assert parse(json.dumps(value).encode()) == value


@given(json_values, st.sampled_from(["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"]))
def test_json_shows_itself_how_it_is_written(value: object, encoding: str) -> None:
    raw = json.dumps([value], ensure_ascii=False).encode(encoding, "replace")
    assert parse(raw) == json.loads(raw.decode(encoding))
    check(raw)


@given(st.binary() | st.text().map(str.encode) | confusing.map(lambda parts: "".join(parts).encode()))
def test_any_bytes_are_decoded_or_refused(raw: bytes) -> None:
    with suppress(MalformedJson):
        parse(raw)
    with suppress(MalformedJson):
        parse_strictly(raw)


pieces = st.sampled_from(
    ["[", "]", "{", "}", ":", ",", '"', "\\", "\\\\", "\\ud83d", "\\ude00", "\\uD800", "\\u0041", "u", "1e400",
     "1e-400",     "-0", "9" * 4_400, "9" * 25, ".5", "E1", "true", " ", "\0", "\ufeff", "é"]
)  # fmt: skip


@settings(max_examples=500)
@given(st.lists(pieces, max_size=12).map("".join), st.binary(max_size=4), st.booleans())
def test_what_only_checks_and_what_decodes_never_disagree(inner: str, tail: bytes, within: bool) -> None:
    raw = f'["{inner}"]'.encode() if within else f"[{inner}]".encode()
    for text in (raw, raw + tail, raw[:-2] + tail + raw[-2:], b"\xef\xbb\xbf" + raw, raw.decode().encode("utf-16")):
        assert taken(check, text) == taken(parse, text)


@pytest.mark.parametrize("raw", [b"\x001\x00\x00", b"1\x00\x00", b"\xfe\xff\x001\x00\x00", b"\x00", b"\xff\xfe"])
def test_what_cuts_out_parts_agrees_too(raw: bytes) -> None:
    """Found by coverage: UTF-16 of `1` and a NUL was taken for UTF-16 once more."""
    assert taken(utf8, raw) == taken(check, raw) == taken(parse, raw)


def taken(read: Callable[[bytes], object], raw: bytes) -> bool:
    try:
        read(raw)
    except MalformedJson:
        return False
    return True


@pytest.mark.parametrize(
    "number",
    ["1e400", "-1e400", "1e999999999999999999999", "1e-400", "4.9e-325", "12345678901234567.89", "9007199254740993.0",
     "3.14159265358979323846", "0.30000000000000004001", "9" * 4_301, "-" + "9" * 100_000, "1" * 400 + ".5"],
)  # fmt: skip
def test_a_number_that_a_double_would_change_is_its_text(number: str) -> None:
    raw = f'{{"id":7,"n":[{number}],"s":"{number}"}}'.encode()
    assert parse(raw) == {"id": 7, "n": [number], "s": number}
    check(raw)


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("1.10", 1.1),
        ("0.10000000000000001", 0.1),
        ("0.1000000000000000055511151231257827021181583404541015625", 0.1),
        ("1E5", 100_000.0),
        ("0e999", 0.0),
        ("1.7976931348623157e308", 1.7976931348623157e308),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("-18446744073709551616", -(2**64)),
        ("9" * 4_300, 10**4_300 - 1),
        ("9007199254740993", 2**53 + 1),
        ("9007199254740992.0", 2.0**53),
    ],
)
def test_any_other_number_is_a_number(number: str, value: float) -> None:
    assert parse(number.encode()) == value
    assert type(parse(number.encode())) is type(value)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_no_decimal_changes(number: Decimal) -> None:
    text = str(number).removeprefix("+")
    value = parse(text.encode())
    assert isinstance(value, str | int | float)
    written = [Decimal(str(value)), Decimal(value)] + ([Decimal(f"{value:.17g}")] if isinstance(value, float) else [])
    assert value == text or number in written


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (rb'"\ud800"', "\ufffd"),
        (rb'"a\uDFFFb"', "a\ufffdb"),
        (rb'"\udc00\ud800"', "\ufffd\ufffd"),
        (rb'"\ud800\ud83d\ude00\ude00"', "\ufffd\U0001f600\ufffd"),
        (rb'"\ud83d\u0041"', "\ufffdA"),
        (rb'"\\ud800 \ud800"', "\\ud800 \ufffd"),
        (rb'"\\\ud800"', "\\\ufffd"),
        (b'"\xed\xa0\x80"', "\ufffd"),
        (b'\xff\xfe"\0\0\xd8"\0', "\ufffd"),
    ],
)
def test_half_a_surrogate_pair_is_the_replacement_character(raw: bytes, text: str) -> None:
    assert parse(raw) == text
    check(raw)
    if not raw.startswith(b"\xff"):
        assert parse(b'{"k":1,' + raw + b":2}") == {"k": 1, text: 2}


def test_of_doubled_keys_the_last_one_counts() -> None:
    assert parse(b'{"a":1,"b":2,"a":3}') == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    ("encoding", "words"),
    [("utf-8-sig", "a byte order mark (U+FEFF): leave that out"), ("latin-1", "not UTF-8 (byte 6)")]
    + [(f"utf-{of}", f"written in UTF-{of[:2]}: send it in UTF-8") for of in ("16", "16-le", "16-be", "32", "32-be")],
)
def test_json_for_us_in_another_encoding_is_refused_by_its_name(encoding: str, words: str) -> None:
    with pytest.raises(MalformedJson, match=re.escape(words)):
        parse_strictly('{"a":"é"}'.encode(encoding))


def test_half_a_character_for_us_is_refused_as_that() -> None:
    with pytest.raises(MalformedJson, match="half of a surrogate pair"):
        parse_strictly(rb'{"name": "\ud800"}')
    assert parse_strictly(rb'"\ud83d\ude00 \\ud800"') == "\U0001f600 \\ud800"


@pytest.mark.parametrize("raw", [b"1e999", rb'"\ud800"', b"\xef\xbb\xbf{}", b"9" * 9_999, b"[" * 100])
def test_what_is_written_for_us_is_read_strictly(raw: bytes) -> None:
    with pytest.raises(MalformedJson):
        parse_strictly(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'["' + rb"\ud800" * 160_000 + b'"]',
        b'["' + rb"\n\ud800" * 120_000 + b'"]',
        b'["' + rb"\n" * 500_000 + rb"\ud800" + b'"]',
        b"[" + b"1" * 1_000_000 + b"]",
        b"[" + b"1" * 5_000 + b',""' * 300_000 + b"]",
        b"[" + b"0." + b"1" * 1_000_000 + b"]",
        b"[" + b"1e400," * 150_000 + b"1]",
        b'["' + b"1" * 5_000 + rb"\ud800" + b"\\\\" * 400_000 + b'"',
    ],
)
def test_no_megabyte_takes_long(raw: bytes) -> None:
    began = time.process_time()
    taken(parse, raw)
    taken(check, raw)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "raw",
    [
        b'"' * 1_000_000 + b"[" * 100,
        b"[" + b"[]," * 300_000 + b"[]]",
        b"[" + b"1" * 5_000 + b'"1' * 500_000,
        b'["' + b"\xed\xa0\x80" * 300_000 + b'"]',
    ],
)
def test_looking_takes_little_memory(raw: bytes) -> None:
    tracemalloc.start()
    try:
        taken(check, raw)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 * len(raw)


@pytest.mark.parametrize(
    "raw",
    [b"", b" ", b"NaN", b"Infinity", b"01", b"1.", b'"\xff"', b"{}x", b"{}\0", b'"\0"', b"\0", b"{,}", b"\xff\xfe"],
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


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        (b'{"a": 1, "b": {"a": 2}, "c": [{"a": 1}, {"a": 1}]}', None),
        (rb'{"a": ":\u003a\u003A \\u003a", "b:": ":", "n": 123456789012345678901234567890}', None),
        (b'{"a": 1, "b": 2, "a": 1}', "a"),
        (b'[{"x": {"steps": [], "steps": [1]}}]', "steps"),
        (rb'{"name": 1, "n\u0061me": 2}', "name"),
        (rb'{"a": 1, "a": "\u003a\u003A"}', "a"),
        (b'{"": 1, "": 2}', ""),
        (b'{"n": 123456789012345678901234567890, "n": 1}', "n"),
        (b'{"n": 123456789012345678901234567890, "m": 1}', None),
        (b"7", None),
        (b'{"a": "%b", "b": {"a": "x"}}' % (b"x:" * 50_000), None),
        (b'{"a": "%b", "b": {"a": "\\""}}' % (b"x:" * 50_000), None),
        (b'{"a": "%b", "a": 1}' % (b"x" * 100_000), "a"),
        (b'{"a": [%b1], "b": {"c": 1, "c": 1}}' % (b"1," * 50_000), "c"),
    ],
)
def test_a_doubled_key_is_found(raw: bytes, key: str | None) -> None:
    assert doubled_key(raw, parse_strictly(raw)) == key


@given(st.recursive(st.text(max_size=3) | st.integers(), lambda inner: st.dictionaries(st.text(":a"), inner)))
def test_no_key_is_doubled_in_what_json_writes(value: object) -> None:
    raw = msgspec.json.encode(value)
    assert doubled_key(raw, parse_strictly(raw)) is None
