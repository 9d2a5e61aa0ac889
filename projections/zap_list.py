"""The zap list: one row per zap of a tenant, newest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never
from uuid import UUID

import msgspec

from domain.log.event import StoredEvent
from domain.registry import decode
from domain.zap.events import (
    Flag,
    ZapCreated,
    ZapDeleted,
    ZapDraftChanged,
    ZapEnabled,
    ZapEvent,
    ZapFlagged,
    ZapPaused,
    ZapPublished,
    ZapRolledBack,
    ZapSecretsChanged,
    ZapUnflagged,
)
from domain.zap.zap import ZapStatus
from projections.engine.projection import Projection
from projections.engine.rows import columns, storable
from sql.postgres.pool import Connection, Pool
from sql.postgres.queries import Queries

_queries = Queries("projections/zap_list.sql")
_flags = msgspec.json.Decoder(dict[str, Flag])


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
    flags: list[Flag]


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
            flags=sorted(_flags.decode(row[9]).values(), key=lambda flag: flag.since),
        )
        for row in rows
    ]


class _Change(msgspec.Struct):
    """What a batch does to one zap; None where it changes nothing. `created_at` is set where the zap is new.

    `flags` by key: those that are there now, and None for those that are gone.
    """

    tenant_id: UUID
    zap_id: UUID
    name: str | None = None
    status: ZapStatus | None = None
    version: int | None = None
    trigger_type: str | None = None
    step_count: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    position: int = 0
    stream_version: int = 0
    flags: dict[str, Flag | None] = {}


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    changes: dict[UUID, _Change] = {}
    for stored in events:
        event = decode(stored.type, stored.schema_version, stored.data)
        if isinstance(event, ZapEvent):
            change = changes.setdefault(stored.stream_id, _Change(stored.tenant_id, stored.stream_id))
            _fold(change, event)
            if isinstance(event, ZapCreated):
                change.created_at = stored.recorded_at
            change.updated_at, change.position, change.stream_version = (
                stored.recorded_at, stored.position, stored.version,
            )  # fmt: skip
    ordered = sorted(changes.values(), key=lambda change: (change.tenant_id, change.zap_id))
    if new := [change for change in ordered if change.created_at]:
        await connection.execute(_queries["insert"], *columns(_rows(new)))
    if old := [change for change in ordered if not change.created_at]:
        await connection.execute(_queries["update"], *columns(_rows(old)))


def _fold(change: _Change, event: ZapEvent) -> None:
    match event:
        case ZapCreated() | ZapDraftChanged():
            change.name, change.trigger_type = storable(event.name), event.definition.trigger.type
            change.step_count = len(event.definition.steps)
        case ZapPublished() | ZapRolledBack():
            change.version = event.number
        case ZapEnabled():
            change.status = "enabled"
        case ZapPaused():
            change.status = "paused"
        case ZapDeleted():
            change.status = "deleted"
        case ZapFlagged():
            change.flags[event.flag.key] = event.flag
        case ZapUnflagged():
            change.flags[event.key] = None
        case ZapSecretsChanged():
            pass
        case _:
            assert_never(event)


def _rows(changes: Sequence[_Change]) -> list[tuple[object, ...]]:
    return [(*msgspec.structs.astuple(change)[:-1], msgspec.json.encode(change.flags).decode()) for change in changes]


ZAP_LIST = Projection(
    name="zap_list",
    definition=2,
    handles=frozenset(
        {
            "zap.created",
            "zap.draft_changed",
            "zap.published",
            "zap.rolled_back",
            "zap.enabled",
            "zap.paused",
            "zap.deleted",
            "zap.flagged",
            "zap.unflagged",
        }
    ),
    create=_queries["create"],
    apply=_apply,
)
