"""Fires the ticks of zaps that start by themselves.

A scheduled zap has one timer, which is put off from tick to tick. A tick is a run under a dedupe key of its own, so it
starts one run, whoever fires it and however often.
"""

from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

import msgspec
import structlog

from domain.aggregates import ZAP
from domain.hook.request import Request, Tick
from domain.log.event import Append, Appended, DueTimer, Metadata, StoredEvent
from domain.log.stream import fold
from domain.registry import UnknownEvent
from domain.run.events import RunRequested
from domain.run.request import request_append
from domain.zap.events import AT_ONCE
from domain.zap.schedule import AnySchedule, due, local, schedule_of
from domain.zap.zap import Zap
from sql.log.event_store import PgEventStore
from sql.postgres.queries import Queries
from sql.process.clock import new_id

log = structlog.get_logger()
_timers = Queries("queries/timers.sql")

FAR = timedelta(days=366)
"""How far a timer is put off that has no tick any more."""
OVERLAP = timedelta(seconds=2)
"""How late a tick may fire whose version was replaced meanwhile. What has fired does not fire again."""


class Schedules:
    """The ticks of all zaps."""

    def __init__(self, store: PgEventStore) -> None:
        self._store = store

    async def fire(self, timer: DueTimer, moment: datetime) -> int:
        """Start the runs of the ticks that are due, and put the timer off to the next one. Gives how many started."""
        events = await self._store.read_stream(ZAP.kind, timer.stream_id)
        scheduled = [event for event in events if event.type == "zap.scheduled"]
        zap = _zap(events)
        schedule = schedule_of(zap.version(zap.live).definition.trigger) if zap and zap.live else None
        if zap is None or schedule is None or zap.status != "enabled" or scheduled[-1].event_id != timer.timer_id:
            return await self._give_up(timer, moment)
        delay = _delay(schedule, timer.stream_id)
        after = scheduled[-1].recorded_at - OVERLAP if timer.due_at == AT_ONCE else timer.due_at - delay - OVERLAP
        found = due(schedule, after, moment - delay)
        if found.missed:
            log.warning("schedule.missed", zap_id=str(timer.stream_id), ticks=found.missed)
        started = 0
        for tick in found.ticks:
            started += await self._start(timer, zap, schedule, tick, moment)
        await self._store.pool.execute(
            _timers["put_off"], timer.timer_id, found.next + delay if found.next else moment + FAR
        )
        return started

    async def _give_up(self, timer: DueTimer, moment: datetime) -> int:
        """Forget the timer, as the zap has changed since; look at it later where that cannot be told."""
        if not await self._store.pool.fetchval(_timers["drop"], timer.timer_id):
            log.warning("schedule.timer_put_off", zap_id=str(timer.stream_id))
            await self._store.pool.execute(_timers["put_off"], timer.timer_id, moment + timedelta(minutes=5))
        return 0

    async def _start(self, timer: DueTimer, zap: Zap, schedule: AnySchedule, tick: datetime, moment: datetime) -> bool:
        result = await self._store.append(_run_of(timer, zap, schedule, tick, moment))
        return isinstance(result, Appended)


def _zap(events: "list[StoredEvent]") -> Zap | None:
    try:
        loaded = fold(ZAP, events)
    except (UnknownEvent, msgspec.DecodeError):
        return None
    return loaded.state if loaded else None


def _run_of(timer: DueTimer, zap: Zap, schedule: AnySchedule, tick: datetime, moment: datetime) -> Append:
    late_s = round((moment - tick).total_seconds(), 3)
    return request_append(
        RunRequested(
            zap_id=timer.stream_id,
            zap_version=zap.live,
            source="schedule",
            request=Request(method="", tick=Tick(due_at=tick, local=local(schedule, tick), late_s=late_s)),
            dedupe_id=tick.isoformat(),
        ),
        zap.version(zap.live).definition.behaviour,
        tenant_id=timer.tenant_id,
        new_id=new_id,
        metadata=Metadata(actor="scheduler", causation_id=timer.timer_id),
        dedupe_key=sha256(timer.stream_id.bytes + b"schedule" + tick.isoformat().encode()).digest(),
    )


def _delay(schedule: AnySchedule, zap_id: UUID) -> timedelta:
    """The zap's own share of the jitter, always the same."""
    return timedelta(seconds=zap_id.int % (schedule.jitter_s + 1))
