"""The job list: one row per job of a tenant, newest first; workers find in it what is to be done."""

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never
from uuid import UUID

import msgspec

from domain.job import job
from domain.log.event import Event, StoredEvent
from domain.run.replay import ReplayVersion
from projections.engine.projection import Projection
from projections.engine.rows import RowChange, execute, row_changes, storable, struct_of
from sql.postgres.pool import Connection, Pool
from sql.postgres.queries import Queries

_queries = Queries("projections/job_list.sql")
_selection = msgspec.json.Decoder(job.Selection)


class JobListItem(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it stands: of `total`, `done` + `skipped` + `failed` are dealt with.

    `problem` is why the last of the failed or skipped ones was not done. `rate_per_s` is the limit of its speed.
    """

    id: UUID
    kind: job.JobKind
    status: job.JobStatus
    filter: job.Selection
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
    return [
        struct_of(JobListItem, (*row[:3], msgspec.json.decode(row[3], type=job.Selection), *row[4:])) for row in rows
    ]


async def running_jobs(pool: Pool) -> list[tuple[UUID, UUID]]:
    """The jobs of all tenants that run, and whose they are: the oldest of each tenant before the second of any."""
    return [(row[0], row[1]) for row in await pool.fetch(_queries["running"])]


async def count_open(pool: Pool, tenant_id: UUID) -> int:
    """How many jobs of a tenant run or are paused."""
    count: int = await pool.fetchval(_queries["open_count"], tenant_id)
    return count


class _Change(RowChange):
    """What a batch does to one job; None where it changes nothing. `requested` is set where the job is new."""

    requested: job.JobRequested | None = None
    requested_at: datetime | None = None
    status: job.JobStatus | None = None
    progressed: job.JobProgressed | None = None


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    changes = row_changes(events, _Change, _fold)
    new = [_inserted(change, change.requested) for change in changes if change.requested]
    await execute(connection, _queries["insert"], new)
    await execute(connection, _queries["update"], [_updated(change) for change in changes if not change.requested])


def _fold(change: _Change, event: Event, at: datetime) -> None:
    assert isinstance(event, job.JobEvent)
    match event:
        case job.JobRequested():
            change.requested, change.requested_at = event, at
        case job.JobProgressed():
            change.progressed = event
        case job.JobPaused() | job.JobResumed() | job.JobAborted() | job.JobCompleted():
            change.status = job.STATUS_AFTER[type(event)]
        case _:
            assert_never(event)


def _inserted(change: _Change, requested: job.JobRequested) -> tuple[object, ...]:
    return (
        change.tenant_id, change.id, requested.kind, change.status, msgspec.json.encode(requested.filter).decode(),
        requested.from_step, requested.version, requested.rate_per_s, requested.total, *_progress(change),
        change.requested_at, change.updated_at, change.position, change.stream_version,
    )  # fmt: skip


def _updated(change: _Change) -> tuple[object, ...]:
    return (
        change.tenant_id, change.id, change.status, *_progress(change), change.updated_at, change.position,
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
