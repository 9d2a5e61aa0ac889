"""Which runs are over: month by month, as their zaps say."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import msgspec

from domain.zap.settings import Retention
from projections.engine.rows import columns
from projections.run_keys import readable_settings
from sql.postgres.composed import compose
from sql.postgres.pool import Connection, connect
from sql.postgres.queries import Queries

if TYPE_CHECKING:
    import asyncpg

_queries = Queries("queries/retention.sql")
_fragments = Queries("fragments/retention.sql")
ZAPS_AT_ONCE = 500
RUNS_TOLD = 500_000
"""Runs that one event tells of."""
_NOBODY = UUID(int=0)
_Over: TypeAlias = Sequence[tuple[UUID, bool, bool]]
"""Zaps, with whether the time of their completed runs is over, and of others."""


class Due(msgspec.Struct, frozen=True):
    """Runs of one month whose time is over. They stay in the database, as they may be millions: `over` finds them.

    Without it all that have ended are meant.
    """

    month: date
    over: _Over | None


class Expired(Due, frozen=True):
    """The same, and how many they are, by tenant, zap and status."""

    counts: Mapping[UUID, Mapping[UUID, Mapping[str, int]]]

    @property
    def runs(self) -> int:
        """How many in all."""
        return sum(count for zaps in self.counts.values() for ends in zaps.values() for count in ends.values())


async def expired(dsn: str, at: datetime) -> AsyncGenerator[Expired, None]:
    """What retention would drop at a moment, month by month, oldest first."""
    connection = await connect(dsn, "retention plans", statement_timeout="0")
    try:
        for due in await months_due(connection, at):
            if (gone := await _counted(connection, due)).counts:
                yield gone
    finally:
        connection.terminate()


async def months_due(connection: Connection, at: datetime, tenant_id: UUID | None = None) -> list[Due]:
    """Months of which something may be over, oldest first."""
    kept = await _settings(connection, tenant_id)
    months = await connection.fetch(_queries["months"], at) if kept else []
    found = [Due(row[0], [(zap_id, *_is_over(rule, row[0], at)) for zap_id, rule in kept.items()]) for row in months]
    return [due for due in found if any(completed or failed for _zap, completed, failed in due.over or ())]


async def ended(dsn: str, month: date) -> Expired:
    """All runs of a month that have ended, whatever their zaps say."""
    connection = await connect(dsn, "retention plans", statement_timeout="0")
    try:
        return await _counted(connection, Due(month, None))
    finally:
        connection.terminate()


async def _counted(connection: Connection, due: Due) -> Expired:
    counts: dict[UUID, dict[UUID, dict[str, int]]] = {}
    asked = compose(_fragments, ["count", "over", "counted"], _values(due))
    for tenant_id, zap_id, status, count in await connection.fetch(asked.query, *asked.arguments):
        counts.setdefault(tenant_id, {}).setdefault(zap_id, {})[status] = count
    return Expired(due.month, due.over, counts)


async def note(connection: Connection, due: Due) -> "list[asyncpg.Record]":
    """Note which runs are meant, in the transaction. Gives how many by part, tenant, zap and status."""
    asked = compose(_fragments, ["note", "over", "noted"], _values(due))
    await connection.execute(asked.query, *asked.arguments)
    return await connection.fetch(_queries["counts"])


def _values(due: Due) -> dict[str, object]:
    zaps, completed, failed = (None, None, None) if due.over is None else columns(due.over)
    return {"month": due.month, "zaps": zaps, "completed": completed, "failed": failed, "most": RUNS_TOLD}


async def _settings(connection: Connection, tenant_id: UUID | None) -> dict[UUID, Retention]:
    """The zaps of all tenants, or of one, that do not keep everything."""
    found: dict[UUID, Retention] = {}
    last = _NOBODY
    while rows := await connection.fetch(_queries["zaps"], last, ZAPS_AT_ONCE, tenant_id):
        for zap_id, settings in (await readable_settings(connection, [row[0] for row in rows])).items():
            if settings.retention != Retention():
                found[zap_id] = settings.retention
        last = rows[-1][0]
    return found


def _is_over(rule: Retention, month: date, at: datetime) -> tuple[bool, bool]:
    """Whether the time of completed runs of a month is over, and of others."""
    first = datetime(month.year, month.month, 1, tzinfo=UTC)
    end = (first + timedelta(days=32)).replace(day=1)
    return _passed(rule.completed_days, end, at), _passed(rule.failed_days, end, at)


def _passed(days: int | None, end: datetime, at: datetime) -> bool:
    return days is not None and end + timedelta(days=days) <= at
