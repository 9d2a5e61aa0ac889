"""The run list: one row per run, newest first, filtered by zap, status, source, time and what went wrong."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import assert_never
from uuid import UUID

import asyncpg
import msgspec

from domain.job.job import Selection
from domain.log.event import Event, StoredEvent
from domain.run import events as run
from domain.run import waits
from domain.run.children import LoopFinished, LoopProgressed, LoopStarted, ZapCalled
from domain.run.state import RunStatus
from projections.engine.projection import BEING_BUILT, Projection
from projections.engine.rows import RowChange, execute, row_changes, storable, struct_of
from sql.postgres.pool import Connection, Pool
from sql.postgres.queries import Queries, Query

_queries = Queries("projections/run_list.sql")
_DAWN = datetime(1970, 1, 2, tzinfo=UTC)
MAX_ERROR = 500
"""Characters of an error that the list keeps; the run's detail has it whole."""
MAX_REPLAYS = 100


class RunError(msgspec.Struct, frozen=True):
    """Why a run failed, or is waiting to try again; and at which step, where it was at one."""

    code: str
    message: str
    step_id: str | None = None


class RunListItem(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the list. `duration_ms` is from the request to the end; `attempts` counts all attempts of all steps.

    `recovered_by`: the run did not complete, but this replay of it has, or a replay of a replay.
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


class RunFilter(Selection, frozen=True, kw_only=True):
    """A page of a selection. `before` is the id after which, going back in time, the page starts.

    `recovered`: only runs that were made up for, or only the others. `parent`: only children of this run. The items of
    loops are listed with it, and not without.
    """

    recovered: bool | None = None
    parent: UUID | None = None
    before: UUID | None = None
    limit: int = 20


async def list_runs(pool: Pool, tenant_id: UUID, wanted: RunFilter) -> list[RunListItem]:
    """A page of a tenant's runs, newest first."""
    children = () if wanted.parent is None else (wanted.parent,)
    rows = await pool.fetch(
        page_query(wanted), tenant_id, wanted.before, wanted.status, wanted.source, _not_too_early(wanted.from_),
        _not_too_early(wanted.to), wanted.limit, wanted.zap_id, wanted.step_id, wanted.error_code, wanted.recovered,
        *children,
    )  # fmt: skip
    return [_item(row) for row in rows]


def _item(row: "asyncpg.Record") -> RunListItem:
    error = RunError(*row[8:11]) if row[8] else None
    return struct_of(RunListItem, (*row[:8], error, *row[11:]))


async def first_failed_at(connection: Connection, tenant_id: UUID, zap_id: UUID, after: datetime) -> datetime | None:
    """When the first failed run of a zap was asked for, of those that were asked for after a moment."""
    found: datetime | None = await connection.fetchval(_queries["first_failed"], tenant_id, zap_id, after)
    return found


async def replays_of(pool: Pool, tenant_id: UUID, run_id: UUID) -> list[UUID]:
    """The newest MAX_REPLAYS runs that replay this one, newest first; none while the list is being built."""
    try:
        rows = await pool.fetch(_queries["replays_of"], tenant_id, run_id, MAX_REPLAYS)
    except BEING_BUILT:
        return []
    return [row[0] for row in rows]


async def oldest_runs(
    pool: Pool,
    tenant_id: UUID,
    selection: Selection,
    statuses: Sequence[RunStatus],
    *,
    after: UUID | None,
    before: UUID,
    limit: int,
) -> list[UUID]:
    """The next runs of a selection that have one of these statuses, oldest first, with ids between the two."""
    query, selected = oldest_query(selection, statuses)
    return [
        row[0]
        for row in await pool.fetch(query, tenant_id, *selected, after, before, limit, selection.include_recovered)
    ]


class Triggered(msgspec.Struct, frozen=True):
    """How many runs there are that something started from outside, the oldest and the newest of them."""

    count: int
    first: UUID
    last: UUID


NONE_TRIGGERED = Triggered(0, UUID(int=0), UUID(int=0))


async def newest_triggers(pool: Pool, tenant_id: UUID, selection: Selection, limit: int) -> Triggered:
    """The newest of a zap's runs that have ended, without replays and items of loops. Of a selection only zap and time
    count.
    """
    wanted = selection.zap_id, _not_too_early(selection.from_), _not_too_early(selection.to)
    row = await pool.fetchrow(_queries["newest_triggers"], tenant_id, *wanted, limit)
    return Triggered(*row) if row and row[0] else NONE_TRIGGERED


async def oldest_triggers(
    pool: Pool, tenant_id: UUID, selection: Selection, *, after: UUID, last: UUID, limit: int
) -> list[UUID]:
    """The next of these, oldest first, behind an id and up to another one."""
    wanted = selection.zap_id, _not_too_early(selection.from_), _not_too_early(selection.to)
    rows = await pool.fetch(_queries["oldest_triggers"], tenant_id, *wanted, after, last, limit)
    return [row[0] for row in rows]


async def count_runs(
    pool: Pool, tenant_id: UUID, selection: Selection, statuses: Sequence[RunStatus], limit: int
) -> int:
    """How many there are, counted up to a limit."""
    possible = _possible(selection, statuses)
    query = _queries[f"count{_variant(selection, possible)}"]
    wanted = *_selected(selection, possible), limit, selection.include_recovered
    count: int = await pool.fetchval(query, tenant_id, *wanted)
    return count


def oldest_query(selection: Selection, statuses: Sequence[RunStatus]) -> tuple[Query, tuple[object, ...]]:
    """As page_query, for what a job takes next; with the parameters that make the selection."""
    possible = _possible(selection, statuses)
    return _queries[f"oldest{_variant(selection, possible)}"], _selected(selection, possible)


def _possible(selection: Selection, statuses: Sequence[RunStatus]) -> Sequence[RunStatus]:
    """No run that has completed shows an error, so that those need not be passed over."""
    wrong = selection.step_id or selection.error_code
    return [status for status in statuses if status != "completed"] if wrong else statuses


def _variant(selection: Selection, statuses: Sequence[RunStatus]) -> str:
    if "completed" not in statuses:
        return "_not_completed"
    if selection.source not in {None, "webhook"}:
        return "_of_source"
    return "_of_zap" if selection.zap_id else ""


def _selected(selection: Selection, statuses: Sequence[RunStatus]) -> tuple[object, ...]:
    return (
        statuses, selection.source, _not_too_early(selection.from_), _not_too_early(selection.to), selection.zap_id,
        selection.step_id, selection.error_code,
    )  # fmt: skip


def _not_too_early(moment: datetime | None) -> datetime | None:
    """No id is of a time before 1970, nor was a run."""
    return moment and max(moment, _DAWN)


def page_query(wanted: RunFilter) -> Query:
    """The query whose index passes over the fewest runs: those of a rare status or source are few, a zap's are some."""
    if wanted.parent:
        return _queries["page_of_parent"]
    if wanted.step_id or wanted.error_code:
        return _queries["page_of_step" if wanted.step_id else "page_of_error"]
    if wanted.status not in {None, "completed"}:
        return _queries["page_of_zap_and_status" if wanted.zap_id else "page_of_status"]
    if wanted.source not in {None, "webhook"}:
        return _queries["page_of_source"]
    return _queries["page_of_zap" if wanted.zap_id else "page"]


class _Change(RowChange):
    """What a batch does to one run; `requested` is set where the run is new."""

    requested: run.RunRequested | None = None
    started_at: datetime | None = None
    status: RunStatus = "running"
    finished_at: datetime | None = None
    error: RunError | None = None
    attempts: int = 0


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    changes = row_changes(events, _Change, _fold)
    await execute(connection, _queries["insert"], [_inserted(change) for change in changes if change.requested])
    await execute(connection, _queries["update"], [_updated(change) for change in changes if not change.requested])


def _fold(change: _Change, event: Event, at: datetime) -> None:
    """Each event sets status and error anew, so that it makes no difference where one batch ends."""
    assert isinstance(event, run.RunEvent)
    match event:
        case run.RunRequested():
            change.requested, change.started_at, change.status = event, at, "queued"
        case run.StepStarted() | run.StepDecided() | LoopFinished() | run.RunResumed():
            change.status, change.error = "running", None
        case run.StepSucceeded() | run.StepAttemptFailed() | run.StepFailed():
            _fold_attempt(change, event)
        case run.StepPostponed():
            change.status, change.error = (
                "waiting",
                _error(run.Failure(code=event.code, message=event.message), event.step_id),
            )
        case run.StepDelayed() | waits.ApprovalAsked() | waits.CallbackAwaited():
            change.status, change.error = "waiting", None
        case LoopStarted() | LoopProgressed() | ZapCalled():
            change.status, change.error = "waiting", None
        case waits.ApprovalAnswered() | waits.ApprovalMailed() | waits.CallbackReceived():
            pass  # not handled: what the run does next says how it stands
        case run.RunCompleted() | run.RunFiltered() | run.RunFailed() | run.RunTimedOut() | run.RunCancelled():
            change.finished_at = at
            _end(change, event)
        case _:
            assert_never(event)


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
    definition=5,
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
        }
    ),
    create=_queries["create"],
    apply=_apply,
)
