"""The run list: one row per run. What it can be asked is in projections/run_query.py."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import assert_never, cast
from uuid import UUID

import msgspec

from domain.log.event import Event, StoredEvent
from domain.run import events as run
from domain.run import waits
from domain.run.children import LoopFinished, LoopProgressed, LoopStarted, ZapCalled
from domain.run.state import RunStatus
from domain.search.matches import Match
from projections.engine.projection import Projection
from projections.engine.rows import RowChange, execute, forgotten_apart, row_changes, storable
from sql.postgres.pool import Connection, Pool
from sql.postgres.queries import Queries

_queries = Queries("projections/run_list.sql")
MAX_ERROR = 500
"""Characters of an error that the list keeps; the run's detail has it whole."""


class RunError(msgspec.Struct, frozen=True):
    """Why a run failed, or is waiting to try again; and at which step, where it was at one."""

    code: str
    message: str
    step_id: str | None = None


class RunListItem(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the list. `duration_ms` is from the request to the end; `attempts` counts all attempts of all steps.
    `keys` are the search keys that its zap declares, those that the run has.

    `recovered_by`: the run did not complete, but this replay of it has, or a replay of a replay. `matches`: where in
    the run a search found something, if that was asked for.
    """

    id: UUID
    zap_id: UUID
    zap_version: int
    status: RunStatus
    source: run.Source
    started_at: datetime
    finished_at: datetime | None
    duration_ms: float | None
    error: RunError | None
    attempts: int
    replay_of: UUID | None
    parent_id: UUID | None
    recovered_by: UUID | None
    position: int
    keys: dict[str, str | float | bool] = {}
    matches: list[Match] | msgspec.UnsetType = msgspec.UNSET


async def first_failed_at(connection: Connection, tenant_id: UUID, zap_id: UUID, after: datetime) -> datetime | None:
    """When the first failed run of a zap was asked for, of those that were asked for after a moment."""
    found: datetime | None = await connection.fetchval(_queries["first_failed"], tenant_id, zap_id, after)
    return found


async def with_payloads(
    pool: Pool, tenant_id: UUID, zap_id: UUID, after: UUID, before: datetime, *, limit: int
) -> list[UUID]:
    """The next runs of a zap that have ended and were asked for before a moment, and that are not forgotten."""
    rows = await pool.fetch(_queries["with_payloads"], tenant_id, zap_id, after, before, limit)
    return [row[0] for row in rows]


async def with_items(pool: Pool, tenant_id: UUID, run_id: UUID) -> list[UUID]:
    """A run, and the items of its loops, and of theirs."""
    return [row[0] for row in await pool.fetch(_queries["with_items"], tenant_id, run_id)]


async def family(pool: Pool, tenant_id: UUID, run_id: UUID, limit: int) -> list[UUID]:
    """A run, the runs that it called or has as items, its replays, and theirs: all that hold something of it."""
    return [row[0] for row in await pool.fetch(_queries["family"], tenant_id, run_id, limit)]


class _Change(RowChange):
    """What a batch does to one run; `requested` is set where the run is new."""

    requested: run.RunRequested | None = None
    started_at: datetime | None = None
    status: RunStatus = "running"
    finished_at: datetime | None = None
    error: RunError | None = None
    attempts: int = 0


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    happened, forgotten = forgotten_apart(events)
    changes = row_changes(happened, _Change, _fold)
    await execute(connection, _queries["insert"], [_inserted(change) for change in changes if change.requested])
    await execute(connection, _queries["update"], [_updated(change) for change in changes if not change.requested])
    await execute(connection, _queries["forget"], [(stored.tenant_id, event.run_id) for stored, event in forgotten])


def _fold(change: _Change, event: Event, at: datetime) -> None:
    """Each event sets status and error anew, so that it makes no difference where one batch ends."""
    match cast(run.RunEvent, event):  # what is frequent first: each class that an event is not costs time
        case run.RunRequested() as requested:
            change.requested, change.started_at, change.status = requested, at, "queued"
        case run.StepSucceeded() | run.StepAttemptFailed() | run.StepFailed() as attempt:
            _fold_attempt(change, attempt)
        case run.RunCompleted() | run.RunFiltered() | run.RunFailed() | run.RunTimedOut() | run.RunCancelled() as end:
            change.finished_at = at
            _end(change, end)
        case run.StepStarted() | run.StepDecided() | LoopFinished() | run.RunResumed():
            change.status, change.error = "running", None
        case run.StepPostponed(step_id=step_id, code=code, message=message):
            change.status, change.error = "waiting", _error(run.Failure(code=code, message=message), step_id)
        case run.StepDelayed() | waits.ApprovalAsked() | waits.CallbackAwaited():
            change.status, change.error = "waiting", None
        case LoopStarted() | LoopProgressed() | ZapCalled():
            change.status, change.error = "waiting", None
        case waits.ApprovalAnswered() | waits.ApprovalMailed() | waits.CallbackReceived():
            pass  # not handled: what the run does next says how it stands
        case other:
            assert_never(other)


def _fold_attempt(change: _Change, event: run.StepSucceeded | run.StepAttemptFailed | run.StepFailed) -> None:
    change.attempts += 1
    change.status = "waiting" if isinstance(event, run.StepAttemptFailed) else "running"
    change.error = None if isinstance(event, run.StepSucceeded) else _error(event.failure, event.step_id)


def _end(change: _Change, event: run.End) -> None:
    match event:
        case run.RunCompleted():
            change.status, change.error = "completed", None
        case run.RunFiltered():
            change.status, change.error = "filtered", None
        case run.RunFailed():
            change.status, change.error = "failed", _error(event, event.step_id)
        case run.RunTimedOut():
            change.status = "timed_out"
            change.error = _error(run.Failure(code="deadline", message=event.message), event.step_id)
        case run.RunCancelled():
            change.status = "cancelled"
            failure = run.Failure(code=event.code, message=event.message)
            change.error = _error(failure, event.step_id) if event.code else None
        case _:
            assert_never(event)


def _error(failure: run.Failure | run.RunFailed, step_id: str) -> RunError:
    return RunError(failure.code, storable(failure.message[:MAX_ERROR]), step_id or None)


def _inserted(change: _Change) -> tuple[object, ...]:
    requested, error = change.requested, change.error
    assert requested is not None
    assert change.started_at is not None
    parent = requested.parent
    duration = None
    if change.finished_at:
        duration = (change.finished_at - change.started_at) / timedelta(milliseconds=1)
    return (
        change.tenant_id, change.id, requested.zap_id, requested.zap_version, change.status, requested.source,
        change.started_at, change.finished_at, duration, error.code if error else None,
        error.message if error else None, error.step_id if error else None, change.attempts, requested.replay_of,
        parent.run_id if parent else None, parent.step_id if parent else None, parent.index if parent else None,
        change.position, change.stream_version,
    )  # fmt: skip


def _updated(change: _Change) -> tuple[object, ...]:
    error = change.error
    return (
        change.tenant_id, change.id, change.status, change.finished_at, error.code if error else None,
        error.message if error else None, error.step_id if error else None, change.attempts, change.position,
        change.stream_version,
    )  # fmt: skip


RUN_LIST = Projection(
    name="run_list",
    definition=7,
    handles=frozenset(
        {
            "zap.run.requested",
            "zap.run.step_started",
            "zap.run.step_succeeded",
            "zap.run.step_attempt_failed",
            "zap.run.step_failed",
            "zap.run.step_postponed",
            "zap.run.step_delayed",
            "zap.run.step_decided",
            "zap.run.approval_asked",
            "zap.run.callback_awaited",
            "zap.run.loop_started",
            "zap.run.loop_progressed",
            "zap.run.loop_finished",
            "zap.run.zap_called",
            "zap.run.resumed",
            "zap.run.completed",
            "zap.run.filtered",
            "zap.run.failed",
            "zap.run.timed_out",
            "zap.run.cancelled",
            "run.forgotten",
        }
    ),
    create=_queries["create"],
    apply=_apply,
)
