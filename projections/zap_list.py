"""The zap list: one row per zap of a tenant, newest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never
from uuid import UUID

import msgspec

from domain.event import StoredEvent
from domain.registry import decode
from domain.zap import (
    ZapCreated,
    ZapDeleted,
    ZapDraftChanged,
    ZapEnabled,
    ZapEvent,
    ZapPaused,
    ZapPublished,
    ZapRolledBack,
    ZapStatus,
)
from projections.projection import Projection
from sql.pool import Connection, Pool
from sql.queries import Queries

_queries = Queries("projections/zap_list.sql")


class ZapListItem(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the list. `version` is the published one that new runs use, 0 before the first publish."""

    id: UUID
    name: str
    status: ZapStatus
    version: int
    trigger_type: str
    step_count: int
    created_at: datetime
    updated_at: datetime
    position: int


async def list_zaps(pool: Pool, tenant_id: UUID, *, before: UUID | None, limit: int) -> list[ZapListItem]:
    """A page of a tenant's zaps, newest first."""
    rows = await pool.fetch(_queries["page"], tenant_id, before, limit)
    return [
        ZapListItem(
            id=row[0],
            name=row[1],
            status=row[2],
            version=row[3],
            trigger_type=row[4],
            step_count=row[5],
            created_at=row[6],
            updated_at=row[7],
            position=row[8],
        )
        for row in rows
    ]


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    for stored in events:
        event = decode(stored.type, stored.schema_version, stored.data)
        if isinstance(event, ZapCreated):
            definition = event.definition
            await connection.execute(
                _queries["insert"], stored.tenant_id, stored.stream_id, event.name, definition.trigger.type,
                len(definition.steps), stored.recorded_at, stored.position, stored.version,
            )  # fmt: skip
        elif isinstance(event, ZapEvent):
            await connection.execute(
                _queries["update"], stored.tenant_id, stored.stream_id, *_changed(event), stored.recorded_at,
                stored.position, stored.version,
            )  # fmt: skip


_Changed = tuple[str | None, ZapStatus | None, int | None, str | None, int | None]


def _changed(event: ZapEvent) -> _Changed:
    """Name, status, version, trigger type and step count after the event; None where it changes nothing."""
    match event:
        case ZapCreated() | ZapDraftChanged():
            definition = event.definition
            return event.name, None, None, definition.trigger.type, len(definition.steps)
        case ZapPublished() | ZapRolledBack():
            return None, None, event.number, None, None
        case ZapEnabled():
            return None, "enabled", None, None, None
        case ZapPaused():
            return None, "paused", None, None, None
        case ZapDeleted():
            return None, "deleted", None, None, None
        case _:
            assert_never(event)


ZAP_LIST = Projection(
    name="zap_list",
    definition=1,
    handles=frozenset(
        {
            "zap.created",
            "zap.draft_changed",
            "zap.published",
            "zap.rolled_back",
            "zap.enabled",
            "zap.paused",
            "zap.deleted",
        }
    ),
    create=_queries["create"],
    apply=_apply,
)
