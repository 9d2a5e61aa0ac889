"""What requests may carry: the base of all inputs, and the types that several share."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Self, TypeAlias, TypeVar

import msgspec
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from domain.language.moments import iso_moment
from domain.values.json import Json, JsonObject
from domain.values.shapes import LINE, NAME

MAX_BODY = 1_000_000
"""Bytes of a JSON request; webhooks have their own limit."""

_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,30})?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)
_POSITION = re.compile(r"[0-9]{1,18}")

T = TypeVar("T")
Injected: TypeAlias = NamedDependency[SkipValidation[T]]
"""An argument that create_app provides."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=NAME)]
StepId = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=LINE)]
Password = Annotated[str, msgspec.Meta(min_length=8, max_length=256)]


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON body; fields that we do not know are refused, so that a typo is not silently ignored."""

    @classmethod
    def prepared(cls, raw: JsonObject) -> JsonObject:
        """The body as it is checked and read; for types that take more than one spelling."""
        return raw


_TICK = timedelta(microseconds=1)
_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC) + _TICK, datetime.max.replace(tzinfo=UTC) - _TICK
"""What lies beyond is infinite for the database, and no number of milliseconds."""


class Moment:
    """A time as a client gives it: an RFC 3339 date-time, or a date, which is its midnight in UTC."""

    __slots__ = ("at",)

    def __init__(self, at: datetime) -> None:
        self.at = at

    @classmethod
    def decode(cls, text: Json) -> Self:
        """The time that a text names, in UTC. Raises ValueError."""
        if not isinstance(text, str) or not _RFC_3339.fullmatch(text):
            raise ValueError(f"must be a date or date-time as in RFC 3339, such as 2026-11-25T10:00:00Z{_hint(text)}")
        try:
            return cls(min(max(iso_moment(text).astimezone(UTC), _EARLIEST), _LATEST))
        except (ValueError, OverflowError):
            raise ValueError("there is no such date or time") from None


def require_order(start: Moment | None, end: Moment | None, names: tuple[str, str] = ("from", "to")) -> None:
    """Refuse a stretch of time that ends before it begins: nothing is in it. Raises ValueError."""
    if start and end and start.at > end.at:
        raise ValueError(f"{names[1]} is before {names[0]}")


class AsOf:
    """A point of the past as a client gives it: a time as above, or a position of the log."""

    __slots__ = ("value",)

    def __init__(self, value: datetime | int) -> None:
        self.value = value

    @classmethod
    def decode(cls, text: Json) -> Self:
        """The time or the position that a text names. Raises ValueError."""
        if isinstance(text, str) and _POSITION.fullmatch(text):
            return cls(int(text))
        try:
            return cls(Moment.decode(text).at)
        except ValueError as error:
            raise ValueError(f"{error}, or be a position of the log such as 4711") from None


def _hint(text: Json) -> str:
    spoilt = isinstance(text, str) and re.search(r":[0-9]{2} [0-9]{2}:[0-9]{2}\Z", text)
    return "; in a URL, + is written %2B" if spoilt else ""
