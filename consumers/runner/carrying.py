"""Carries runs on in lanes, as there is room for their payloads in memory."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from uuid import UUID

import msgspec

from consumers.kafka.lanes import Lanes
from consumers.runner.executor import Executor
from consumers.runner.family import Family, until_done
from consumers.runner.serial_runs import SerialRuns
from consumers.runner.shares.room import Held, Rooms, is_large
from consumers.runner.shares.share import Busy
from consumers.runner.wake_ups import RunMessage, sizes_of, states_of
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

    async def begin(self, messages: Sequence[RunMessage]) -> None:
        """Begin or queue each of these runs, in parts that fit into memory together."""
        sizes = await sizes_of(self._store, messages)
        part: list[RunMessage] = []
        room = PAGE_BYTES
        for item in messages:
            size = sizes.get(item.run_id, 0)
            if len(part) == PART:
                await self._begin(part, sizes)
                await asyncio.sleep(0)
                part, room = [], PAGE_BYTES
            if is_large(size) and not item.is_ordered:
                self._advance_later(item, size)
                continue
            room -= size
            if part and room < 0:
                await self._begin(part, sizes)
                part, room = [], PAGE_BYTES - size
            part.append(item)
        if part:
            await self._begin(part, sizes)

    async def _begin(self, part: Sequence[RunMessage], sizes: Mapping[UUID, int]) -> None:
        """Carry on runs for whose payloads there is room now, or put them into the queues of their serial zaps."""
        held = {item.position: self._rooms.small.take_now(item.tenant_id, sizes.get(item.run_id, 0)) for item in part}
        try:
            runs = await states_of(self._store, [item for item in part if held[item.position] or item.is_ordered])
            serial = {run_id: entry for run_id, run in runs.items() if (entry := await self._serial.entry(run))}
            if serial:
                await self._serial.enter(sorted(serial.values(), key=lambda entry: entry.run.first.position))
        except BaseException:
            for one in held.values():
                self._give(one)
            raise
        for item in part:
            room, run = held[item.position], runs.get(item.run_id)
            if item.run_id in serial:
                self._give(room)
                item.mark.close(item.position)
            elif run is not None and not self._lanes.is_busy(run.id):
                self._lanes.submit(run.id, partial(self._advance_small, item, run, room), run.tenant_id)
            else:
                self._give(room)
                is_unread = room is None and not item.is_ordered
                if run is not None or is_unread:  # one that cannot be read stays open, for a runner that can
                    self._advance_later(item, sizes.get(item.run_id, 0))

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

    def _advance_later(self, item: RunMessage, size: int) -> None:
        """Carry on a run that is only read when it is its turn and there is room for it."""
        unread = msgspec.structs.replace(item, event=None)
        self._lanes.submit(item.run_id, partial(self._advance_unread, unread, size), item.tenant_id)

    async def _advance_unread(self, item: RunMessage, size: int) -> None:
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
            await self._family.ended(await self._executor.recording.load(ended.run_id))

        self._lanes.submit(ended.run_id, partial(self._until_done, ended, tell), ended.tenant_id)

    async def _until_done(self, item: RunMessage, advance: Callable[[bool], Awaitable[None]]) -> None:
        await until_done(item.run_id, advance)
        item.mark.close(item.position)
