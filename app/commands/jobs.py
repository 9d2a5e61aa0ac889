"""Commands on jobs. What a job does is in consumers/jobs/."""

from typing import Literal
from uuid import UUID

import msgspec

from domain.aggregates import JOB
from domain.job import job
from domain.job.job import JobCommand, JobRequested, LoadedJob, RequestJob, ResumeJob, RunJobKind, Selection
from domain.log.errors import LimitReached, NotFound
from domain.log.event import Metadata, NewEvent
from domain.log.ports import NewId
from domain.log.stream import facts, handle, load_of
from projections.job_list import JobListItem, count_open
from projections.request_list import count_held
from projections.run_filter import RunFilter
from projections.run_found import FoundCount
from projections.run_keys import SubjectCount, count_of_subject, subject_hash
from projections.run_query import count_runs
from projections.run_selected import count_selected
from sql.log.event_store import PgEventStore
from sql.postgres.queries import Queries

_archives = Queries("queries/archives.sql")
MAX_OPEN = 10
"""Jobs of a tenant that run or are paused. The list lags behind the log a little, so there may be a few more."""
MAX_COUNT = 1_000_000
"""Runs or requests that a job takes at most, and a preview counts."""


def list_item(loaded: LoadedJob) -> JobListItem:
    """The job as the list shows it."""
    state, requested = loaded.state, loaded.state.requested
    return JobListItem(
        id=loaded.id,
        kind=requested.kind,
        status=state.status,
        filter=requested.filter,
        from_step=requested.from_step,
        version=requested.version,
        rate_per_s=requested.rate_per_s,
        total=state.total,
        done=state.done,
        skipped=state.skipped,
        failed=state.failed,
        problem=state.problem,
        requested_at=loaded.first.recorded_at,
        updated_at=loaded.last.recorded_at,
        position=loaded.last.position,
    )


class Jobs:
    """Jobs of all tenants. Every method takes the tenant, and raises NotFound for a job of another one."""

    def __init__(self, store: PgEventStore, new_id: NewId) -> None:
        self._store = store
        self._new_id = new_id

    async def count_runs(self, tenant_id: UUID, kind: RunJobKind, selection: Selection) -> FoundCount:
        """How many a job would take now: up to MAX_COUNT, and as far as a search comes. Raises Invalid."""
        return await count_selected(self._store, tenant_id, selection, job.statuses(kind, selection), MAX_COUNT)

    async def count_held(self, tenant_id: UUID, zap_id: UUID) -> FoundCount:
        """How many requests a zap holds now, counted likewise."""
        count = await count_held(self._store.pool, tenant_id, zap_id, MAX_COUNT + 1)
        return FoundCount(min(count, MAX_COUNT), exact=count <= MAX_COUNT)

    async def of_counted(
        self, tenant_id: UUID, requested: JobRequested, found: FoundCount, metadata: Metadata
    ) -> LoadedJob:
        """A new job on what was counted. Raises LimitReached, also where that is too much for one."""
        if found.count >= MAX_COUNT and not found.exact:
            raise LimitReached(f"a job takes {MAX_COUNT:,} at most, and there are more: narrow the filter, by time say")
        return await self.request(tenant_id, msgspec.structs.replace(requested, total=found.count), metadata)

    async def request(self, tenant_id: UUID, requested: JobRequested, metadata: Metadata) -> LoadedJob:
        """A new job. Raises LimitReached."""
        await self._require_room(tenant_id)
        job_id = self._new_id()
        events = [NewEvent(self._new_id(), event) for event in job.decide(RequestJob(requested), job.INITIAL)]
        await self._store.append(facts(job_id, tenant_id, *events, metadata=metadata, expected=0))
        return await self.load(tenant_id, job_id)

    async def read_search_keys(self, tenant_id: UUID, zap_id: UUID, metadata: Metadata) -> None:
        """A new job that reads what the zap declares from its runs of before, however many jobs there are."""
        selection = Selection(zap_id=zap_id, include_recovered=True)
        count = await count_runs(self._store.pool, tenant_id, RunFilter(zap_ids=(zap_id,), limit=MAX_COUNT))
        requested = JobRequested(kind="search_keys", filter=selection, total=count, rate_per_s=job.MAX_RATE_PER_S)
        event = NewEvent(self._new_id(), requested)
        await self._store.append(facts(self._new_id(), tenant_id, event, metadata=metadata, expected=0))

    async def count_subject(self, tenant_id: UUID, subject: str) -> tuple[list[SubjectCount], int]:
        """The runs that carry a person's data, up to MAX_COUNT, and how many bytes they have in the log."""
        hashed = await subject_hash(self._store.pool, tenant_id, subject)
        return await count_of_subject(self._store.pool, tenant_id, hashed, MAX_COUNT)

    async def erase_subject(self, tenant_id: UUID, subject: str, metadata: Metadata) -> LoadedJob:
        """A new job that forgets a person. Raises LimitReached."""
        hashed = await subject_hash(self._store.pool, tenant_id, subject)
        counts, _size = await count_of_subject(self._store.pool, tenant_id, hashed, MAX_COUNT)
        total = sum(count.runs for count in counts)
        requested = JobRequested(
            kind="erase", filter=Selection(), total=total, rate_per_s=job.MAX_RATE_PER_S, subject=hashed.hex()
        )
        return await self.request(tenant_id, requested, metadata)

    async def of_archive(
        self, tenant_id: UUID, kind: Literal["import", "check"], name: str, metadata: Metadata
    ) -> LoadedJob:
        """A new job on a file. Raises NotFound where it has no runs of the tenant, and LimitReached."""
        row = await self._store.pool.fetchrow(_archives["of_file"], tenant_id, name)
        if row is None or not row[0]:
            raise NotFound("no such archive")
        requested = JobRequested(kind=kind, filter=Selection(), total=1, rate_per_s=job.MAX_RATE_PER_S, archive=name)
        return await self.request(tenant_id, requested, metadata)

    async def retain(self, tenant_id: UUID, months: int, metadata: Metadata) -> LoadedJob:
        """A new job that archives and drops what is over: so many months, then payloads. Raises LimitReached."""
        requested = JobRequested(kind="retain", filter=Selection(), total=months + 1, rate_per_s=job.MAX_RATE_PER_S)
        return await self.request(tenant_id, requested, metadata)

    async def load(self, tenant_id: UUID, job_id: UUID) -> LoadedJob:
        """The job as it is now. Raises NotFound."""
        return await load_of(self._store, JOB, job_id, tenant_id)

    async def execute(self, tenant_id: UUID, job_id: UUID, command: JobCommand, metadata: Metadata) -> LoadedJob:
        """Carry out a command. Raises NotFound, WrongStatus, and LimitReached."""
        loaded = await self.load(tenant_id, job_id)
        if isinstance(command, ResumeJob) and loaded.state.status == "aborted":
            await self._require_room(tenant_id)
        return await handle(self._store, self._new_id, loaded, lambda state: job.decide(command, state), metadata)

    async def _require_room(self, tenant_id: UUID) -> None:
        if await count_open(self._store.pool, tenant_id) >= MAX_OPEN:
            raise LimitReached(f"there are {MAX_OPEN} jobs that run or are paused: wait for one, or abort one")
