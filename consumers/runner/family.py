"""Carries runs on together with the runs above and below them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar
from uuid import UUID

import structlog

from consumers.children.unstored import Unstored
from consumers.children.work import Starts
from consumers.kafka.lanes import Lanes
from consumers.runner.executor import Executor
from consumers.runner.head_starts import HeadStarts
from consumers.runner.shares.room import Rooms
from domain.run.state import ActiveRun, EndedRun, LoadedRun

log = structlog.get_logger()
T = TypeVar("T")
MAX_STUCK_S = 60.0
"""The longest pause between two tries of a run that cannot be carried on, for instance by this release."""


async def until_done(run_id: UUID, work: Callable[[bool], Awaitable[T]], again: bool = False) -> T:
    """Try again after any error: a run that is given up would stay open for ever. `work` is told of repeats."""
    pause_s = 1.0
    while True:
        try:
            return await work(again)
        except Exception:
            log.exception("runner.run_stuck", run_id=str(run_id), retry_in_s=pause_s)
            await asyncio.sleep(pause_s)
            again, pause_s = True, min(2 * pause_s, MAX_STUCK_S)


class Family(Starts):
    """Runs of this process. `wake_serial` carries on the first run of a serial zap's queue, if the run is of one."""

    def __init__(self, executor: Executor, lanes: Lanes, rooms: Rooms, head_starts: HeadStarts) -> None:
        self.executor = executor
        self.lanes = lanes
        self.rooms = rooms
        self._head_starts = head_starts
        self.wake_serial: Callable[[LoadedRun], Awaitable[bool]] = _is_not_serial

    async def carry_on(self, run: LoadedRun) -> LoadedRun:
        """Carry a run on until it is at rest, and then those above and below it that its end concerns."""
        run = await self.executor.advance(run)
        if isinstance(run.state, EndedRun):
            await self.ended(run)
        return run

    async def ended(self, run: LoadedRun) -> None:
        """Do what follows for others from the end of a run. Its message stays open until then."""
        parent = run.state.requested.parent
        if not isinstance(run.state, EndedRun) or (run.state.awaits is None and (parent is None or not parent.waits)):
            return
        above = await self.executor.children.ended(run)
        if above is None:
            return
        if isinstance(above.state, ActiveRun):
            await self._resume(above)
        else:
            await self.ended(above)

    def expect(self, run_ids: Sequence[UUID], ordering_key: UUID) -> None:
        """See Starts. The topic may tell of them before the log has answered."""
        self._head_starts.expect(run_ids, ordering_key)

    def begin(self, runs: Sequence[LoadedRun], sizes: Sequence[int]) -> None:
        """See Starts."""
        for run, size in zip(runs, sizes, strict=True):
            self.lanes.submit(run.id, partial(self._begin, run, size), run.tenant_id)

    def begin_unstored(self, items: Sequence[Unstored], sizes: Sequence[int]) -> None:
        """See Starts."""
        for item, size in zip(items, sizes, strict=True):
            again = self.lanes.is_busy(item.run.id)
            self.lanes.submit(
                item.run.id, partial(self._begin, item.run, size, again, item.at_rest), item.run.tenant_id
            )

    def begin_known(self, run_ids: Sequence[UUID], tenant_id: UUID) -> None:
        """See Starts. They go on from where they are."""
        for run_id in run_ids:
            self.lanes.submit(run_id, partial(self._begin_known, run_id), tenant_id)

    async def _begin_known(self, run_id: UUID) -> None:
        async def advance(_again: bool) -> None:
            await self.carry_on(await self.executor.recording.load(run_id))

        await until_done(run_id, advance)
        self._head_starts.forget(run_id)

    async def _begin(
        self, run: LoadedRun, size: int, again: bool = False, at_rest: "asyncio.Future[None] | None" = None
    ) -> None:
        async def advance(again: bool) -> None:
            async with self.rooms.of(run.tenant_id, size):
                advanced = await self.executor.advance(await self.executor.recording.follow(run) if again else run)
            if at_rest is not None and not at_rest.done():
                at_rest.set_result(None)
            await self.ended(advanced)

        try:
            await until_done(run.id, advance, again)
        except asyncio.CancelledError:
            if at_rest is not None:
                at_rest.cancel()  # the item that has begun this one gives itself up, too
            raise
        self._head_starts.done(run.id)

    async def _resume(self, run: LoadedRun) -> None:
        """Carry on a run that has waited for its children, in its own lane."""
        if await self.wake_serial(run):
            return
        done = asyncio.get_running_loop().create_future()

        async def advance(_again: bool) -> None:
            await self.carry_on(await self.executor.recording.follow(run))

        async def job() -> None:
            try:
                await until_done(run.id, advance)
            except asyncio.CancelledError:
                done.cancel()  # nothing has followed yet: the message that led here stays open
                raise
            if not done.done():
                done.set_result(None)

        self.lanes.submit(run.id, job, run.tenant_id)
        await done


async def _is_not_serial(_run: LoadedRun) -> bool:
    return False
