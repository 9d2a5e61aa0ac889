"""Partitions that go to another consumer: nothing new begins there, and what is open may record something first."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress

from consumers.kafka.watermark import Watermarks

PATIENCE_S = 4.0
"""How long open runs may take to record something. What is not recorded is done again by the next owner."""

Partitions = Collection[int]


class Handover:
    """Gives partitions up.

    `rest` has what waits there come to rest, `save` keeps the watermarks, and `forget` drops what else is known of
    partitions that are gone.
    """

    def __init__(
        self,
        marks: Watermarks,
        *,
        rest: Callable[[Partitions], Awaitable[None]],
        save: Callable[[], Awaitable[None]],
        forget: Callable[[Partitions], None],
    ) -> None:
        self._marks = marks
        self._rest = rest
        self._save = save
        self._forget = forget
        self.is_under_way = False
        self.number = 0
        """How often Kafka has taken partitions away."""

    def overtook(self, number: int) -> bool:
        """Whether partitions went since there was this number. What was fetched before is fetched again then."""
        return self.is_under_way or self.number != number

    async def revoked(self, partitions: Sequence[int]) -> None:
        """Kafka takes these away."""
        self.number += 1
        await self._give_up(partitions)

    async def keep(self, owned: set[int]) -> None:
        """Give up what is none of these: a batch has loaded it while it went."""
        if others := self._marks.by_partition.keys() - owned:
            await self._give_up(sorted(others))

    async def _give_up(self, partitions: Partitions) -> None:
        marks = [mark for p, mark in self._marks.by_partition.items() if p in partitions]
        self.is_under_way = True
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    await asyncio.gather(self._rest(partitions), *(mark.idle.wait() for mark in marks))
            await self._save()
        finally:
            self._marks.drop(partitions)
            self.is_under_way = False
        self._forget(partitions)
