"""Commands on jobs, and jobs as their streams say they are. What a job does is in app/commands/job_worker.py."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from domain.job import job
from domain.job.job import (
    Job,
    JobCommand,
    JobEvent,
    JobRequested,
    JobState,
    RequestJob,
    ResumeJob,
    RunJobKind,
    Selection,
)
from domain.log.errors import LimitReached, NotFound
from domain.log.event import Append, Appended, Metadata, NewEvent, StoredEvent, StreamKind
from domain.log.ports import NewId, StoreUnavailable
from domain.registry import decode, decode_metadata
from projections.job_list import JobListItem, count_open
from projections.request_list import count_held
from projections.run_list import count_runs
from sql.log.event_store import PgEventStore

MAX_OPEN = 10
"""Jobs of a tenant that run or are paused; as the list follows the log by moments, it may be a few more."""
MAX_COUNT = 1_000_000
"""What is counted for a preview: a count reads every entry of an index."""
ATTEMPTS = 5
"""How often a command is decided anew when the job went on meanwhile."""


class LoadedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job as its stream says it is. `actor` asked for it, with the event that stands at `requested_position`."""

    id: UUID
    tenant_id: UUID
    actor: str
    request_id: UUID
    requested_at: datetime
    requested_position: int
    state: Job
    version: int
    position: int
    updated_at: datetime

    @property
    def item(self) -> JobListItem:
        """The job as the list shows it."""
        state, requested = self.state, self.state.requested
        return JobListItem(
            id=self.id,
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
            requested_at=self.requested_at,
            updated_at=self.updated_at,
            position=self.position,
        )


def fold(events: Sequence[StoredEvent]) -> LoadedJob | None:
    """The job after these events; None for no events, and for a stream that is not a job's."""
    if not events or events[0].type != "job.requested":
        return None
    first, last = events[0], events[-1]
    state = _evolved(job.INITIAL, events)
    assert isinstance(state, Job)
    return LoadedJob(
        id=first.stream_id,
        tenant_id=first.tenant_id,
        actor=decode_metadata(first.meta).actor,
        request_id=first.event_id,
        requested_at=first.recorded_at,
        requested_position=first.position,
        state=state,
        version=last.version,
        position=last.position,
        updated_at=last.recorded_at,
    )


def follow(loaded: LoadedJob, events: Sequence[StoredEvent]) -> LoadedJob:
    """The job after some more events."""
    if not events:
        return loaded
    last = events[-1]
    state = _evolved(loaded.state, events)
    assert isinstance(state, Job)
    return msgspec.structs.replace(
        loaded, state=state, version=last.version, position=last.position, updated_at=last.recorded_at
    )


def _evolved(state: JobState, events: Sequence[StoredEvent]) -> JobState:
    for stored in events:
        event = decode(stored.type, stored.schema_version, stored.data)
        state = job.evolve(state, event) if isinstance(event, JobEvent) else state
    return state


class Jobs:
    """Jobs of all tenants; every method takes whose it must be, and raises NotFound for anybody else's."""

    def __init__(self, store: PgEventStore, new_id: NewId) -> None:
        self._store = store
        self._new_id = new_id

    async def count_runs(self, tenant_id: UUID, kind: RunJobKind, selection: Selection) -> int:
        """How many a job would take now, counted up to MAX_COUNT and one more. Raises Invalid."""
        return await count_runs(self._store.pool, tenant_id, selection, job.statuses(kind, selection), MAX_COUNT + 1)

    async def count_held(self, tenant_id: UUID, zap_id: UUID) -> int:
        """How many requests a zap holds now, counted likewise."""
        return await count_held(self._store.pool, tenant_id, zap_id, MAX_COUNT + 1)

    async def request(self, tenant_id: UUID, requested: JobRequested, metadata: Metadata) -> LoadedJob:
        """A new job. Raises LimitReached."""
        await self._require_room(tenant_id)
        job_id = self._new_id()
        await self.append(tenant_id, job_id, 0, job.decide(RequestJob(requested), job.INITIAL), metadata)
        return await self.load(tenant_id, job_id)

    async def load(self, tenant_id: UUID, job_id: UUID) -> LoadedJob:
        """The job as it is now. Raises NotFound."""
        loaded = fold(await self._store.read_stream(StreamKind.CORE, job_id))
        if loaded is None or loaded.tenant_id != tenant_id:
            raise NotFound("no such job")
        return loaded

    async def execute(self, tenant_id: UUID, job_id: UUID, command: JobCommand, metadata: Metadata) -> LoadedJob:
        """Carry out a command. Raises NotFound, WrongStatus, and LimitReached."""
        for _ in range(ATTEMPTS):
            loaded = await self.load(tenant_id, job_id)
            if isinstance(command, ResumeJob) and loaded.state.status == "aborted":
                await self._require_room(tenant_id)
            events = job.decide(command, loaded.state)
            if not events:
                return loaded
            if await self.append(tenant_id, job_id, loaded.version, events, metadata):
                return await self.load(tenant_id, job_id)
        raise StoreUnavailable("the job went on at every attempt")

    async def _require_room(self, tenant_id: UUID) -> None:
        if await count_open(self._store.pool, tenant_id) >= MAX_OPEN:
            raise LimitReached(f"there are {MAX_OPEN} jobs that run or are paused: wait for one, or abort one")

    async def append(
        self, tenant_id: UUID, job_id: UUID, expected: int, events: Sequence[JobEvent], metadata: Metadata
    ) -> bool:
        """Store what was decided of a job at a version; false when that is not its version any more."""
        result = await self._store.append(
            Append(
                kind=StreamKind.CORE,
                stream_id=job_id,
                expected=expected,
                tenant_id=tenant_id,
                ordering_key=job_id,
                events=tuple(NewEvent(self._new_id(), event) for event in events),
                metadata=metadata,
            )
        )
        return isinstance(result, Appended)
