"""A zap as its stream says it is, for whoever needs to know and not to change it."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec

from domain.log.errors import NotFound
from domain.log.event import StoredEvent, StreamKind
from domain.log.ports import EventStore
from domain.registry import decode
from domain.zap import zap
from domain.zap.zap import Zap, ZapEvent, ZapPublished, ZapState


class LoadedZap(msgspec.Struct, frozen=True, kw_only=True):
    """A zap as its stream says it is. `stream_version` counts events, `position` is that of the last one."""

    id: UUID
    owner: UUID
    zap: Zap
    stream_version: int
    position: int
    created_at: datetime
    updated_at: datetime
    published_at: tuple[datetime, ...]


def fold(events: Sequence[StoredEvent]) -> LoadedZap | None:
    """The zap after these events; None for no events, and for a stream that is not a zap's."""
    if not events or events[0].type != "zap.created":
        return None
    state: ZapState = zap.INITIAL
    published: list[datetime] = []
    for stored in events:
        event = cast(ZapEvent, decode(stored.type, stored.schema_version, stored.data))
        state = zap.evolve(state, event)
        if isinstance(event, ZapPublished):
            published.append(stored.recorded_at)
    if not isinstance(state, Zap):
        return None
    first, last = events[0], events[-1]
    return LoadedZap(
        id=first.stream_id,
        owner=first.tenant_id,
        zap=state,
        stream_version=last.version,
        position=last.position,
        created_at=first.recorded_at,
        updated_at=last.recorded_at,
        published_at=tuple(published),
    )


async def load(store: EventStore, tenant_id: UUID, zap_id: UUID, as_of: datetime | None = None) -> LoadedZap:
    """A zap as it is, or as it was, deleted ones included. Raises NotFound, also for what is not the tenant's."""
    events = await store.read_stream(StreamKind.CORE, zap_id)
    loaded = fold([event for event in events if as_of is None or event.recorded_at <= as_of])
    if loaded is None or loaded.owner != tenant_id:
        raise NotFound("no such zap")
    return loaded


async def load_existing(store: EventStore, tenant_id: UUID, zap_id: UUID, as_of: datetime | None = None) -> LoadedZap:
    """The same, but raises NotFound also for a zap that is (or was then) deleted."""
    loaded = await load(store, tenant_id, zap_id, as_of)
    if loaded.zap.status == "deleted":
        raise NotFound("no such zap")
    return loaded
