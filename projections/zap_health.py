"""The health of zaps: how their runs end, and which alerts were sent. Zaps without an ended run have no row."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import assert_never, cast
from uuid import UUID

import msgspec

from domain.failures.failures import AlertAttempted, AlertRaised, FailuresEvent, FailuresNoted, FailuresResolved
from domain.log.event import StoredEvent
from domain.registry import decode
from domain.run.events import RunCompleted, RunFailed, RunTimedOut
from domain.zap.events import ZapFlagged
from projections.engine.projection import Projection
from projections.engine.rows import columns
from sql.postgres.pool import Connection, Pool
from sql.postgres.queries import Queries

_queries = Queries("projections/zap_health.sql")
_results = msgspec.json.Decoder(dict[str, str])
_NEVER = msgspec.json.encode({}).decode()


class AlertStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The last alert and its results: by channel an empty text, or why it was not delivered.

    With `retry_at` it will be sent once more where it failed.
    """

    id: UUID
    at: datetime
    attempts: int
    results: Mapping[str, str]
    retry_at: datetime | None


class ZapHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs of a zap have completed and failed, time-outs included, and when the last ones did."""

    completed: int = 0
    failed: int = 0
    last_completed_at: datetime | None = None
    last_failed_at: datetime | None = None
    alert: AlertStatus | None = None


async def get_health(pool: Pool, tenant_id: UUID, zap_id: UUID) -> ZapHealth:
    """The health of one zap."""
    row = await pool.fetchrow(_queries["one"], tenant_id, zap_id)
    if row is None:
        return ZapHealth()
    told = row[4] and AlertStatus(
        id=row[4], at=row[5], attempts=row[6], results=_results.decode(row[7]), retry_at=row[8]
    )
    return ZapHealth(completed=row[0], failed=row[1], last_completed_at=row[2], last_failed_at=row[3], alert=told)


class Pending(msgspec.Struct, frozen=True):
    """A zap with something to report: `fresh`, or its last alert, at `alert_position`, once more from `retry_at` on.

    `stream_version` is that of its failures' stream, `flagged_until` the position of its last flag, `told_until` how
    far the last alert went.
    """

    tenant_id: UUID
    zap_id: UUID
    stream_version: int
    flagged_until: int
    told_until: datetime | None
    alert_id: UUID | None
    alert_position: int | None
    attempts: int | None
    results: Mapping[str, str]
    retry_at: datetime | None
    fresh: bool

    @property
    def unsent(self) -> bool:
        """Whether its last alert is recorded, and nobody has tried to send it."""
        return self.attempts == 0


async def pending(connection: Connection, moment: datetime, limit: int) -> list[Pending]:
    """Zaps with something to report at a moment, those that have waited longest first."""
    rows = await connection.fetch(_queries["pending"], moment, limit)
    return [Pending(**dict(row) | {"results": _results.decode(row["results"] or _NEVER)}) for row in rows]


class Failing(msgspec.Struct, frozen=True):
    """A zap whose last run to end has failed."""

    tenant_id: UUID
    zap_id: UUID
    last_completed_at: datetime | None


async def failing(connection: Connection, after: UUID, limit: int) -> list[Failing]:
    """The next enabled zaps, by id, that are failing, and not flagged for it."""
    return [Failing(*row) for row in await connection.fetch(_queries["failing"], after, limit)]


async def healed(connection: Connection, after: UUID, limit: int) -> list[UUID]:
    """The next zaps, by id, flagged as failing, of which a run has completed since."""
    return [row[0] for row in await connection.fetch(_queries["healed"], after, limit)]


class _Change(msgspec.Struct):
    """What a batch adds to one zap, in the order of the columns; None where it changes nothing."""

    tenant_id: UUID
    zap_id: UUID
    completed: int = 0
    failed: int = 0
    last_completed_at: datetime | None = None
    last_failed_at: datetime | None = None
    flagged_until: int = 0
    stream_version: int = 0
    alert_id: UUID | None = None
    alert_position: int | None = None
    alert_at: datetime | None = None
    told_until: datetime | None = None
    flags_told_until: int = 0
    quiet_until: datetime | None = None
    attempts: int | None = None
    results: str | None = None
    retry_at: datetime | None = None


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    changes: dict[UUID, _Change] = {}
    for stored in events:
        event = decode(stored.type, stored.schema_version, stored.data)
        zap_id = stored.stream_id if isinstance(event, ZapFlagged) else cast(_Tied, event).zap_id
        if zap_id is None:
            continue
        change = changes.get(zap_id)
        if change is None:
            change = changes[zap_id] = _Change(stored.tenant_id, zap_id)
        _fold(change, stored, cast(_Handled, event))
    rows = sorted(changes.values(), key=lambda change: (change.tenant_id, change.zap_id))
    if rows:
        await connection.execute(_queries["upsert"], *columns([msgspec.structs.astuple(row) for row in rows]))


_Tied = RunCompleted | RunFailed | RunTimedOut | FailuresEvent
_Handled = _Tied | ZapFlagged


def _fold(change: _Change, stored: StoredEvent, event: _Handled) -> None:
    match event:
        case RunCompleted():
            change.completed += 1
            change.last_completed_at = max(change.last_completed_at or stored.recorded_at, stored.recorded_at)
        case RunFailed() | RunTimedOut():
            change.failed += 1
            change.last_failed_at = max(change.last_failed_at or stored.recorded_at, stored.recorded_at)
        case ZapFlagged():
            change.flagged_until = stored.position
        case FailuresResolved() | FailuresNoted():
            change.stream_version = stored.version
        case AlertRaised():
            change.stream_version, change.alert_id = stored.version, stored.event_id
            change.alert_position, change.alert_at = stored.position, stored.recorded_at
            change.told_until, change.quiet_until = event.until, event.quiet_until
            change.flags_told_until = max(change.flags_told_until, event.flags_until)
            change.attempts, change.results, change.retry_at = 0, _NEVER, stored.recorded_at
        case AlertAttempted():
            change.stream_version, change.attempts, change.retry_at = stored.version, event.attempt, event.retry_at
            change.results = msgspec.json.encode(event.results).decode().replace("\\u0000", "")
        case _:
            assert_never(event)


ZAP_HEALTH = Projection(
    name="zap_health",
    definition=1,
    handles=frozenset(
        {
            "zap.run.completed",
            "zap.run.failed",
            "zap.run.timed_out",
            "zap.flagged",
            "zap.failures.resolved",
            "zap.failures.noted",
            "zap.failures.alert_raised",
            "zap.failures.alert_attempted",
        }
    ),
    create=_queries["create"],
    apply=_apply,
)
