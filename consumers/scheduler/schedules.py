"""Fires the ticks of schedules, those of all timers that are due at once.

Each schedule of a zap has one timer, which is put off from tick to tick. A tick is a run under a dedupe key of its own,
so it starts one run, whoever fires it and however often; and its outcome is told once, by the same means.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from consumers.scheduler.timed_zaps import Timed, TimedZap
from domain.hook.request import Request, Tick
from domain.log.event import Append, Appended, DueTimer, Metadata, stream_of
from domain.log.ports import StoreUnavailable
from domain.run.events import RunRequested
from domain.run.request import request_append
from domain.zap.schedule import LATE, AnySchedule, Due, due, local
from domain.zap.ticks import TriggerTicked, missed, run_key, tick_append
from sql.log.event_store import PgEventStore
from sql.postgres.queries import Queries
from sql.process.clock import new_id

log = structlog.get_logger()
_timers = Queries("queries/timers.sql")

FAR = timedelta(days=366)
"""How far a timer is put off that has no tick any more."""
OVERLAP = timedelta(seconds=2)
"""How late a tick may fire whose version was replaced meanwhile. What has fired does not fire again."""
BROKEN = timedelta(minutes=5)
"""After this a schedule is looked at again on which our reckoning broke."""
WAVE = 20
"""Runs of one timer that are appended at a time: others share the queue to the log."""


class Turn(msgspec.Struct, frozen=True):
    """A timer that is due, and what it belongs to. `since`: what was due until then has been seen to."""

    timer: DueTimer
    since: datetime | None
    zap: TimedZap
    timed: Timed
    schedule: AnySchedule

    @property
    def delay(self) -> timedelta:
        """The zap's own share of the jitter, always the same."""
        return timedelta(seconds=self.zap.zap_id.int % (self.schedule.jitter_s + 1))

    @property
    def after(self) -> datetime:
        """Ticks up to this moment are not looked at."""
        if self.since is not None:
            return self.since - self.delay
        return self.timed.set_at - (OVERLAP if self.timed.goes_on else timedelta(0))

    @property
    def metadata(self) -> Metadata:
        """Why there are runs and outcomes."""
        return Metadata(actor="scheduler", causation_id=self.timer.timer_id)


class Schedules:
    """The ticks of all zaps."""

    def __init__(self, store: PgEventStore) -> None:
        self._store = store

    async def fire(self, turns: Sequence[Turn], moment: datetime) -> int:
        """Start the runs of the ticks that are due, and put the timers off to their next ones. Gives how many started.

        A timer for whose runs the log has no room stays due.
        """
        late = any(moment - turn.timer.due_at > LATE for turn in turns)
        founds = await asyncio.to_thread(_worked_out, turns, moment) if late else _worked_out(turns, moment)
        pairs = list(zip(turns, founds, strict=True))
        results = await asyncio.gather(*(self._fire(*pair, moment) for pair in pairs), return_exceptions=True)
        done = [pair for pair, result in zip(pairs, results, strict=True) if isinstance(result, int)]
        if done:
            await self._store.pool.execute(
                _timers["put_off_each"],
                [turn.timer.timer_id for turn, _found in done],
                [found.next + turn.delay if found.next else moment + FAR for turn, found in done],
                moment,
            )
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, StoreUnavailable):
                raise result
        return sum(result for result in results if isinstance(result, int))

    async def _fire(self, turn: Turn, found: Due, moment: datetime) -> int:
        """The ticks of one timer. Gives how many runs were started."""
        started = 0
        for wave in range(0, len(found.ticks), WAVE):
            ticks = found.ticks[wave : wave + WAVE]
            runs = [_run_of(turn, tick, moment) for tick in ticks]
            results = await self._store.append_each(runs)
            ids = [stream_of(run, result) for run, result in zip(runs, results, strict=True)]
            told = [_fired(turn, tick, run_id, moment) for tick, run_id in zip(ticks, ids, strict=True) if run_id]
            await self._tell(turn, told)
            started += sum(isinstance(result, Appended) for result in results)
        if found.missed:
            log.warning("schedule.missed", zap_id=str(turn.zap.zap_id), ticks=len(found.missed) + found.more)
            await self._tell(turn, await self._missed(turn, found))
        return started

    async def _missed(self, turn: Turn, found: Due) -> list[TriggerTicked]:
        """The ticks that were missed; but one has fired where whoever fired it died before it could say so."""
        told = missed(turn.zap.zap_id, turn.timed.trigger.id, found)
        keys = {run_key(turn.zap.zap_id, turn.timed.origin[0], tick.due_at): tick.due_at for tick in told}
        rows = await self._store.pool.fetch(_timers["runs_of"], list(keys))
        fired = {keys[row[0]]: row[1] for row in rows}
        return [_fired(turn, one.due_at, fired[one.due_at], None) if one.due_at in fired else one for one in told]

    async def _tell(self, turn: Turn, told: Sequence[TriggerTicked]) -> None:
        for wave in range(0, len(told), WAVE):
            part = told[wave : wave + WAVE]
            await self._store.append_each([tick_append(turn.zap.tenant_id, one, new_id, turn.metadata) for one in part])


def _worked_out(turns: Sequence[Turn], moment: datetime) -> list[Due]:
    return [_due(turn, moment) for turn in turns]


def _due(turn: Turn, moment: datetime) -> Due:
    try:
        return due(turn.schedule, turn.after, moment - turn.delay)
    except Exception:  # a schedule on which our reckoning breaks must not stop those of others
        log.exception("schedule.broken", zap_id=str(turn.zap.zap_id))
        return Due((), (), moment + BROKEN)


def _fired(turn: Turn, tick: datetime, run_id: UUID, moment: datetime | None) -> TriggerTicked:
    return TriggerTicked(
        zap_id=turn.zap.zap_id,
        trigger_id=turn.timed.trigger.id,
        kind="schedule",
        status="fired",
        due_at=tick,
        fired_at=moment,
        run_ids=(run_id,),
    )


def _run_of(turn: Turn, tick: datetime, moment: datetime) -> Append:
    late_s = round((moment - tick).total_seconds(), 3)
    trigger_id, trigger_type = turn.timed.origin
    return request_append(
        RunRequested(
            zap_id=turn.zap.zap_id,
            zap_version=turn.zap.live,
            source="schedule",
            request=Request(
                method="",
                tick=Tick(due_at=tick, local=local(turn.schedule, tick), late_s=late_s),
                trigger_id=trigger_id,
                trigger_type=trigger_type,
            ),
            dedupe_id=tick.isoformat(),
        ),
        turn.zap.settings,
        tenant_id=turn.zap.tenant_id,
        new_id=new_id,
        metadata=turn.metadata,
        dedupe_key=run_key(turn.zap.zap_id, trigger_id, tick),
    )
