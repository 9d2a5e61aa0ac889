"""The zap list: one row per zap of a tenant, newest first."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import assert_never
from uuid import UUID

import msgspec

from domain.log.event import Event, StoredEvent
from domain.zap import events as zap
from domain.zap.zap import STATUS_AFTER, ZapStatus
from projections.engine.projection import Projection
from projections.engine.rows import RowChange, execute, row_changes, storable, struct_of
from sql.postgres.pool import Connection, Pool
from sql.postgres.queries import Queries

_queries = Queries("projections/zap_list.sql")
AT_ONCE = 20
"""Zaps whose events are read at once; each may have a draft and a version of 1 MB."""
HANDLED = frozenset(
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
)
_flags = msgspec.json.Decoder(dict[str, zap.Flag])


class ZapListItem(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the list. `version` is the published one that new runs use, 0 before the first publish.

    `completed` and `failed` count ended runs, time-outs among the failed; the times are those of the last ones. They
    are of now: a list of the past has none.
    """

    id: UUID
    name: str
    status: ZapStatus
    version: int
    trigger_type: str
    step_count: int
    created_at: datetime
    updated_at: datetime
    position: int
    flags: list[zap.Flag]
    tags: list[str]
    completed: int | None = None
    failed: int | None = None
    last_completed_at: datetime | None = None
    last_failed_at: datetime | None = None


async def list_zaps(
    pool: Pool, tenant_id: UUID, *, tags: Sequence[str] = (), before: UUID | None, limit: int
) -> list[ZapListItem]:
    """A page of a tenant's zaps with all of these tags, newest first."""
    rows = await pool.fetch(_queries["page"], tenant_id, before, limit, list(tags))
    return [struct_of(ZapListItem, (*row[:9], _by_age(_flags.decode(row[9])), *row[10:])) for row in rows]


async def zaps_tagged(pool: Pool, tenant_id: UUID, tag: str) -> list[UUID]:
    """A tenant's zaps that have a tag in their draft, deleted ones included: their runs are still there."""
    return [row[0] for row in await pool.fetch(_queries["tagged"], tenant_id, tag)]


async def zaps_until(
    pool: Pool, tenant_id: UUID, position: int, *, tags: Sequence[str] = (), before: UUID | None, limit: int
) -> list[ZapListItem]:
    """The same as it was at a position of the log, with zaps that were deleted later."""
    found: list[ZapListItem] = []
    while len(found) < limit:
        ids = [row[0] for row in await pool.fetch(_queries["ever"], tenant_id, before, AT_ONCE)]
        if not ids:
            break
        events = [StoredEvent(*row) for row in await pool.fetch(_queries["until"], ids, position, sorted(HANDLED))]
        found += [item for item in await asyncio.to_thread(_items, events) if {*tags} <= {*item.tags}]
        before = ids[-1]
    return found[:limit]


def _items(events: Sequence[StoredEvent]) -> list[ZapListItem]:
    changes = row_changes(events, _Change, _fold)
    return [_item(change) for change in reversed(changes) if change.created_at and change.status != "deleted"]


def _item(change: "_Change") -> ZapListItem:
    assert change.created_at is not None
    assert change.updated_at is not None
    return ZapListItem(
        id=change.id,
        name=change.name or "",
        status=change.status or "draft",
        version=change.version or 0,
        trigger_type=change.trigger_type or "",
        step_count=change.step_count or 0,
        created_at=change.created_at,
        updated_at=change.updated_at,
        position=change.position,
        flags=_by_age({key: flag for key, flag in change.flags.items() if flag is not None}),
        tags=list(change.tags or ()),
    )


def _by_age(flags: Mapping[str, zap.Flag]) -> list[zap.Flag]:
    return sorted(flags.values(), key=lambda flag: flag.since)


async def zaps_of(pool: Pool, tenant_id: UUID) -> list[UUID]:
    """All zaps of a tenant, those that were deleted included."""
    return [row[0] for row in await pool.fetch(_queries["zaps_of"], tenant_id)]


async def tenants(pool: Pool) -> list[UUID]:
    """All who have zaps."""
    return [row[0] for row in await pool.fetch(_queries["tenants"])]


class _Change(RowChange):
    """What a batch does to one zap; None where it changes nothing. `created_at` is set where the zap is new.

    `flags` by key: those that are there now, and None for those that are gone. `listens`: a version of the zap starts
    when others fail, so it may be asked whether it does.
    """

    name: str | None = None
    status: ZapStatus | None = None
    version: int | None = None
    trigger_type: str | None = None
    step_count: int | None = None
    created_at: datetime | None = None
    flags: dict[str, zap.Flag | None] = msgspec.field(default_factory=dict)
    listens: bool = False
    tags: tuple[str, ...] | None = None


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    changes = row_changes(events, _Change, _fold)
    await execute(connection, _queries["insert"], [_row(change) for change in changes if change.created_at])
    await execute(connection, _queries["update"], [_row(change) for change in changes if not change.created_at])


def _row(change: _Change) -> tuple[object, ...]:
    return (
        change.tenant_id, change.id, change.name, change.status, change.version, change.trigger_type,
        change.step_count, change.created_at, change.updated_at, change.position, change.stream_version,
        msgspec.json.encode(change.flags).decode(), change.listens,
        None if change.tags is None else msgspec.json.encode(change.tags).decode(),
    )  # fmt: skip


def _fold(change: _Change, event: Event, at: datetime) -> None:
    assert isinstance(event, zap.ZapEvent)
    if isinstance(event, zap.ZapCreated):
        change.created_at = at
    match event:
        case zap.ZapCreated() | zap.ZapDraftChanged():
            change.name, change.trigger_type = storable(event.name), event.definition.starts[0].type
            change.step_count, change.tags = len(event.definition.steps), event.definition.behaviour.tags
        case zap.ZapPublished():
            change.version = event.number
            change.listens = change.listens or event.definition.start_of({"zap.failed"}) is not None
        case zap.ZapRolledBack():
            change.version = event.number
        case zap.ZapEnabled() | zap.ZapPaused() | zap.ZapDeleted():
            change.status = STATUS_AFTER[type(event)]
        case zap.ZapFlagged():
            change.flags[event.flag.key] = event.flag
        case zap.ZapUnflagged():
            change.flags[event.key] = None
        case zap.ZapSecretsChanged() | zap.ZapScheduled() | zap.ZapHookDue() | zap.DraftTested():
            pass
        case _:
            assert_never(event)


ZAP_LIST = Projection(
    name="zap_list",
    definition=4,
    handles=HANDLED,
    create=_queries["create"],
    apply=_apply,
)
