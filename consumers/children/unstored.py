"""Items that are under way before the log has them: their requests go there with what comes of them, in one append.

An item that takes longer is requested by itself after a moment, so that people see it and can cancel it. Until then
nothing but the item whose end has begun it leads to it: the message of that one stays open for so long.
"""

import asyncio
from collections.abc import Collection

import msgspec

from consumers.kafka.patience import patiently
from domain.log.ports import EventStore
from domain.run.state import LoadedRun
from sql.process.patience import Patience

SEEN_AFTER_S = 1.0
"""How long an item may be under way unseen. With a hundred at once each takes 0.3 s on two busy cores: to request these
by themselves costs an append and a look at the log more."""


class Unstored(msgspec.Struct, frozen=True, eq=False):
    """An item that is not in the log yet, and what is set once it is, and is at rest."""

    run: LoadedRun
    at_rest: "asyncio.Future[None]"


class Requests:
    """The requests that wait for what comes of them, of all loops of a process."""

    def __init__(self, store: EventStore, seen_after_s: float = SEEN_AFTER_S) -> None:
        self._store = store
        self._patience = Patience[Unstored](seen_after_s, lambda item: item.at_rest.done(), self._take_long)
        self._long: list[Unstored] = []
        self._task: asyncio.Task[None] | None = None

    def watch(self, item: Unstored) -> None:
        """Request it by itself, if it takes long."""
        self._patience.watch(item)

    async def store(self, items: Collection[Unstored]) -> None:
        """Have them in the log, unless they are there."""
        appends = [item.run.unstored for item in items if item.run.unstored and not item.at_rest.done()]
        if appends:
            await patiently(lambda: self._store.append_each(appends))

    def _take_long(self, item: Unstored) -> None:
        self._long.append(item)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._store_long())

    async def _store_long(self) -> None:
        while self._long:
            items, self._long = self._long, []
            await self.store(items)
