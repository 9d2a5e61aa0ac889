"""The inbox of dead letters: runs that failed for good or were timed out, grouped by zap, step and code."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypeAlias, assert_never, cast
from uuid import UUID

import asyncpg
import msgspec

from domain.failures.failures import (
    MAX_MESSAGE,
    AlertAttempted,
    AlertRaised,
    FailuresEvent,
    FailuresNoted,
    FailuresResolved,
    Unreported,
    group_id,
)
from domain.log.event import StoredEvent
from domain.registry import decode
from domain.run.events import DEADLINE, RunFailed, RunTimedOut
from projections.engine.projection import Projection
from projections.engine.rows import columns, execute, forgotten_apart, storable
from sql.postgres.pool import Connection, Pool
from sql.postgres.queries import Queries

_queries = Queries("projections/dead_letters.sql")

State: TypeAlias = Literal["open", "resolved"]
"""A group is open while it has more failures than were resolved: with the next one it opens again."""
MAX_CAUSES = 100
"""The most groups in one alert; the next alert has the others."""


class RunsFilter(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of a group, as the run list and bulk jobs take it."""

    zap_id: UUID
    step_id: str
    error_code: str
    status: Literal["failed", "timed_out"]


class DeadLetters(msgspec.Struct, frozen=True, kw_only=True):
    """A group: `count` failures, of which `resolved` are done with, and `told` were told of.

    `recovered` more did not complete either, but a replay of theirs has; with `include_recovered` they count as well.
    `run_id` and `message` are of the last one. `filter`: for POST /api/v1/runs/replay. `position` is in the log.
    """

    id: UUID
    zap_id: UUID
    step_id: str
    code: str
    message: str
    run_id: UUID
    state: State
    count: int
    resolved: int
    recovered: int
    told: int
    first_at: datetime
    last_at: datetime
    note: str
    filter: RunsFilter
    position: int


async def list_dead_letters(
    pool: Pool,
    tenant_id: UUID,
    *,
    zap_id: UUID | None,
    state: State | None,
    include_recovered: bool = False,
    before: int | None,
    limit: int,
) -> list[DeadLetters]:
    """A page of a tenant's groups, those with the latest failures first; `before` is a position."""
    is_open = None if state is None else state == "open"
    rows = await pool.fetch(_queries["page"], tenant_id, zap_id, is_open, before, limit, include_recovered)
    return [_item(row, include_recovered=include_recovered) for row in rows]


async def get_dead_letters(pool: Pool, tenant_id: UUID, group: UUID) -> DeadLetters | None:
    """One group."""
    row = await pool.fetchrow(_queries["one"], tenant_id, group)
    return _item(row, include_recovered=False) if row else None


async def unreported(connection: Connection, tenant_id: UUID, zap_id: UUID) -> list[Unreported]:
    """The groups of a zap with failures that no alert has reported."""
    rows = await connection.fetch(_queries["unreported"], tenant_id, zap_id, MAX_CAUSES)
    return [Unreported(**dict(row)) for row in rows]


def _item(row: "asyncpg.Record", *, include_recovered: bool) -> DeadLetters:
    recovered, since = (0, 0) if include_recovered else (row[13], row[14])
    # Read models of one moment, but two of them: each may be ahead of the other by a batch while it is built anew.
    count = max(row[6] - recovered, 0)
    resolved = min(max(row[7] - (recovered - since), 0), count)
    return DeadLetters(
        id=row[0],
        zap_id=row[1],
        step_id=row[2],
        code=row[3],
        message=row[4],
        run_id=row[5],
        state="open" if count > resolved else "resolved",
        count=count,
        resolved=resolved,
        recovered=row[13],
        told=min(row[8], count),
        first_at=row[9],
        last_at=row[10],
        note=row[11],
        filter=RunsFilter(
            zap_id=row[1],
            step_id=row[2],
            error_code=row[3],
            status="timed_out" if row[3] == DEADLINE else "failed",
        ),
        position=row[12],
    )


class _Change(msgspec.Struct):
    """What a batch adds to one group, in the order of the columns."""

    tenant_id: UUID
    group_id: UUID
    zap_id: UUID
    step_id: str
    code: str
    message: str = ""
    run_id: UUID | None = None
    total: int = 0
    of_alerts: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    last_position: int = 0
    resolved: int = 0
    resolved_position: int = 0
    note: str = ""
    note_position: int = 0
    told: int = 0
    told_of_alerts: int = 0


class _Changes:
    """What a batch adds, by group."""

    def __init__(self) -> None:
        self.groups: dict[UUID, _Change] = {}

    def of(self, tenant_id: UUID, zap_id: UUID, step_id: str, code: str) -> _Change:
        step_id, code = storable(step_id), storable(code)
        key = group_id(zap_id, step_id, code)
        if key not in self.groups:
            self.groups[key] = _Change(tenant_id, key, zap_id, step_id, code)
        return self.groups[key]

    def fail(self, stored: StoredEvent, event: RunFailed | RunTimedOut) -> None:
        if event.zap_id is None:
            return
        code = event.code if isinstance(event, RunFailed) else DEADLINE
        change = self.of(stored.tenant_id, event.zap_id, event.step_id, code)
        change.total += 1
        change.of_alerts += event.of_alert
        change.first_at = min(change.first_at or stored.recorded_at, stored.recorded_at)
        change.last_at = max(change.last_at or stored.recorded_at, stored.recorded_at)
        if stored.position > change.last_position:
            change.last_position, change.run_id = stored.position, stored.stream_id
            change.message = storable(event.message[:MAX_MESSAGE])

    def follow(self, stored: StoredEvent, event: FailuresEvent) -> None:
        match event:
            case FailuresResolved():
                change = self.of(stored.tenant_id, event.zap_id, event.step_id, event.code)
                change.resolved = max(change.resolved, event.count)
                change.resolved_position = stored.position
            case FailuresNoted():
                change = self.of(stored.tenant_id, event.zap_id, event.step_id, event.code)
                change.note, change.note_position = storable(event.note), stored.position
            case AlertRaised():
                for cause in event.causes:
                    change = self.of(stored.tenant_id, event.zap_id, cause.step_id, cause.code)
                    change.told = max(change.told, cause.total)
                    change.told_of_alerts = max(change.told_of_alerts, cause.of_alerts)
            case AlertAttempted():
                pass
            case _:
                assert_never(event)


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    changes = _Changes()
    happened, forgotten = forgotten_apart(events)
    for stored in happened:
        event = decode(stored.type, stored.schema_version, stored.data)
        if isinstance(event, RunFailed | RunTimedOut):
            changes.fail(stored, event)
        else:
            changes.follow(stored, cast(FailuresEvent, event))
    rows = sorted(changes.groups.values(), key=lambda change: (change.tenant_id, change.group_id))
    if rows:
        await connection.execute(_queries["upsert"], *columns([msgspec.structs.astuple(row) for row in rows]))
    await execute(connection, _queries["forget"], [(stored.tenant_id, event.run_id) for stored, event in forgotten])


DEAD_LETTERS = Projection(
    name="dead_letters",
    definition=3,
    handles=frozenset(
        {
            "zap.run.failed",
            "zap.run.timed_out",
            "zap.failures.resolved",
            "zap.failures.noted",
            "zap.failures.alert_raised",
            "run.forgotten",
        }
    ),
    create=_queries["create"],
    apply=_apply,
)
