"""What follows when a connection gets no tokens any more: that is recorded, and its zaps are flagged, which is told."""

import asyncio
from uuid import UUID

import structlog

from consumers.credentials.credentials import Credentials
from consumers.credentials.oauth import TokenSource
from consumers.outbound.targets import Targets
from domain.aggregates import ZAP
from domain.connection.events import ConnectionLost
from domain.log.event import Metadata, NewEvent
from domain.log.ports import Clock, NewId, StoreUnavailable
from domain.log.stream import append, facts, load
from domain.zap.events import Flag
from domain.zap.zap import FlagZap, decide
from projections.connection_uses import uses_of
from projections.engine.projection import BEING_BUILT
from sql.log.event_store import PgEventStore
from sql.postgres.pool import CONNECTION_ERRORS
from sql.tables.connections import ConnectionTables, SealedConnection

log = structlog.get_logger()
MOST = 1_000
"""Zaps that are flagged."""


class Losses:
    """Tells of connections that somebody has to reconnect, once each: whoever finds out first does."""

    def __init__(self, store: PgEventStore, clock: Clock, new_id: NewId) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._under_way: set[asyncio.Task[None]] = set()

    def tell(self, tenant_id: UUID, row: SealedConnection, reason: str) -> None:
        """Do so beside whatever goes on."""
        task = asyncio.create_task(self._tell(tenant_id, row, reason))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _tell(self, tenant_id: UUID, row: SealedConnection, reason: str) -> None:
        metadata = Metadata(actor="runner")
        try:
            lost = NewEvent(self._new_id(), ConnectionLost(reason=reason))
            await self._store.append(facts(row.id, tenant_id, lost, metadata=metadata))
            uses = await uses_of(self._store.pool, tenant_id, row.id, MOST)
            for zap_id in dict.fromkeys(use.zap_id for use in uses if use.version == "live"):
                await self._flag(zap_id, row, metadata)
        except (*CONNECTION_ERRORS, StoreUnavailable, *BEING_BUILT) as error:
            log.warning("connection.loss_not_told", connection_id=str(row.id), error=repr(error))

    async def _flag(self, zap_id: UUID, row: SealedConnection, metadata: Metadata) -> None:
        zap = await load(self._store, ZAP, zap_id)
        if zap is None or zap.state.status != "enabled":
            return
        detail = f"the connection {row.name!r} has to be reconnected; runs wait until it is"[:300]
        flag = Flag(kind="needs_reconnect", detail=detail, since=self._clock())
        await append(self._store, self._new_id, zap, decide(FlagZap(flag), zap.state), metadata)


def connected(store: PgEventStore, ring: str, clock: Clock, targets: Targets, new_id: NewId) -> Credentials:
    """The credentials of a process that tells of those that are lost."""
    source = TokenSource(ConnectionTables(store.pool), lambda tenant_id: targets.of(tenant_id, None), clock)
    source.lost = Losses(store, clock, new_id).tell
    return Credentials(store.pool, ring, clock, source)
