"""The scheduler: turns due timers into events. Any number may race, as es.append clears each timer once."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from domain.event import ANY_VERSION, Append, Appended, DueTimer, Metadata, NewEvent, StreamKind
from domain.ports import StoreUnavailable
from domain.run import RunResumed
from sql.clock import new_id, now
from sql.crash_points import reached
from sql.event_store import PgEventStore
from sql.pool import CONNECTION_ERRORS
from sql.queries import Queries

log = structlog.get_logger()
_timers = Queries("queries/timers.sql")
_events = Queries("queries/events.sql")
_hooks = Queries("queries/hooks.sql")

BATCH = 1_000
POLL_S = 0.25
"""How late a timer may fire on an idle system."""
HOUSEKEEPING_S = 3_600.0
BUCKET_KEPT = timedelta(hours=1)
"""A rate limit that nobody has asked for so long is full again."""


class Scheduler:
    """Fires timers of runs, and keeps the store's house: partitions ahead, old dedupe keys away."""

    def __init__(self, store: PgEventStore) -> None:
        self._store = store

    async def run(self, stop: asyncio.Event) -> None:
        """Fire timers until `stop`, through outages of the database."""
        house_kept_at = -HOUSEKEEPING_S
        while not stop.is_set():
            try:
                if asyncio.get_running_loop().time() - house_kept_at > HOUSEKEEPING_S:
                    await self._keep_house()
                    house_kept_at = asyncio.get_running_loop().time()
                if await self.fire_due(now()) == BATCH:
                    continue
            except (*CONNECTION_ERRORS, StoreUnavailable) as error:
                log.warning("scheduler.store_unavailable", error=repr(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await stop.wait()

    async def fire_due(self, moment: datetime) -> int:
        """Fire what is due at `moment`, at most a batch. Returns how many timers were found."""
        rows = await self._store.pool.fetch(_timers["due"], moment, BATCH)
        timers = [DueTimer(row[0], row[1], StreamKind(row[2]), *row[3:]) for row in rows]
        fired = await asyncio.gather(*(self._fire(timer) for timer in timers))
        if timers:
            log.info("scheduler.fired", due=len(timers), fired=sum(fired))
        return len(timers)

    async def _fire(self, timer: DueTimer) -> bool:
        reached("scheduler.before_firing")
        result = await self._store.append(
            Append(
                kind=timer.kind,
                stream_id=timer.stream_id,
                expected=ANY_VERSION,
                tenant_id=timer.tenant_id,
                ordering_key=timer.ordering_key,
                events=(NewEvent(new_id(), RunResumed(timer_id=timer.timer_id)),),
                metadata=Metadata(actor="scheduler", correlation_id=timer.stream_id, causation_id=timer.timer_id),
                timer_id=timer.timer_id,
            )
        )
        reached("scheduler.after_firing")
        return isinstance(result, Appended)

    async def _keep_house(self) -> None:
        await self._store.pool.execute(_events["ensure_run_months"], 3)
        await self._store.pool.execute(_events["prune_dedupe"], now())
        await self._store.pool.execute(_hooks["prune_buckets"], now() - BUCKET_KEPT)
