"""JSON as values of PostgreSQL, and the other way round."""

import base64
import math
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import msgspec

from domain.connector.http_client import Unreachable
from domain.values.json import Json

_SAFE = 2**53


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _int(value: Any) -> int:
    if isinstance(value, bool | float) and value != int(value):
        raise ValueError(value)
    return int(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _json(value)


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}[str(value).lower()]


_MADE: dict[str, Callable[[Any], object]] = {
    **dict.fromkeys(("int2", "int4", "int8", "oid"), _int),
    **dict.fromkeys(("float4", "float8"), float),
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "citext", "unknown"), _text),
    **dict.fromkeys(("json", "jsonb"), _json),
    "numeric": lambda value: Decimal(str(value)),
    "bool": _bool,
    "uuid": lambda value: UUID(str(value)),
    "date": lambda value: date.fromisoformat(str(value)[:10]),
    "time": lambda value: time.fromisoformat(str(value)),
    "timestamp": lambda value: datetime.fromisoformat(str(value)).replace(tzinfo=None),
    "timestamptz": lambda value: datetime.fromisoformat(str(value)).astimezone(),
    "bytea": lambda value: base64.b64decode(str(value), validate=True),
}


def given(parameters: Sequence[Json], types: Sequence[str]) -> list[object]:
    """Parameters of a statement, as their types want them. Raises Unreachable for what fits none."""
    if len(parameters) != len(types):
        told = f"the statement has {len(types)} parameters, and {len(parameters)} are given"
        raise Unreachable("bad_parameters", told, permanent=True)
    return [_given(value, kind, number) for number, (value, kind) in enumerate(zip(parameters, types, strict=True), 1)]


def _given(value: Json, kind: str, number: int) -> object:
    if value is None:
        return None
    if kind.endswith("[]"):
        listed = value if isinstance(value, list) else [value]
        return [_given(one, kind[:-2], number) for one in listed]
    try:
        made = _MADE.get(kind)
        return made(value) if made else value
    except (ValueError, TypeError, KeyError, InvalidOperation, OverflowError):
        raise Unreachable("bad_parameters", f"parameter ${number} is no value of type {kind}", permanent=True) from None


def shown(value: object) -> Json:
    """A column's value as JSON; numbers that JSON would make inexact are text."""
    match value:
        case float():
            return value if math.isfinite(value) else str(value)
        case None | bool() | str() | dict():
            return value
        case int():
            return value if abs(value) <= _SAFE else str(value)
        case bytes():
            return base64.b64encode(value).decode()
        case datetime() | date() | time():
            return value.isoformat()
        case list() | tuple():
            return [shown(one) for one in value]
        case _:
            return str(value)
