"""What can be done to a remembered value: pure, so that a test of a draft does what a run does."""

from datetime import datetime, timedelta
from typing import TypeAlias, assert_never

import msgspec

from domain.language.spelling import as_json
from domain.values.json import Json, JsonObject

MAX_VALUE = 256 * 1024
"""Bytes of one value as JSON."""
MAX_LIST = 10_000
"""Items of a list that grows."""
MAX_BYTES = 64 * 2**20
"""Of all that a workspace remembers, OVERHEAD for each entry included."""
OVERHEAD = 100


class Stored(msgspec.Struct, frozen=True):
    """A value with its version: a number that grows with each change in the workspace. `expires_at`: None for never."""

    value: Json
    version: int
    expires_at: datetime | None = None

    def there(self, now: datetime) -> "Stored | None":
        """Itself, unless it has expired."""
        return None if self.expires_at is not None and self.expires_at <= now else self


class Put(msgspec.Struct, frozen=True):
    """Store a value for `ttl_s` seconds, or for ever. With `if_version` only over that version; 0: only a new one."""

    value: Json
    ttl_s: float | None = None
    if_version: int | None = None


class Add(msgspec.Struct, frozen=True):
    """Add to a number; where there is none it is 0, and lives `ttl_s` seconds from then on."""

    by: int | float
    ttl_s: float | None = None


class Push(msgspec.Struct, frozen=True):
    """Add to the end of a list, of which the last `most` items stay."""

    value: Json
    most: int
    ttl_s: float | None = None


class Remove(msgspec.Struct, frozen=True):
    """Forget a value; with `if_version` only that version."""

    if_version: int | None = None


Change: TypeAlias = Put | Add | Push | Remove


class Unremembered(ValueError):
    """The change cannot be made, now or later; `code` says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Made(msgspec.Struct, frozen=True):
    """What is stored after a change, None for nothing; what the step gives; whether anything has changed."""

    after: Stored | None
    output: JsonObject
    changed: bool = True


def made(change: Change, before: Stored | None, version: int, now: datetime) -> Made:
    """Make a change to what is there, or to nothing. `version` is that of the outcome. Raises Unremembered."""
    match change:
        case Put(value, ttl_s, if_version):
            if if_version is not None and if_version != (before.version if before else 0):
                return _refused("stored", before)
            return Made(Stored(value, version, _until(ttl_s, now)), {"stored": True, "version": version})
        case Add(by, ttl_s):
            number = _sum(before.value if before else 0, by)
            after = Stored(number, version, before.expires_at if before else _until(ttl_s, now))
            return Made(after, {"value": number, "version": version})
        case Push(value, most, ttl_s):
            items = before.value if before else []
            if not isinstance(items, list):
                raise Unremembered("not_a_list", "the remembered value is no list, so nothing can be appended to it")
            kept = [*items, value][-most:]
            after = Stored(kept, version, before.expires_at if before else _until(ttl_s, now))
            return Made(after, {"length": len(kept), "version": version})
        case Remove(if_version):
            if if_version is not None and if_version != (before.version if before else 0):
                return _refused("deleted", before)
            return Made(None, {"deleted": before is not None})
    assert_never(change)


def _refused(what: str, before: Stored | None) -> Made:
    there: JsonObject = {"value": before.value if before else None, "version": before.version if before else 0}
    return Made(before, {what: False, **there}, changed=False)


def _until(ttl_s: float | None, now: datetime) -> datetime | None:
    return None if ttl_s is None else now + timedelta(seconds=ttl_s)


def _sum(value: Json, by: float) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unremembered("not_a_number", "the remembered value is no number, so it can't be incremented")
    total = value + by
    if (isinstance(total, int) and total.bit_length() > 1_000) or total in (float("inf"), float("-inf")):
        raise Unremembered("too_large", "the number is too large")
    return total


def encoded(value: Json) -> bytes:
    """The value as it is stored. Raises Unremembered where it is too large."""
    text = as_json(value).encode("utf-8", "replace")
    if len(text) > MAX_VALUE:
        raise Unremembered(
            "too_large", f"a remembered value may have {MAX_VALUE:,} bytes as JSON; this has {len(text):,}"
        )
    return text


def output_of(stored: Stored | None, default: Json) -> JsonObject:
    """What reading a value gives."""
    if stored is None:
        return {"found": False, "value": default, "version": 0, "expires_at": None}
    expires_at = stored.expires_at.isoformat() if stored.expires_at else None
    return {"found": True, "value": stored.value, "version": stored.version, "expires_at": expires_at}
