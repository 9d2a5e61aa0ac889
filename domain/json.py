"""JSON values: their type, and a decoder for bytes that strangers sent."""

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"
else:
    # msgspec has no recursive types; at run time every JSON value is accepted as it is.
    Json = Any

JsonObject: TypeAlias = "dict[str, Json]"

MAX_DEPTH = 64
"""Nesting that is accepted from outside; parsers and databases fail at about a thousand."""

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
    in_string = escaped = False
    for byte in raw:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in (0x5B, 0x7B):
            depth += 1
            if depth > limit:
                return True
        elif byte in (0x5D, 0x7D):
            depth -= 1
    return False
