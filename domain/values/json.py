"""JSON values: their type, and a decoder for bytes that strangers sent.

The decoder accepts what has one plain meaning: it skips a byte order mark, recognises UTF-16 and UTF-32, turns half a
surrogate pair into U+FFFD, and takes the last of doubled keys. Numbers keep their value: integers of any size, decimals
as doubles. A number that a double would change (1e400, 12345678901234567.89) becomes its own text.
"""

import json
import math
import re
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from json import detect_encoding
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

if TYPE_CHECKING:
    Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
else:
    # msgspec has no recursive types; at run time every JSON value is accepted as it is.
    Json = Any

JsonObject: TypeAlias = "dict[str, Json]"
Scalar: TypeAlias = bool | int | float | str | None
T = TypeVar("T")

MAX_DEPTH = 64
"""Nesting that is accepted from outside; parsers and databases fail at about a thousand."""
MAX_DIGITS = 4_300
"""Of an integer that becomes a number; Python refuses to convert longer ones, since that takes quadratic time."""
_SURE_DIGITS = 15
"""Of a decimal: a double keeps that many, whatever they are."""

_SMALLEST = 1e-300
"""Below it, doubles have fewer digits."""

_UNMARKED = bytes(set(range(256)) - set(b'[]{}"'))
_RUN = rb"{1,4096}+"
"""How much is matched at once: in between other threads have their turn, which one long match would keep from all."""
_PIECE = 64 * 1024

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_LONG_INTEGER = rb"-?\d{%d,}+(?![\d.eE+-])" % (MAX_DIGITS + 1)
_LONG_INTEGERS = re.compile(
    rb'((?:%b|[^"\d.eE+-]++|(?!%b)[\d.eE+-]++)%b)|%b' % (_STRING, _LONG_INTEGER, _RUN, _LONG_INTEGER), re.DOTALL
)
"""Group 1 is everything else; long integers match without a group."""
_LONG = re.compile(rb"(?<!\d)\d{%d}" % (MAX_DIGITS + 1))
_LONE = rb"\\u[dD][89a-fA-F][\da-fA-F]{2}"
_ESCAPES = re.compile(
    rb"((?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2})"
    + _RUN + rb")|(?:" + _LONE + rb"(?!\\u[dD][c-fC-F]))" + _RUN + rb"|" + _LONE,
    re.DOTALL,
)  # fmt: skip
"""Group 1 is everything but lone halves of surrogate pairs; lone halves match without a group."""
_SURROGATES = re.compile(rb"(?:\xed[\xa0-\xbf][\x80-\xbf])" + _RUN)


_LARGE, _FEW = 64 * 1024, 4_000
"""Bytes of JSON above which its texts are counted first, and the parts of a value up to which they are."""


class MalformedJson(ValueError):
    """The bytes are not JSON, not Unicode, or nested deeper than MAX_DEPTH."""


class _DoubledKey(Exception):
    pass


def parse(raw: bytes) -> Json:
    """Decode untrusted bytes. Raises MalformedJson, and nothing else."""
    return _decode(_decoder, _utf8(raw))


def check(raw: bytes) -> None:
    """Raises MalformedJson where `parse` does. It makes no objects, and takes a tenth of the time."""
    _decode(_checker, _utf8(raw))


def utf8(raw: bytes) -> bytes:
    """The same JSON in plain UTF-8, so that its parts can be cut out. Raises MalformedJson where `parse` does."""
    text = _utf8(raw)
    try:
        _checker.decode(text)
        text.decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = _mended(text)
        _decode(_checker, text)  # not `check`, which would look for the encoding once more
    return text


def parse_strictly(raw: bytes) -> Json:
    """Like `parse`, but strict, for requests to our API: valid UTF-8 and JSON, and every number is a number."""
    if too_deep(raw):
        raise MalformedJson(f"JSON is nested deeper than {MAX_DEPTH} levels")
    try:
        return _strict.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedJson(_strange(raw) or _words(error)) from error


def doubled_key(raw: bytes, value: Json) -> str | None:
    """A key that is there twice in one object of the JSON that `value` was read from; None where there is none.

    Only a doubled key leaves more colons in the JSON than the value has, unless some are escaped. To count them takes
    a small part of the time that it takes to look at every key.
    """
    if len(raw) > _LARGE and raw.count(b'"') == 2 * _few_texts(value):
        return None
    if rb"\u003a" not in raw and rb"\u003A" not in raw:
        with suppress(OverflowError):  # an integer that only Python can hold
            if raw.count(b":") <= msgspec.json.encode(value).count(b":"):
                return None
    try:
        json.loads(raw, object_pairs_hook=_require_single, parse_int=str, parse_float=str)
    except _DoubledKey as found:
        return str(found)
    return None


