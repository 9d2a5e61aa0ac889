"""One loop under way: a window of items at once, and what has become of them."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from uuid import UUID

import msgspec
import structlog

from consumers.children.ends import BRIEF, WHOLE, ItemEnd, item_ends, left_the_log
from consumers.children.surroundings import ItemsChanged
from consumers.children.tally import Tally
from consumers.children.unstored import Requests, Unstored
from consumers.children.work import Work
from consumers.definitions import CompiledVersion
from consumers.kafka.patience import patiently
from domain.aggregates import RUN
from domain.connector.outcome import Failed, Succeeded
from domain.flow.contents import may_end_all
from domain.flow.steps import ForEachStep
from domain.language.template import TemplateError
from domain.log.event import Append, Appended, Conflict, Metadata
from domain.log.ports import AppendRefused
from domain.log.stream import begun, follow, to_begin
from domain.run.children import (
    INLINE,
    ChildIds,
    Items,
    LoopFinished,
    LoopProgressed,
    LoopStarted,
    is_over,
    outcome,
)
from domain.run.commands import EndWithItem, FinishLoop, RecordAttempt, RecordProgress
from domain.run.decide import decide
from domain.run.events import End, RunEvent
from domain.run.inputs import NO_INPUT
from domain.run.request import item_append
from domain.run.state import ActiveRun, EndedRun, LoadedRun, evolve
from domain.values.json import Json, JsonObject
from domain.zap.definition import Definition

log = structlog.get_logger()
PROGRESS_S = 1.0
PROGRESS_PARTS = 200
"""How often progress is recorded: not within a second, nor before another 200th of the items has ended."""

GONE = "a run whose items would be taken over has left the log, and with it what they came to: replay all items"


class Loop:
    """Which items of a loop are under way, and what is to be done next. `size`: bytes of its run."""

    def __init__(
        self,
        work: Work,
        run: LoadedRun,
        started: LoopStarted,
        step: ForEachStep,
        version: CompiledVersion,
        *,
        size: int,
    ) -> None:
        self.key = run.id, step.id
        self.size = size
        self.run = run
        self.tally = Tally(started.count)
        self.is_closed = False
        self._work = work
        self._started = started
        self._step = step
        self._version = version
        self._ids = ChildIds(run.id, step.id)
        self._chosen = work.chosen(step, started.count)
        if len(self._chosen) < started.count:
            self.tally.leave_out(self._chosen)
        self._reused: dict[int, UUID] = {}
        self._broken: Failed | None = None
        self._stop: End | None = None
        self._unstored: list[Unstored] = []
        self._turn = asyncio.Lock()
        self._asked = self._answered = 0
        self._told_at = time.monotonic()
        self._told = 0
        self._metadata = Metadata(actor="runner", correlation_id=run.id, causation_id=run.last.event_id)

    async def look(self, *, is_new: bool) -> None:
        """Find out from the log which items have begun and ended, and what a replay takes over."""
        if not is_new:
            types = WHOLE if may_end_all(self._step.steps) else BRIEF
            async for item in item_ends(self._work.store, self._ids.of, self._started.count, types):
                self.note(item)
        reuses = self.run.state.requested.reuses
        if reuses is None or (reuses.step_id, reuses.items_sha256) != (self._step.id, self._started.items_sha256):
            return
        if await left_the_log(self._work.store, reuses.runs):
            self._broken = Failed(code="items_gone", message=GONE)
            return
        for run_id in reuses.runs:
            async for item in item_ends(self._work.store, ChildIds(run_id, self._step.id).of, self._started.count, ()):
                if item.status in {"completed", "filtered"} and self.tally.is_new(item.index):
                    self.tally.end(item.index, item.status, None)
                    self._reused[item.index] = item.run_id

    def note(self, item: ItemEnd) -> None:
        """What is known of an item that has begun."""
        if item.status is None:
            self.tally.begin(item.index)
            return
        self.tally.end(item.index, item.status, item.failure)
        self._stop = self._stop or item.stops

    async def settle(self, *, requests_first: bool = True) -> LoadedRun | None:
        """Do what follows from the ends so far, for all that wait for it. Gives the run once the loop is over.

        Without `requests_first` new items may begin before the log has them. It has them when this comes back.
        """
        if self._work.stopping.is_set():
            raise asyncio.CancelledError  # the message that led here stays open, for the process that takes it next
        self._asked += 1
        mine = self._asked
        async with self._turn:
            if self._answered >= mine or self.is_closed:
                return None
            asked = self._asked
            run, begun_now = await self._settle(None if requests_first else self._work.requests)
            self._answered = asked
        for item in begun_now:
            await item.at_rest
        return run

    async def close(self) -> None:
        """Begin no more items. Those under way are in the log after that."""
        self.is_closed = True
        if self._work.requests:
            await self._work.requests.store(self._unstored)

    async def _settle(self, requests: Requests | None) -> tuple[LoadedRun | None, Sequence[Unstored]]:
        if self._stop is not None:
            item = self._stop
            run = await self._close(lambda state: decide(EndWithItem(item), state, self._version.definition))
            await self.close()
            return run, ()
        begun_now = await self._fill(requests)
        if self.tally.running and not self.is_closed:
            await self._tell()
            return None, begun_now
        return await self._finish(), begun_now

    async def _fill(self, requests: Requests | None) -> Sequence[Unstored]:
        """Begin items until as many are under way as may be. Gives those that are not in the log yet."""
        found: list[Unstored] = []
        while not (
            self.is_closed or self._broken or is_over(self._step, self._started.count, self.tally.counts.failed)
        ):
            page = self.tally.next(self._step.at_once - self.tally.running)
            if not page:
                break
            try:
                items = await self._work.surroundings.items(self.run, self._started, self._version)
            except (TemplateError, ItemsChanged) as error:
                log.warning("loop.broken", run_id=str(self.run.id), step_id=self._step.id, error=repr(error))
                self._broken = Failed(code="loop_changed", message="the list gave other items when it was read again")
                break
            if not self.is_closed:
                found += await self._begin(page, [self._append(index, items[index]) for index in page], requests)
        return found

    def _append(self, index: int, item: Json) -> Append:
        return item_append(
            self.run, self._started, index, item, run_id=self._ids.of(index), new_id=self._work.new_id,
            metadata=self._metadata,
        )  # fmt: skip

    async def _begin(
        self, page: Sequence[int], appends: Sequence[Append], requests: Requests | None
    ) -> Sequence[Unstored]:
        """Begin a page of items. One that is in the log already goes on from where it is."""
        self._work.starts.expect([append.stream_id for append in appends], self.run.ordering_key)
        try:
            sizes = [len(msgspec.json.encode(append.events[0].event)) for append in appends]
            if requests:
                return self._begin_unstored(page, appends, sizes, requests)
            results = await patiently(lambda: self._work.store.append_each(appends))
        except (AppendRefused, UnicodeEncodeError) as error:
            log.error("loop.unrecordable", run_id=str(self.run.id), step_id=self._step.id, error=str(error))  # noqa: TRY400 - it is the store's to trace
            self._broken = Failed(code="unrecordable", message="an item of the list could not be stored")
            return ()
        at, new, known = self._work.clock(), [], []
        for index, append, result, size in zip(page, appends, results, sizes, strict=True):
            self.tally.begin(index)
            if isinstance(result, Appended):
                new.append((begun(RUN, append, result, at), size))
            elif isinstance(result, Conflict) and not result.version:
                self.is_closed = True  # what the loop carries on was erased, so its run has ended
            else:
                known.append(append.stream_id)
        self._work.starts.begin([run for run, _size in new], [size for _run, size in new])
        self._work.starts.begin_known(known, self.run.tenant_id)
        return ()

    def _begin_unstored(
        self, page: Sequence[int], appends: Sequence[Append], sizes: Sequence[int], requests: Requests
    ) -> Sequence[Unstored]:
        at, loop = self._work.clock(), asyncio.get_running_loop()
        items = [Unstored(to_begin(RUN, append, at), loop.create_future()) for append in appends]
        for index, item in zip(page, items, strict=True):
            self.tally.begin(index)
            requests.watch(item)
        self._unstored += items
        if len(self._unstored) > 2 * self._step.at_once:
            self._unstored = [item for item in self._unstored if not item.at_rest.done()]
        self._work.starts.begin_unstored(items, sizes)
        return items

    async def _tell(self) -> None:
        """Record how far the loop has come, if that is worth it."""
        counts, now = self.tally.counts, time.monotonic()
        enough = max(1, self._started.count // PROGRESS_PARTS)
        if now - self._told_at < PROGRESS_S or counts.ended - self._told < enough:
            return
        self._told_at, self._told = now, counts.ended
        progressed = LoopProgressed(step_id=self._step.id, **msgspec.structs.asdict(counts))
        await self._record(decide(RecordProgress(progressed), self.run.state, self._version.definition))

    async def _finish(self) -> LoadedRun | None:
        counts, failures = self.tally.final, tuple(self.tally.failures)
        finished = LoopFinished(step_id=self._step.id, failures=failures, **msgspec.structs.asdict(counts))
        found = Items([], complete=True, ref="") if self._broken else await self._collected()
        ended = self._broken or outcome(self._step, self._started.count, counts, failures, found)
        definition, clock = self._version.definition, self._work.clock
        return await self._close(lambda state: _finished(state, definition, finished, ended, clock()))

    async def _close(self, decided: Callable[[ActiveRun | EndedRun], Sequence[RunEvent]]) -> LoadedRun | None:
        """Record what becomes of the run. None where others have decided about it."""
        while not self.is_closed:
            if await self._record(decided(self.run.state)):
                self.is_closed = True
                self._work.surroundings.forget(self.run.id, self._started)
                return self.run
        return None

    async def _record(self, events: Sequence[RunEvent]) -> bool:
        """Whether the events are in the run's stream. Where the run no longer waits for the loop, that is closed."""
        recorded = await self._work.record(self.run, events) if events else None
        if recorded is not None:
            self.run = recorded
            return True
        self.run = await patiently(lambda: follow(self._work.store, self.run))
        state = self.run.state
        self.is_closed = not isinstance(state, ActiveRun) or state.awaits != self._started
        return False

    async def _collected(self) -> Items:
        """What the items came to, as many as fit into the output of a step."""
        listed: list[Json] = []
        room = INLINE
        count = self._started.count

        def put(entry: JsonObject) -> bool:
            nonlocal room
            room -= len(msgspec.json.encode(entry)) + 1
            if room >= 0:
                listed.append(entry)
            return room >= 0

        async for item in item_ends(self._work.store, self._standing, count, WHOLE):
            before = takewhile(item.index.__gt__, self._chosen[len(listed) :])
            if not (all(put(_never(index)) for index in before) and put(_entry(item))):
                break
        if room >= 0:
            all(put(_never(index)) for index in self._chosen[len(listed) :])
        ref = f"/api/v1/runs/{self.run.id}/items?step={self._step.id}"
        return Items(listed, complete=len(listed) == len(self._chosen), ref=ref)

    def _standing(self, index: int) -> UUID:
        return self._reused.get(index) or self._ids.of(index)


def _never(index: int) -> JsonObject:
    return {"index": index, "status": "cancelled"}


def _entry(item: ItemEnd) -> JsonObject:
    entry: JsonObject = {"index": item.index, "status": item.status or "cancelled"}
    if item.status == "completed":
        entry["result"] = item.result
    if item.failure is not None:
        entry["error"] = {"code": item.failure.code, "message": item.failure.message}
    return entry


def _finished(
    run: ActiveRun | EndedRun,
    definition: Definition,
    finished: LoopFinished,
    ended: Succeeded | Failed,
    at: datetime,
) -> list[RunEvent]:
    """The end of a loop and the outcome of its step, in one go; nothing where the run does not wait for it."""
    first = decide(FinishLoop(finished), run, definition)
    started = run.awaits
    if not first or started is None:
        return []
    attempt = RecordAttempt(
        step_id=started.step_id,
        attempt=1,
        started_at=started.at,
        duration_ms=round((at - started.at) / timedelta(milliseconds=1), 3),
        finished_at=at,
        input=NO_INPUT,
        outcome=ended,
        jitter=0.0,
    )
    return [*first, *decide(attempt, evolve(run, first[0]), definition)]
