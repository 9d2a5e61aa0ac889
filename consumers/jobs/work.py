"""One job at work: batch after batch, at its pace, with its progress on record."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

import msgspec
import structlog

from consumers.jobs.kinds import Bulk
from consumers.jobs.pace import Pace
from domain.aggregates import JOB
from domain.job import job
from domain.job.job import (
    MAX_PROBLEM,
    CompleteJob,
    Job,
    JobCommand,
    JobEvent,
    JobKind,
    JobProgressed,
    LoadedJob,
    RecordProgress,
)
from domain.log.event import Metadata
from domain.log.ports import NewId
from domain.log.stream import follow, handle
from projections.engine.freshness import holds_all
from sql.log.event_store import PgEventStore
from sql.log.group_commit import LARGE
from sql.postgres.queries import Queries
from sql.process.patience import rest
from sql.process.sharing import Shared

log = structlog.get_logger()
_queries = Queries("queries/jobs.sql")

POLL_S = 1.0
"""How long it takes at most until a new job, a pause or an abort is noticed."""
PAGE = 500
"""Ids that are looked up at once."""
BATCH = 100
BATCH_BYTES = 16 * 2**20
"""Runs or requests of a job in memory at once, and bytes of their payloads; a single larger one is taken alone."""
RECORD_S = 1.0
SLOWEST_RECORD_S = 10.0
"""Progress is recorded every second; for long jobs after each hundredth of their time so far, up to this."""
ALONE = LARGE // 2
"""Bytes of what is taken alone where order counts: it has a way to the log of its own, on which others would overtake
it. A run has more than the request that it comes of."""
SEARCHED = ("run_keys", "run_search")
"""The read models that searches ask besides."""
CATCH_UP_S = 0.1
"""How often a job asks whether the lists that it reads have caught up with the log as it was when the job began."""
LOOK_BACK_S = 600.0
"""How long it may take to look through the log since a job last recorded progress: it may have rested for weeks."""


class Room(msgspec.Struct, frozen=True):
    """What jobs of all tenants share: batches, and looks through the log, of which each can take minutes.

    And the pace of all jobs together, which leaves room for the runs of others: tenants take turns to begin a batch.
    """

    batches: Shared[int]
    looks_back: Shared[int]
    turns: Shared[Pace]


class Work:
    """One job that this worker carries out, and its progress."""

    def __init__(
        self,
        store: PgEventStore,
        new_id: NewId,
        kinds: Mapping[JobKind, Bulk],
        room: Room,
        loaded: LoadedJob,
    ) -> None:
        self._store = store
        self._new_id = new_id
        self._bulk = kinds[loaded.state.requested.kind]
        self._room = room
        self._job = loaded
        state = loaded.state
        self._cursor = state.cursor
        self._counts = {"done": state.done, "skipped": state.skipped, "failed": state.failed}
        self._problem = state.problem
        self._counted: set[UUID] = set()
        self._overtaken = False
        self._time = asyncio.get_running_loop().time
        self._started_at = self._looked_at = self._recorded_at = self._time()
        self._pace = Pace(state.requested.rate_per_s)

    async def run(self, stop: asyncio.Event) -> None:
        """Take one batch after the other until none is left, or the job is stopped."""
        requested = self._job.state.requested
        log.info("job.started", job_id=str(self._job.id), kind=requested.kind, total=self._job.state.total)
        await self._count_what_was_not_recorded()
        await self._wait_for_lists(stop)
        size = max(1, min(BATCH, requested.rate_per_s // 10))
        while not self._stopped(stop):
            async with self._room.batches.one(self._job.tenant_id):
                page = await self._bulk.next(self._job, self._cursor, PAGE)
            if not page:
                self._cursor = self._cursor or max(self._counted, default=None)
                await self._record(CompleteJob())
                break
            for start in range(0, len(page), size):
                await self._take(page[start : start + size], stop)
                if self._stopped(stop):
                    break
        else:
            await self._record()
        log.info("job.left", job_id=str(self._job.id), status=self._job.state.status, **self._counts)

    async def _count_what_was_not_recorded(self) -> None:
        """Count what a worker that died has carried out since it last recorded progress, as the log tells."""
        if self._bulk.leaves is None:
            return
        stream = await self._store.read_stream(JOB.kind, self._job.id)
        progress = [event.position for event in stream if event.type == "job.progressed"]
        recorded = progress[-1] if progress else self._job.first.position
        wanted = (recorded, self._job.tenant_id, self._bulk.leaves, self._job.first.event_id)
        async with self._room.looks_back.one(self._job.tenant_id):
            rows = await self._store.pool.fetch(_queries["carried_out"], *wanted, timeout=LOOK_BACK_S)
        self._counted = {row[0] for row in rows}
        self._counts["done"] += len(self._counted)

    async def _wait_for_lists(self, stop: asyncio.Event) -> None:
        """A list of which a part lags would have the job end without the runs of that part."""
        said = False
        searched = SEARCHED if self._job.state.requested.filter.is_search else ()
        for name in (*self._bulk.read_models, *searched):
            while not (self._stopped(stop) or await holds_all(self._store.pool, name, self._job.first.position)):
                if not said:
                    log.info("job.waits_for_list", job_id=str(self._job.id), read_model=name)
                said = True
                await rest(stop, CATCH_UP_S)
                if self._time() - self._looked_at >= POLL_S:
                    await self._look()

    def _stopped(self, stop: asyncio.Event) -> bool:
        return stop.is_set() or self._overtaken or self._job.state.status != "running"

    async def _take(self, batch: Sequence[UUID], stop: asyncio.Event) -> None:
        await self._wait_for_turn(len(batch), stop)
        if stop.is_set():
            return
        sizes: dict[UUID, int] = {}
        for kind in self._bulk.stream_kinds:
            sizes |= await self._store.sizes(kind, batch)
        alone = ALONE if self._bulk.in_order else BATCH_BYTES
        for part in _parts([one for one in batch if one not in self._counted], sizes, alone):
            async with self._room.batches.one(self._job.tenant_id):
                outcomes = await self._bulk.do(self._job, part)
            for outcome in outcomes:
                self._counts[outcome.counts_as if outcome else "done"] += 1
                self._problem = outcome.problem[:MAX_PROBLEM] if outcome else self._problem
        self._cursor = batch[-1]
        if self._time() - self._looked_at >= POLL_S:
            await self._look()

    async def _wait_for_turn(self, count: int, stop: asyncio.Event) -> None:
        await self._pace.keep(count, stop)
        async with self._room.turns.one(self._job.tenant_id) as all_jobs:
            await all_jobs.keep(count, stop)

    async def _look(self) -> None:
        """Notice a pause or an abort, and record progress when it is time."""
        self._looked_at = self._time()
        took = self._time() - self._started_at
        if self._time() - self._recorded_at >= min(max(RECORD_S, took / 100), SLOWEST_RECORD_S):
            await self._record()
        else:
            await self._read()

    async def _read(self) -> None:
        recorded = self._job.state.cursor
        self._job = await follow(self._store, self._job)
        self._overtaken = self._overtaken or self._job.state.cursor != recorded

    async def _record(self, *further: JobCommand) -> None:
        """Record progress, also of a job that was paused meanwhile, unless another worker has taken it over."""
        await self._read()
        recorded = self._job.state.cursor

        def decide(state: Job) -> list[JobEvent]:
            self._overtaken = self._overtaken or state.cursor != recorded
            commands = () if self._overtaken else (*self._progress(), *further)
            return [event for command in commands for event in job.decide(command, state)]

        self._job = await handle(self._store, self._new_id, self._job, decide, Metadata(actor="scheduler"))
        self._recorded_at = self._time()

    def _progress(self) -> list[RecordProgress]:
        if self._cursor is None:
            return []
        return [RecordProgress(JobProgressed(cursor=self._cursor, problem=self._problem, **self._counts))]


def _parts(batch: Sequence[UUID], sizes: Mapping[UUID, int], alone: int) -> Iterator[list[UUID]]:
    """The batch cut into pieces of at most BATCH_BYTES; one of more than `alone` is a piece by itself."""
    part: list[UUID] = []
    room = BATCH_BYTES
    for id_ in batch:
        size = sizes.get(id_, 0)
        if part and (room < size or size > alone):
            yield part
            part, room = [], BATCH_BYTES
        part.append(id_)
        room = room - size if size <= alone else -1
    if part:
        yield part
