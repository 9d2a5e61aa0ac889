"""How values are written into text: as Liquid and JSON write them, never as Python does. And how messages name them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from liquid.builtin.expressions.primitive import Blank, Empty
from liquid.exceptions import UndefinedError
from liquid.undefined import Undefined

MAX_MADE = 5_000_000
"""The most output of one filter: its characters, and _ITEM for each item of a list."""
_ITEM = 20
_MAX_NAMES = 5
_LOOP = ("first", "index", "index0", "last", "length", "rindex", "rindex0")


class Absent(Undefined):
    """The value of a missing path: false, nil and empty in tags, an error in output."""

    __slots__ = ()

    def __str__(self) -> str:
        raise UndefinedError(self.hint or f"{self.name} is undefined", token=self.token)

    def __hash__(self) -> int:
        return hash(self.name)


def spelled(value: object) -> str:
    """The value as text: nothing for null, `empty` and `blank`, objects and lists as JSON. Raises UndefinedError."""
    match value:
        case str():
            return value
        case None | Empty() | Blank():
            return ""
        case Absent():
            return str(value)
        case range():
            return f"{value.start}..{value.stop - 1}"
    return as_json(value)


def as_json(value: object) -> str:
    """The value as JSON. Raises UndefinedError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Absent):
        return str(value)
    try:
        return msgspec.json.encode(value, enc_hook=_plain).decode()
    except (OverflowError, UnicodeEncodeError):  # whole numbers beyond 64 bits, and half a surrogate pair
        return msgspec.json.encode(_encodable(msgspec.to_builtins(value, enc_hook=_plain))).decode()


def _encodable(value: object) -> object:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case int() if value.bit_length() > 63 and not isinstance(value, bool):
            return msgspec.Raw(str(value).encode())
        case list() | tuple():
            return [_encodable(item) for item in value]
        case dict():
            return {_encodable(key): _encodable(item) for key, item in value.items()}
    return value


def _plain(value: object) -> Any:
    """JSON for values that only templates have: ranges, the loop's own variables, `empty` and `blank`."""
    match value:
        case range():
            return list(value)
        case Undefined():
            return None
        case Decimal():
            return float(value)
        case Mapping():
            return {name: value[name] for name in _LOOP if name in value}
    return None


def described(value: object) -> str:
    """The kind of a value in words for users, with its size: for error messages."""
    match value:
        case None | Undefined():
            return "null"
        case bool():
            return str(value).lower()
        case int() | float() | Decimal():
            return "a number"
        case str():
            size = len(value.encode("utf-8", "replace"))
            return f"text of {size:,} byte{'s' * (size != 1)}" if size else "empty text"
        case list() | tuple() | range():
            return f"a list of {len(value):,} item{'s' * (len(value) != 1)}" if len(value) else "an empty list"
        case dict():
            return _object(value)
    return "nothing that JSON has"


def _object(value: dict[Any, object]) -> str:
    if not value:
        return "an empty object"
    names = [str(key)[:50] for key, _ in zip(value, range(_MAX_NAMES), strict=False)]
    others = len(value) - len(names)
    return "an object with " + ", ".join(names) + (f" and {others:,} more" if others else "")


def weight(value: object, most: int = MAX_MADE) -> int:
    """The approximate size of a value in characters; counting stops past `most`."""
    total = 0
    todo = [value]
    while todo and total <= most:
        item = todo.pop()
        if isinstance(item, str):
            total += len(item)
        elif isinstance(item, list | tuple):
            total += _ITEM * len(item)
            if total <= most:
                todo.extend(item)
        elif isinstance(item, dict):
            total += _ITEM * len(item)
            if total <= most:
                todo.extend(item.values())
        elif isinstance(item, int):
            total += item.bit_length() // 3
    return total
