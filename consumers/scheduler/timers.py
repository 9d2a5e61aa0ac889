"""The scheduler: turns due timers into events. Any number may race, as es.append clears each timer once."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from consumers.definitions import Definitions
from consumers.kafka.patience import rest
from domain.aggregates import RUN
from domain.language.template import TemplateError
from domain.log.errors import NotFound
from domain.log.event import Append, Appended, DueTimer, Metadata, NewEvent, StoredEvent, StreamKind
from domain.log.ports import StoreUnavailable
from domain.log.stream import fold
from domain.registry import UnknownEvent
from domain.run.decide import ResumeRun, TimeOutRun, decide
from domain.run.events import RunEvent
from domain.run.state import ActiveRun
from domain.zap.definition import NO_STEPS, Definition
from sql.log.event_store import PgEventStore
from sql.postgres.pool import CONNECTION_ERRORS
from sql.postgres.queries import Queries
from sql.process.clock import new_id, now
from sql.process.crash_points import reached

log = structlog.get_logger()
_timers = Queries("queries/timers.sql")
_events = Queries("queries/events.sql")
_hooks = Queries("queries/hooks.sql")

BATCH = 100
"""Timers that one call of es.append fires: the log's lock is held that long, and senders wait for it."""
PACE_S = 0.1
"""From one full batch to the next: 1,000 timers a second, which runners keep up with. What is due at once is spread."""
POLL_S = 0.25
"""How late a timer may fire on an idle system."""
REST = 0.5
"""After a full batch: the rest, as a share of the batch's own time, in which others have the log to themselves."""
PUT_OFF = timedelta(minutes=5)
"""When a timer is looked at again whose run can not be read, as it is of a newer release or damaged."""
HOUSEKEEPING_S = 3_600.0
BUCKET_KEPT = timedelta(hours=1)
"""A rate limit that nobody has asked for so long is full again."""


class Scheduler:
    """Fires timers of runs, and keeps the store's house: partitions ahead, old dedupe keys away."""

    def __init__(self, store: PgEventStore) -> None:
        self._store = store
        self._definitions = Definitions(store)

    async def run(self, stop: asyncio.Event) -> None:
        """Fire timers until `stop`, through outages of the database."""
        house_kept_at = -HOUSEKEEPING_S
        while not stop.is_set():
            began = asyncio.get_running_loop().time()
            pause_s = POLL_S
            try:
                if began - house_kept_at > HOUSEKEEPING_S:
                    await self._keep_house()
                    house_kept_at = began
                if await self.fire_due(now()) == BATCH:
                    took_s = asyncio.get_running_loop().time() - began
                    pause_s = max(PACE_S - took_s, took_s * REST)
            except (*CONNECTION_ERRORS, StoreUnavailable) as error:
                log.warning("scheduler.store_unavailable", error=repr(error))
            await rest(stop, pause_s)

    async def fire_due(self, moment: datetime) -> int:
        """Fire what is due at `moment`, at most a batch. Returns how many timers were found."""
        rows = await self._store.pool.fetch(_timers["due"], moment, BATCH)
        timers = [DueTimer(row[0], row[1], StreamKind(row[2]), *row[3:]) for row in rows]
        if not timers:
            return 0
        streams = await self._store.read_streams(StreamKind.RUN, [timer.stream_id for timer in timers])
        fired = await asyncio.gather(*(self._fire(timer, streams.get(timer.stream_id, []), moment) for timer in timers))
        log.info("scheduler.fired", due=len(timers), fired=sum(fired))
        return len(timers)

    async def _fire(self, timer: DueTimer, stream: Sequence[StoredEvent], moment: datetime) -> bool:
        """Whether the timer became an event. One that its run does not wait for any more is dropped."""
        try:
            events = await self._fired(timer, stream)
        except (UnknownEvent, msgspec.DecodeError) as error:
            log.error("scheduler.unreadable_run", run_id=str(timer.stream_id), error=repr(error))  # noqa: TRY400 - said whole
            await self._store.pool.execute(_timers["put_off"], timer.timer_id, moment + PUT_OFF)
            return False
        if not events:
            await self._store.pool.execute(_timers["drop"], timer.timer_id)
            return False
        reached("scheduler.before_firing")
        result = await self._store.append(
            Append(
                kind=timer.kind,
                stream_id=timer.stream_id,
                expected=stream[-1].version,
                tenant_id=timer.tenant_id,
                ordering_key=timer.ordering_key,
                events=tuple([NewEvent(new_id(), event) for event in events]),
                metadata=Metadata(actor="scheduler", correlation_id=timer.stream_id, causation_id=timer.timer_id),
                timer_id=timer.timer_id,
            )
        )
        reached("scheduler.after_firing")
        return isinstance(result, Appended)

    async def _fired(self, timer: DueTimer, stream: Sequence[StoredEvent]) -> list[RunEvent]:
        """What follows from a timer: the end of a run whose deadline it is, or that the run goes on."""
        loaded = fold(RUN, stream)
        state = loaded.state if loaded else None
        if not isinstance(state, ActiveRun):
            return []
        set_by = next((stored.type for stored in stream if stored.event_id == timer.timer_id), "")
        if set_by != "zap.run.requested":
            return decide(ResumeRun(timer.timer_id), state, NO_STEPS)
        return decide(TimeOutRun(), state, await self._definition(state))

    async def _definition(self, run: ActiveRun) -> Definition:
        try:
            version = await self._definitions.get(run.requested.zap_id, run.requested.zap_version)
        except (NotFound, TemplateError):
            return NO_STEPS
        return version.definition

    async def _keep_house(self) -> None:
        await self._store.pool.execute(_events["ensure_run_months"], 3)
        await self._store.pool.execute(_events["prune_dedupe"], now())
        await self._store.pool.execute(_hooks["prune_buckets"], now() - BUCKET_KEPT)
