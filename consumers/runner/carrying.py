"""Carries runs on in lanes, as there is room for their payloads in memory.

A message may be about a run that is over and has left the log since: then nothing is left to do.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from uuid import UUID

import msgspec

from consumers.kafka.lanes import Lanes
from consumers.runner.executor import Executor
from consumers.runner.family import Family, until_done
from consumers.runner.serial_runs import SerialRuns
from consumers.runner.shares.batched import Batched
from consumers.runner.shares.room import Held, Rooms, is_large
from consumers.runner.shares.share import Busy
from consumers.runner.wake_ups import RunMessage, requested, sizes_of, states_of
from domain.run.state import LoadedRun
from sql.log.event_store import PgEventStore
from sql.log.pages import PAGE_BYTES

PART = 50
"""Runs that are read in one go."""


class Carrying:
    """Begins what messages ask for; each message is closed when its run is at rest."""

    def __init__(self, store: PgEventStore, family: Family, serial: SerialRuns) -> None:
        self._store = store
        self._family = family
        self._serial = serial
        self._executor: Executor = family.executor
        self._lanes: Lanes = family.lanes
        self._rooms: Rooms = family.rooms
        self._sizes = Batched(partial(sizes_of, store), PART)
        self._states = Batched(partial(states_of, store), PART)

    async def begin(self, messages: Sequence[RunMessage]) -> None:
        """Begin or queue each of these runs. One that has to be read is read when it is its tenant's turn.

        Thousands that wake at once would otherwise be read before the next message is taken, which may be another
        tenant's. Only where runs may have to wait for one another are they read here, in the order of the messages.
        """
        for first in range(0, len(messages), PART):
            part = [item for item in messages[first : first + PART] if not item.is_ordered]
            runs = requested(part)
            for item in part:
                if item.event is not None and item.run_id in runs:
                    self._begin(item, runs[item.run_id], len(item.event.data))
                else:
                    self._submit(item, self._wake)
            await asyncio.sleep(0)
        ordered = [item for item in messages if item.is_ordered]
        sizes = await sizes_of(self._store, [item.run_id for item in ordered]) if ordered else {}
        for page in _pages(ordered, sizes):
            await self._begin_ordered(page, sizes)

    async def _begin_ordered(self, page: Sequence[RunMessage], sizes: Mapping[UUID, int]) -> None:
        """Put runs into the queues of their serial zaps; those of other zaps, such as items of loops, begin."""
        runs = requested(page)
        missing = [item.run_id for item in page if item.run_id not in runs]
        runs |= await states_of(self._store, missing) if missing else {}
        serial = {run_id: entry for run_id, run in runs.items() if (entry := await self._serial.entry(run))}
        if serial:
            await self._serial.enter(sorted(serial.values(), key=lambda entry: entry.run.first.position))
        for item in page:
            if item.run_id in serial or (item.run_id not in runs and item.run_id not in sizes):
                item.mark.close(item.position)
            elif item.run_id in runs:  # one that cannot be read stays open, for a runner that can
                self._begin(item, runs[item.run_id], sizes.get(item.run_id, 0))

    def _begin(self, item: RunMessage, run: LoadedRun, size: int) -> None:
        """Carry on a run that is known already, where there is room for it now."""
        held = None if self._lanes.is_busy(run.id) else self._rooms.small.take_now(item.tenant_id, size)
        if held is None:
            self._submit(item, partial(self._advance_unread, size=size))
        else:
            self._lanes.submit(run.id, partial(self._advance_small, item, run, held), run.tenant_id)

    async def _wake(self, item: RunMessage) -> None:
        """Carry on a run that is read now, together with others whose turn it is."""
        size = await until_done(item.run_id, lambda _again: self._sizes.of(item.run_id))
        if size is None:
            item.mark.close(item.position)
            return
        held = None if is_large(size) else self._rooms.small.take_now(item.tenant_id, size)
        if held is None:
            await self._advance_unread(item, size)
            return
        try:
            run = await until_done(item.run_id, lambda _again: self._states.of(item.run_id))
        except BaseException:
            self._give(held)
            raise
        if run is None:  # it cannot be read, and stays open for a runner that can
            self._give(held)
        else:
            await self._advance_small(item, run, held)

    def _submit(self, item: RunMessage, job: Callable[[RunMessage], Awaitable[None]]) -> None:
        """Do this when it is the tenant's turn. Meanwhile the message takes no memory for its payload."""
        unread = msgspec.structs.replace(item, event=None)
        self._lanes.submit(item.run_id, partial(job, unread), item.tenant_id)

    def _give(self, held: Held | None) -> None:
        if held is not None:
            self._rooms.small.give(held)

    async def _advance_small(self, item: RunMessage, run: LoadedRun, held: Held | None) -> None:
        """Carry on a run that was read already. Its room is free before others follow from its end: they need some."""

        async def advance(again: bool) -> None:
            nonlocal held
            advanced = await self._executor.advance(await self._executor.recording.follow(run) if again else run)
            self._give(held)
            held = None
            await self._family.ended(advanced)

        try:
            await self._until_done(item, advance)
        finally:
            self._give(held)

    async def _advance_unread(self, item: RunMessage, size: int) -> None:
        """Carry on a run that is read once there is room for it."""

        async def advance(_again: bool) -> None:
            try:
                advanced = await self._advanced(item, size, patient=False)
            except Busy as busy:
                if await self._executor.postpone(item.run_id, busy):
                    return
                advanced = await self._advanced(item, size, patient=True)
            await self._family.ended(advanced)

        await self._until_done(item, advance)

    async def _advanced(self, item: RunMessage, size: int, *, patient: bool) -> LoadedRun:
        async with self._rooms.of(item.tenant_id, size, patient=patient):
            return await self._executor.advance(await self._executor.recording.load(item.run_id))

    def tell(self, ended: RunMessage) -> None:
        """Do what follows for others from an end that another process has recorded."""

        async def tell(_again: bool) -> None:
            run = await self._executor.recording.find(ended.run_id)
            if run is not None:
                await self._family.ended(run)

        self._lanes.submit(ended.run_id, partial(self._until_done, ended, tell), ended.tenant_id)

    async def _until_done(self, item: RunMessage, advance: Callable[[bool], Awaitable[None]]) -> None:
        await until_done(item.run_id, advance)
        item.mark.close(item.position)


def _pages(messages: Sequence[RunMessage], sizes: Mapping[UUID, int]) -> Iterator[list[RunMessage]]:
    """The messages in order, cut where their runs would not fit into memory together."""
    page: list[RunMessage] = []
    room = PAGE_BYTES
    for item in messages:
        size = sizes.get(item.run_id, 0)
        if page and (len(page) == PART or room < size):
            yield page
            page, room = [], PAGE_BYTES
        page.append(item)
        room -= size
    if page:
        yield page
