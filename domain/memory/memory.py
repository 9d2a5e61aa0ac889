"""The memory of a zap and of its workspace, as actions see it; sql/tables/memories.py is what stands behind it."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeAlias
from uuid import UUID

import msgspec

from domain.memory.changes import Change, Stored, encoded, made
from domain.values.json import JsonObject

Scope: TypeAlias = Literal["zap", "workspace"]


class Place(msgspec.Struct, frozen=True):
    """Where a value is: whose it is, and its key."""

    scope: Scope
    key: str


class Memory(Protocol):
    """What one zap can remember. Methods raise Unremembered, and StoreUnavailable while the database is away.

    `operation` names a step of a run: what it has changed already is not changed again, and has the same outcome.
    """

    async def get(self, place: Place) -> Stored | None: ...

    async def change(self, place: Place, change: Change, operation: str) -> JsonObject:
        """Make a change, alone at a time, and give its output."""

    async def first(self, place: Place, keys: Sequence[bytes], window: timedelta, operation: str) -> set[bytes]:
        """Those of the keys that nobody has seen within the window, and see them."""


class Scratch:
    """A memory of its own, for as long as a test of a draft takes."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._values: dict[Place, Stored] = {}
        self._seen: dict[tuple[Place, bytes], tuple[datetime, str]] = {}
        self._made: dict[str, JsonObject] = {}
        self._changes = 0

    async def get(self, place: Place) -> Stored | None:
        """See Memory."""
        found = self._values.get(place)
        return found and found.there(self._clock())

    async def change(self, place: Place, change: Change, operation: str) -> JsonObject:
        """See Memory."""
        if operation in self._made:
            return self._made[operation]
        self._changes += 1
        done = made(change, await self.get(place), self._changes, self._clock())
        self._values.pop(place, None)
        if done.after is not None:
            encoded(done.after.value)
            self._values[place] = done.after
        if done.changed:
            self._made[operation] = done.output
        return done.output

    async def first(self, place: Place, keys: Sequence[bytes], window: timedelta, operation: str) -> set[bytes]:
        """See Memory."""
        now = self._clock()
        new = set[bytes]()
        for key in keys:
            until, by = self._seen.get((place, key), (now, operation))
            if until <= now or by == operation:
                new.add(key)
                self._seen[place, key] = now + window, operation
        return new


Memories: TypeAlias = Callable[[UUID, UUID], Memory]
"""The memory of a tenant's zap."""


def scratch(clock: Callable[[], datetime]) -> Memories:
    """One memory for whoever asks."""
    memory = Scratch(clock)
    return lambda _tenant_id, _zap_id: memory
