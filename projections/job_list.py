"""The job list: one row per job of a tenant, newest first; workers find in it what is to be done."""

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never
from uuid import UUID

import msgspec

from domain.job.job import (
    JobAborted,
    JobCompleted,
    JobEvent,
    JobKind,
    JobPaused,
    JobProgressed,
    JobRequested,
    JobResumed,
    JobStatus,
    Selection,
)
from domain.log.event import StoredEvent
from domain.registry import decode
from domain.run.replay import ReplayVersion
from projections.engine.projection import Projection
from projections.engine.rows import columns, storable
from sql.postgres.pool import Connection, Pool
from sql.postgres.queries import Queries

_queries = Queries("projections/job_list.sql")


class JobListItem(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it stands: of `total`, `done` + `skipped` + `failed` are dealt with.

    `problem` is why the last of the failed or skipped ones was not done. `rate_per_s` is the limit of its speed.
    """

    id: UUID
    kind: JobKind
    status: JobStatus
    filter: Selection
    from_step: str | None
    version: ReplayVersion
    rate_per_s: int
    total: int
    done: int
    skipped: int
    failed: int
    problem: str
    requested_at: datetime
    updated_at: datetime
    position: int


async def list_jobs(pool: Pool, tenant_id: UUID, *, before: UUID | None, limit: int) -> list[JobListItem]:
    """A page of a tenant's jobs, newest first."""
    rows = await pool.fetch(_queries["page"], tenant_id, before, limit)
    items = [dict(zip(JobListItem.__struct_fields__, row, strict=True)) for row in rows]
    return [JobListItem(**item | {"filter": msgspec.json.decode(item["filter"], type=Selection)}) for item in items]


async def running_jobs(pool: Pool) -> list[UUID]:
    """The open jobs of all tenants, oldest first."""
    return [row[0] for row in await pool.fetch(_queries["running"])]


async def count_open(pool: Pool, tenant_id: UUID) -> int:
    """How many jobs of a tenant run or are paused."""
    count: int = await pool.fetchval(_queries["open_count"], tenant_id)
    return count


class _Change(msgspec.Struct):
    """What a batch does to one job; None where it changes nothing. `requested` is set where the job is new."""

    tenant_id: UUID
    job_id: UUID
    requested: JobRequested | None = None
    requested_at: datetime | None = None
    status: JobStatus | None = None
    progressed: JobProgressed | None = None
    updated_at: datetime | None = None
    position: int = 0
    stream_version: int = 0


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    changes: dict[UUID, _Change] = {}
    for stored in events:
        event = decode(stored.type, stored.schema_version, stored.data)
        if not isinstance(event, JobEvent):
            continue
        change = changes.setdefault(stored.stream_id, _Change(stored.tenant_id, stored.stream_id))
        _fold(change, event, stored.recorded_at)
        change.updated_at, change.position, change.stream_version = stored.recorded_at, stored.position, stored.version
    ordered = sorted(changes.values(), key=lambda change: (change.tenant_id, change.job_id))
    if new := [_inserted(change, change.requested) for change in ordered if change.requested]:
        await connection.execute(_queries["insert"], *columns(new))
    if old := [_updated(change) for change in ordered if not change.requested]:
        await connection.execute(_queries["update"], *columns(old))


def _fold(change: _Change, event: JobEvent, at: datetime) -> None:
    match event:
        case JobRequested():
            change.requested, change.requested_at = event, at
        case JobProgressed():
            change.progressed = event
        case JobPaused():
            change.status = "paused"
        case JobResumed():
            change.status = "running"
        case JobAborted():
            change.status = "aborted"
        case JobCompleted():
            change.status = "completed"
        case _:
            assert_never(event)


def _inserted(change: _Change, requested: JobRequested) -> tuple[object, ...]:
    return (
        change.tenant_id, change.job_id, requested.kind, change.status, msgspec.json.encode(requested.filter).decode(),
        requested.from_step, requested.version, requested.rate_per_s, requested.total, *_progress(change),
        change.requested_at, change.updated_at, change.position, change.stream_version,
    )  # fmt: skip


def _updated(change: _Change) -> tuple[object, ...]:
    return (
        change.tenant_id, change.job_id, change.status, *_progress(change), change.updated_at, change.position,
        change.stream_version,
    )  # fmt: skip


def _progress(change: _Change) -> tuple[object, ...]:
    """Done, skipped, failed, and the last problem."""
    made = change.progressed
    return (made.done, made.skipped, made.failed, storable(made.problem)) if made else (None,) * 4


JOB_LIST = Projection(
    name="job_list",
    definition=1,
    handles=frozenset({"job.requested", "job.progressed", "job.paused", "job.resumed", "job.aborted", "job.completed"}),
    create=_queries["create"],
    apply=_apply,
)