def _few_texts(value: Json) -> int:
    """How many texts a value has, its keys included; -1 where it has many parts. Large texts need not be looked at."""
    texts, todo = 0, [value]
    for part in todo:
        if len(todo) > _FEW:
            return -1
        if isinstance(part, str):
            texts += 1
        elif isinstance(part, dict):
            texts += len(part)
            todo += part.values()
        elif isinstance(part, list):
            todo += part
    return texts


def _require_single(pairs: list[tuple[str, object]]) -> None:
    keys = set[str]()
    for key, _ in pairs:
        if key in keys:
            raise _DoubledKey(key)
        keys.add(key)


def too_deep(raw: bytes, limit: int = MAX_DEPTH) -> bool:
    """Whether brackets outside strings nest deeper than `limit`; linear, never recursive."""
    if raw.count(b"[") + raw.count(b"{") <= limit:
        return False
    depth = inside = 0
    rest = b""
    for start in range(0, len(raw), _PIECE):
        piece = (rest + raw[start : start + _PIECE]).replace(b"\\\\", b"")
        rest = piece[-1:] if piece.endswith(b"\\") else b""
        parts = piece.removesuffix(b"\\").replace(b'\\"', b"").translate(None, _UNMARKED).split(b'"')
        for bracket in b"".join(parts[inside::2]):
            depth += 1 if bracket in b"[{" else -1
            if depth > limit:
                return True
        inside ^= (len(parts) - 1) % 2
    return False


def _utf8(raw: bytes) -> bytes:
    """The text in UTF-8 without a byte order mark, of sane depth. JSON itself shows which UTF it is (RFC 4627 §3)."""
    if raw[:1] in b"\xef\xfe\xff\0" or raw[1:2] == b"\0":
        encoding = detect_encoding(raw)
        if encoding == "utf-8-sig":
            raw = raw[3:]
        elif encoding != "utf-8":
            raw = raw.decode(encoding, "replace").encode()
    if too_deep(raw):
        raise MalformedJson(f"JSON is nested deeper than {MAX_DEPTH} levels")
    return raw


def _decode(decoder: "msgspec.json.Decoder[T]", text: bytes) -> T:
    """The decoded text, mended where needed. Raises MalformedJson."""
    try:
        if not text.isascii():
            text.decode()  # a decoder that only checks does not look into strings
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        mended = _mended(text)
        if mended != text:
            return _decode(decoder, mended)
        raise MalformedJson(_words(error)) from error


def _words(error: msgspec.DecodeError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 (byte {error.start})"
    return "it ends too early" if str(error) == "Input data was truncated" else str(error)


def _strange(raw: bytes) -> str:
    """What is wrong with the encoding of JSON, empty where nothing is."""
    encoding = detect_encoding(raw)
    if encoding == "utf-8-sig":
        return "it begins with a byte order mark (U+FEFF): leave that out"
    if encoding != "utf-8":
        return f"it is written in {encoding[:6].upper()}: send it in UTF-8"
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return _words(error)  # a decoder counts from the beginning of the text that is wrong
    is_half = b"\\u" in raw and _ESCAPES.sub(_whole, raw) != raw
    return r"it has half of a surrogate pair, such as \ud83d: send whole characters" if is_half else ""


def _mended(text: bytes) -> bytes:
    """With U+FFFD for halves of surrogate pairs, and integers that Python would not convert as text."""
    if b"\\u" in text:
        text = _ESCAPES.sub(_whole, text)
    if _LONG.search(text):
        text = _LONG_INTEGERS.sub(_quoted, text)
    return _SURROGATES.sub(_replaced, text)


def _whole(escapes: re.Match[bytes]) -> bytes:
    return escapes[1] or rb"\ufffd" * (len(escapes[0]) // 6)


def _number(text: str) -> float | str:
    """A decimal as a double, unless that would be another number."""
    number = float(text)
    if len(text) <= _SURE_DIGITS and _SMALLEST < abs(number) < math.inf:
        return number
    try:
        exact = Decimal(text)
    except InvalidOperation:  # an exponent beyond all bounds
        return text
    # As short as it can be, with 17 digits, or in full: three ways in which doubles are written.
    same = exact == Decimal(repr(number)) or exact == Decimal(f"{number:.17g}") or exact == Decimal(number)
    return number if same else text


def _quoted(found: re.Match[bytes]) -> bytes:
    return found[1] or b'"' + found[0] + b'"'


def _replaced(surrogates: re.Match[bytes]) -> bytes:
    return b"\xef\xbf\xbd" * (len(surrogates[0]) // 3)


_decoder: "msgspec.json.Decoder[Json]" = msgspec.json.Decoder(float_hook=_number)
_strict: "msgspec.json.Decoder[Json]" = msgspec.json.Decoder()
_checker: "msgspec.json.Decoder[msgspec.Raw]" = msgspec.json.Decoder(msgspec.Raw)
