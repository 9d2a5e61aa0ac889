"""Room in bytes for the payloads of runs in memory. A run waits until its payloads fit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from domain.envelope import MAX_INLINE_DATA

SMALL_BYTES = 32 * 2**20
"""Payloads of small runs that were taken from the topic and are not finished."""
LARGE_BYTES = 16 * 2**20
"""Payloads of large runs that are being carried on: these, or a single run that is larger."""


class Room:
    """A number of bytes, first come, first served. A single payload that is larger gets in when the room is empty."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    async def take(self, size: int) -> None:
        """Wait until there is room, and hold it until `give`."""
        async with self._turn:
            while self._held and self._held + size > self._limit:
                self._freed.clear()
                await self._freed.wait()
            self._held += size

    def give(self, size: int) -> None:
        """Free what `take` has taken."""
        self._held -= size
        self._freed.set()


class Rooms:
    """Two rooms, so that small runs do not wait for large ones."""

    def __init__(self) -> None:
        self.small = Room(SMALL_BYTES)
        self._large = Room(LARGE_BYTES)

    @asynccontextmanager
    async def of(self, size: int) -> AsyncIterator[None]:
        """Hold room for a run's payloads."""
        room = self._large if is_large(size) else self.small
        await room.take(size)
        try:
            yield
        finally:
            room.give(size)


def is_large(size: int) -> bool:
    """Whether a run's payloads are read only when it is its turn."""
    return size > MAX_INLINE_DATA
