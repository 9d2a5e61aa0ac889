"""Cursors of sources: the greatest time or number that an item had, as the next request names it."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from domain.language.moments import moment_of
from domain.values.json import Json


def text_of(value: Json) -> str:
    """A value as a text."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def rank(value: Json) -> tuple[int, float, str]:
    """By which values are ordered: numbers, then times, then other texts; what is none comes first."""
    if value is None or isinstance(value, list | dict | bool):
        return (0, 0.0, "")
    number = _number(value)
    if number is not None:
        return (1, number, "")
    moment = moment_of(value)
    return (2, moment.timestamp(), "") if moment else (3, 0.0, text_of(value))


def greatest(values: Iterable[Json], now: datetime) -> str:
    """The greatest value. A time in the future counts as now: a clock that is fast must not hide what comes next."""
    known = [value for value in values if rank(value)[0]]
    if not known:
        return ""
    kept = [value for value in known if rank(value)[0] != 2 or rank(value)[1] <= now.timestamp()]
    return text_of(max(kept, key=rank)) if len(kept) == len(known) else _iso(now)


def before(cursor: str, overlap_s: int) -> str:
    """The cursor as the next request names it, some seconds back."""
    if not overlap_s:
        return cursor
    number = _number(cursor)
    if number is not None:
        return text_of(int(number) - overlap_s if number == int(number) else number - overlap_s)
    moment = moment_of(cursor)
    try:
        return _iso(moment - timedelta(seconds=overlap_s)) if moment else cursor
    except OverflowError:
        return cursor  # nothing is before it


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _number(value: Json) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not value.replace(".", "", 1).lstrip("-").isdigit():
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
