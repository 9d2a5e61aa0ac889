"""The run list: one row per run, newest first, filtered by zap, status, source and time."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import assert_never
from uuid import UUID

import msgspec

from domain.event import RunStatus, StoredEvent
from domain.registry import decode
from domain.run_events import (
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunRequested,
    RunResumed,
    RunTimedOut,
    Source,
    StepAttemptFailed,
    StepDelayed,
    StepFailed,
    StepPostponed,
    StepStarted,
    StepSucceeded,
)
from projections.projection import Projection
from sql.pool import Connection, Pool
from sql.queries import Queries, Query

_queries = Queries("projections/run_list.sql")
_DAWN = datetime(1970, 1, 2, tzinfo=UTC)
MAX_ERROR = 500
"""Characters of an error that the list keeps; the run's detail has it whole."""


class RunError(msgspec.Struct, frozen=True):
    """Why a run failed, or is waiting to try again."""

    code: str
    message: str


class RunListItem(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the list. `duration_ms` is from the request to the end; `attempts` counts all attempts of all steps."""

    id: UUID
    zap_id: UUID
    zap_version: int
    status: RunStatus
    source: Source
    started_at: datetime
    finished_at: datetime | None
    duration_ms: float | None
    error: RunError | None
    attempts: int
    position: int


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are wanted. `before` is the id after which, going back in time, a page starts."""

    zap_id: UUID | None = None
    status: RunStatus | None = None
    source: Source | None = None
    from_: datetime | None = None
    to: datetime | None = None
    before: UUID | None = None
    limit: int = 20


async def list_runs(pool: Pool, tenant_id: UUID, wanted: RunFilter) -> list[RunListItem]:
    """A page of a tenant's runs, newest first."""
    rows = await pool.fetch(
        page_query(wanted), tenant_id, wanted.before, wanted.status, wanted.source, _not_too_early(wanted.from_),
        _not_too_early(wanted.to), wanted.limit, wanted.zap_id,
    )  # fmt: skip
    return [
        RunListItem(
            id=row[0],
            zap_id=row[1],
            zap_version=row[2],
            status=row[3],
            source=row[4],
            started_at=row[5],
            finished_at=row[6],
            duration_ms=row[7],
            error=RunError(row[8], row[9]) if row[8] else None,
            attempts=row[10],
            position=row[11],
        )
        for row in rows
    ]


async def first_failed_at(connection: Connection, tenant_id: UUID, zap_id: UUID, after: datetime) -> datetime | None:
    """When the first failed run of a zap was asked for, of those that were asked for after a moment."""
    found: datetime | None = await connection.fetchval(_queries["first_failed"], tenant_id, zap_id, after)
    return found


def _not_too_early(moment: datetime | None) -> datetime | None:
    """No id is of a time before 1970, nor was a run."""
    return moment and max(moment, _DAWN)


def page_query(wanted: RunFilter) -> Query:
    """The query whose index passes over the fewest runs: those of a rare status or source are few, a zap's are some."""
    if wanted.status not in {None, "completed"}:
        return _queries["page_of_zap_and_status" if wanted.zap_id else "page_of_status"]
    if wanted.source not in {None, "webhook"}:
        return _queries["page_of_source"]
    return _queries["page_of_zap" if wanted.zap_id else "page"]


class _Change(msgspec.Struct):
    """What a batch does to one run; `requested` is set where the run is new."""

    tenant_id: UUID
    run_id: UUID
    requested: RunRequested | None = None
    started_at: datetime | None = None
    status: RunStatus = "running"
    finished_at: datetime | None = None
    error: RunError | None = None
    attempts: int = 0
    position: int = 0
    stream_version: int = 0


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    changes: dict[UUID, _Change] = {}
    for stored in events:
        event = decode(stored.type, stored.schema_version, stored.data)
        if not isinstance(event, RunEvent):
            continue
        change = changes.get(stored.stream_id)
        if change is None:
            change = changes[stored.stream_id] = _Change(stored.tenant_id, stored.stream_id)
        _fold(change, event, stored.recorded_at)
        change.position, change.stream_version = stored.position, stored.version
    ordered = sorted(changes.values(), key=lambda change: (change.tenant_id, change.run_id))
    if new := [change for change in ordered if change.requested]:
        await connection.execute(_queries["insert"], *_columns([_inserted(change) for change in new]))
    if old := [change for change in ordered if not change.requested]:
        await connection.execute(_queries["update"], *_columns([_updated(change) for change in old]))


def _fold(change: _Change, event: RunEvent, at: datetime) -> None:
    """Each event sets status and error anew, so that it makes no difference where one batch ends."""
    match event:
        case RunRequested():
            change.requested, change.started_at, change.status = event, at, "queued"
        case StepStarted() | RunResumed():
            change.status, change.error = "running", None
        case StepSucceeded() | StepAttemptFailed() | StepFailed():
            _fold_attempt(change, event)
        case StepPostponed():
            change.status, change.error = "waiting", _error(event.code, event.message)
        case StepDelayed():
            change.status, change.error = "waiting", None
        case RunCompleted() | RunFailed() | RunTimedOut() | RunCancelled():
            change.finished_at = at
            _end(change, event)
        case _:
            assert_never(event)


def _fold_attempt(change: _Change, event: StepSucceeded | StepAttemptFailed | StepFailed) -> None:
    change.attempts += 1
    change.status = "waiting" if isinstance(event, StepAttemptFailed) else "running"
    change.error = None if isinstance(event, StepSucceeded) else _error(event.failure.code, event.failure.message)


def _end(change: _Change, event: RunCompleted | RunFailed | RunTimedOut | RunCancelled) -> None:
    match event:
        case RunCompleted():
            change.status, change.error = "completed", None
        case RunFailed():
            change.status, change.error = "failed", _error(event.code, event.message)
        case RunTimedOut():
            change.status, change.error = "timed_out", _error("deadline", event.message)
        case RunCancelled():
            change.status = "cancelled"
            change.error = _error(event.code, event.message) if event.code else None
        case _:
            assert_never(event)


def _error(code: str, message: str) -> RunError:
    return RunError(code, message[:MAX_ERROR].replace("\0", ""))


def _inserted(change: _Change) -> tuple[object, ...]:
    requested, error = change.requested, change.error
    assert requested is not None
    assert change.started_at is not None
    duration = None
    if change.finished_at:
        duration = (change.finished_at - change.started_at) / timedelta(milliseconds=1)
    return (
        change.tenant_id, change.run_id, requested.zap_id, requested.zap_version, change.status, requested.source,
        change.started_at, change.finished_at, duration, error.code if error else None,
        error.message if error else None, change.attempts, change.position, change.stream_version,
    )  # fmt: skip


def _updated(change: _Change) -> tuple[object, ...]:
    error = change.error
    return (
        change.tenant_id, change.run_id, change.status, change.finished_at, error.code if error else None,
        error.message if error else None, change.attempts, change.position, change.stream_version,
    )  # fmt: skip


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


RUN_LIST = Projection(
    name="run_list",
    definition=2,
    handles=frozenset(
        {
            "zap.run.requested",
            "zap.run.step_started",
            "zap.run.step_succeeded",
            "zap.run.step_attempt_failed",
            "zap.run.step_failed",
            "zap.run.step_postponed",
            "zap.run.step_delayed",
            "zap.run.resumed",
            "zap.run.completed",
            "zap.run.failed",
            "zap.run.timed_out",
            "zap.run.cancelled",
        }
    ),
    create=_queries["create"],
    apply=_apply,
)
