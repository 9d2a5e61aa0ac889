"""The tick list: the turns of a zap's triggers that start by themselves, and what came of them, newest first."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, cast
from uuid import UUID

import asyncpg
import msgspec

from domain.log.event import StoredEvent
from domain.registry import decode
from domain.zap.ticks import TriggerTicked, TurnKind, TurnStatus
from projections.engine.projection import Projection
from projections.engine.rows import execute, storable, struct_of
from sql.postgres.pool import Connection, Pool
from sql.postgres.queries import Queries

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

_queries = Queries("projections/tick_list.sql")
FORGET_S = 600.0
"""How long it may take to forget a month's rows."""


class TickListItem(msgspec.Struct, frozen=True, kw_only=True):
    """A turn, or `count` of them in a row that were alike: the first was due at `due_at`, the last fired at `fired_at`.

    `run_ids` names the first hundred runs, `new_items` counts all that a poll found. `trigger_id` is `trigger` where
    the zap has one trigger only.
    """

    id: UUID
    trigger_id: str
    kind: TurnKind
    due_at: datetime
    fired_at: datetime | None
    status: TurnStatus
    run_ids: list[UUID]
    new_items: int
    detail: str
    count: int
    position: int


async def list_ticks(
    pool: Pool, tenant_id: UUID, zap_id: UUID, *, status: TurnStatus | None, before: UUID | None, limit: int
) -> list[TickListItem]:
    """A page of a zap's turns, newest first."""
    rows = await pool.fetch(_queries["page"], tenant_id, zap_id, before, status, limit)
    return [struct_of(TickListItem, row) for row in rows]


async def forget_month(connection: "Connection | PoolConnectionProxy[asyncpg.Record]", month: date) -> None:
    """Take the turns of a month out of the list, in the transaction that drops them from the log."""
    await connection.execute(_queries["forget_month"], month, timeout=FORGET_S)


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    rows = [_row(stored, decode(stored.type, stored.schema_version, stored.data)) for stored in events]
    await execute(connection, _queries["insert"], sorted(rows, key=lambda row: cast(tuple[UUID], row[:3])))


def _row(stored: StoredEvent, event: object) -> tuple[object, ...]:
    assert isinstance(event, TriggerTicked)
    return (
        stored.tenant_id, event.zap_id, stored.event_id, event.trigger_id, event.kind, event.due_at, event.fired_at,
        event.status, " ".join(map(str, event.run_ids)), event.new_items, storable(event.detail), event.count,
        stored.position,
    )  # fmt: skip


TICK_LIST = Projection(
    name="tick_list",
    definition=1,
    handles=frozenset({"zap.trigger.ticked"}),
    create=_queries["create"],
    apply=_apply,
)
