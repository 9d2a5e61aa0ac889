"""JSON values: their type, and a decoder for bytes that strangers sent."""

import re
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
else:
    # msgspec has no recursive types; at run time every JSON value is accepted as it is.
    Json = Any

JsonObject: TypeAlias = "dict[str, Json]"

MAX_DEPTH = 64
"""Nesting that is accepted from outside; parsers and databases fail at about a thousand."""

_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")
_decoder: "msgspec.json.Decoder[Json]" = msgspec.json.Decoder()


class MalformedJson(ValueError):
    """The bytes are not JSON, not UTF-8, or nested deeper than MAX_DEPTH."""


def parse(raw: bytes) -> Json:
    """Decode untrusted bytes. Raises MalformedJson, and nothing else."""
    if too_deep(raw):
        raise MalformedJson(f"JSON is nested deeper than {MAX_DEPTH} levels")
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedJson(str(error)) from error


def too_deep(raw: bytes, limit: int = MAX_DEPTH) -> bool:
    """Whether brackets outside strings nest deeper than `limit`; linear, never recursive."""
    if raw.count(b"[") + raw.count(b"{") <= limit:
        return False
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", raw)):
        depth += 1 if bracket in b"[{" else -1
        if depth > limit:
            return True
    return False
