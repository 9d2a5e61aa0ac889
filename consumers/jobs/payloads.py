"""Retention of payloads: what runs were about is forgotten after some days, while what happened and when stays."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from consumers.jobs.erasures import Erasures
from domain.log.errors import DomainError
from domain.log.event import Metadata
from domain.log.ports import Clock, StoreUnavailable
from domain.registry import UnknownEvent
from projections.engine.projection import BEING_BUILT
from projections.run_keys import readable_settings
from projections.run_list import with_payloads
from projections.zap_list import tenants, zaps_of
from sql.log.event_store import PgEventStore
from sql.postgres.pool import CONNECTION_ERRORS
from sql.process.patience import rest

log = structlog.get_logger()
EVERY_S = 3_600.0
AGAIN_S = 60.0
"""How long it waits after an outage."""
AT_ONCE = 500
BY = Metadata(actor="retention")


class Payloads:
    """Forgets what is over, of all tenants, every hour. Any number may race: what is forgotten is so once."""

    def __init__(self, store: PgEventStore, erasures: Erasures, clock: Clock) -> None:
        self._store = store
        self._erasures = erasures
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`."""
        while not stop.is_set():
            try:
                await self.forget_old(self._clock(), stop)
                await rest(stop, EVERY_S)
            except BEING_BUILT:
                log.info("payloads.list_being_built")
                await rest(stop, AGAIN_S)
            except (*CONNECTION_ERRORS, StoreUnavailable) as error:
                log.warning("payloads.interrupted", error=repr(error))
                await rest(stop, AGAIN_S)
            except Exception:  # a bug here must not stop the timers of this process
                log.exception("payloads.crashed")
                await rest(stop, AGAIN_S)

    async def forget_old(self, at: datetime, stop: asyncio.Event, *, only: UUID | None = None) -> int:
        """Forget what is over at a moment, of all tenants or of one. Gives how many runs that were."""
        count = 0
        for tenant_id in [only] if only else await tenants(self._store.pool):
            for zap_id, days in (await payload_days(self._store, tenant_id)).items():
                async for run_id in self._old(tenant_id, zap_id, at - timedelta(days=days)):
                    if stop.is_set():
                        return count
                    try:
                        count += await self._erasures.erase_payloads(tenant_id, run_id, BY)
                    except DomainError as error:
                        log.info("payloads.run_left", run_id=str(run_id), reason=error.message)
                    except (UnknownEvent, msgspec.DecodeError):
                        log.exception("payloads.unreadable_run", run_id=str(run_id))
        if count:
            log.info("payloads.forgotten", runs=count)
        return count

    async def _old(self, tenant_id: UUID, zap_id: UUID, before: datetime) -> AsyncIterator[UUID]:
        after = UUID(int=0)
        while found := await with_payloads(self._store.pool, tenant_id, zap_id, after, before, limit=AT_ONCE):
            for run_id in found:
                yield run_id
            after = found[-1]


async def payload_days(store: PgEventStore, tenant_id: UUID) -> dict[UUID, int]:
    """For how many days a tenant's zaps keep payloads, of those that do not keep them for ever."""
    found: dict[UUID, int] = {}
    zap_ids = await zaps_of(store.pool, tenant_id)
    for start in range(0, len(zap_ids), AT_ONCE):
        async with store.pool.acquire() as connection:
            settings = await readable_settings(connection, zap_ids[start : start + AT_ONCE])
        for zap_id, one in settings.items():
            if one.retention.payload_days is not None:
                found[zap_id] = one.retention.payload_days
    return found
