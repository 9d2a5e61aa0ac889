"""The loops that this process has to do with.

The log is the only memory. Whoever forgets a loop finds out from its items' streams how far it has come: each item
under way is open in the watermark of this partition or waits for a timer, and its end brings the loop up again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Coroutine
from typing import Any
from uuid import UUID

import msgspec

from consumers.children.ends import ItemEnd, failure_of
from consumers.children.window import Loop
from consumers.children.work import Work
from consumers.definitions import CompiledVersion, Definitions
from consumers.kafka.patience import patiently
from domain.aggregates import RUN
from domain.flow.steps import ForEachStep
from domain.log.partitioning import partition_of
from domain.log.stream import load
from domain.run.children import LoopStarted, Parent, item_status
from domain.run.state import ActiveRun, EndedRun, LoadedRun

ROOM = 128 * 2**20
"""Bytes of the runs whose loops are remembered. Of others the log is asked once an item ends."""
Opening = Callable[[], Coroutine[Any, Any, Loop | None]]


class Loops:
    """The loops of the partitions that this process owns, as far as it has to do with them."""

    def __init__(self, work: Work, definitions: Definitions) -> None:
        self._work = work
        self._definitions = definitions
        self._loops: OrderedDict[tuple[UUID, str], asyncio.Task[Loop | None]] = OrderedDict()

    async def go_on(
        self, run: LoadedRun, started: LoopStarted, version: CompiledVersion, *, is_new: bool
    ) -> LoadedRun | None:
        """Begin the items whose turn it is. Gives the run with the outcome of its loop once that is over, else None.

        `is_new`: the loop has just been started, by this very process.
        """
        loop = await self._of(run.id, started.step_id, lambda: self._open(run, started, version, is_new=is_new))
        return await self._settled(loop) if loop else None

    async def ended(self, item: LoadedRun, parent: Parent) -> LoadedRun | None:
        """An item has ended. Gives its parent where that can go on, as the loop is over, and None otherwise."""
        assert isinstance(item.state, EndedRun)
        if not self._work.owns(item.ordering_key):
            return None  # the item's message goes to whoever has its partition now
        loop = await self._of(parent.run_id, parent.step_id, lambda: self._revive(parent))
        if loop is None:
            return await self._free(parent, stops=item.state.end.stops)
        end = item.state.end
        loop.note(
            ItemEnd(
                parent.index,
                item.id,
                item_status(item.state.status),
                failure_of(parent.index, item.id, end),
                stops=end if end.stops else None,
            )
        )
        return await self._settled(loop, requests_first=False)

    async def close(self, run_id: UUID, step_id: str) -> None:
        """Begin no more items of a loop whose run has ended, and have those under way in the log."""
        task = self._loops.get((run_id, step_id))
        self.forget(run_id, step_id)
        loop = _result(task) if task else None
        if loop is not None:
            await loop.close()

    def forget(self, run_id: UUID, step_id: str) -> None:
        """Begin no more items of a loop: its run ends, or another process has it."""
        task = self._loops.pop((run_id, step_id), None)
        if task is not None:
            task.add_done_callback(_close)

    def give_up(self, partitions: Collection[int], of: int) -> None:
        """Forget the loops of these partitions, of so many."""
        for (run_id, step_id), task in list(self._loops.items()):
            loop = _result(task)
            if loop is None or partition_of(loop.run.ordering_key, of) in partitions:
                self.forget(run_id, step_id)

    async def _settled(self, loop: Loop, *, requests_first: bool = True) -> LoadedRun | None:
        """Do what follows from the ends so far. A loop that is over by that is remembered no longer."""
        try:
            return await loop.settle(requests_first=requests_first)
        finally:
            task = self._loops.get(loop.key)
            if loop.is_closed and task is not None and _result(task) is loop:
                del self._loops[loop.key]

    async def _of(self, run_id: UUID, step_id: str, opening: Opening) -> Loop | None:
        """The loop, looked up once however many ask for it."""
        key = run_id, step_id
        task = self._loops.get(key)
        if task is None:
            task = self._loops[key] = asyncio.create_task(opening())
            self._make_room()
        self._loops.move_to_end(key)
        try:
            loop = task.result() if task.done() else await asyncio.shield(task)
        except BaseException:
            self._loops.pop(key, None)
            raise
        if loop is None or loop.is_closed:
            self._loops.pop(key, None)
            return None
        return loop

    def _make_room(self) -> None:
        """Forget the loops that had nothing to do for the longest, for the one that came last."""
        room = ROOM
        for key, task in reversed(list(self._loops.items())[:-1]):
            loop = _result(task)
            room -= loop.size if loop else 0
            if room < 0:
                del self._loops[key]

    async def _open(
        self, run: LoadedRun, started: LoopStarted, version: CompiledVersion, *, is_new: bool
    ) -> Loop | None:
        step = version.definition.step(started.step_id)
        if not isinstance(step, ForEachStep):
            return None
        size = await asyncio.to_thread(lambda: len(msgspec.json.encode(run.state)))
        loop = Loop(self._work, run, started, step, version, size=size)
        await loop.look(is_new=is_new)
        return loop

    async def _revive(self, parent: Parent) -> Loop | None:
        """The loop of an item whose end nobody here waits for; None where its parent does not wait for it either."""
        run = await patiently(lambda: load(self._work.store, RUN, parent.run_id))
        if run is None or not isinstance(run.state, ActiveRun):
            return None
        started = run.state.awaits
        if not isinstance(started, LoopStarted) or started.step_id != parent.step_id:
            return None
        requested = run.state.requested
        version = await patiently(lambda: self._definitions.get(requested.zap_id, requested.zap_version))
        return await self._open(run, started, version, is_new=False)

    async def _free(self, parent: Parent, *, stops: bool) -> LoadedRun | None:
        """The parent, where it has left this loop behind and may have more to do, or to tell the run above it.

        A process that ended right after that loop has done neither, and of what led there only the item's message is
        open. A parent that ended in the middle of a loop is seen to by the item that `stops` it, or by a message of its
        own end: not by each item that it left under way.
        """
        run = await patiently(lambda: load(self._work.store, RUN, parent.run_id))
        if run is None:
            return None
        if isinstance(run.state, EndedRun):
            return run if stops or run.state.awaits is None else None
        return run if run.state.awaits is not None or run.state.waits_until is None else None


def _result(task: "asyncio.Task[Loop | None]") -> Loop | None:
    return task.result() if task.done() and not task.cancelled() and not task.exception() else None


def _close(task: "asyncio.Task[Loop | None]") -> None:
    loop = _result(task)
    if loop is not None:
        loop.is_closed = True
