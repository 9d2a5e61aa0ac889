"""The scheduler: turns due timers into events. Any number share the work, and es.append clears each timer once."""

import asyncio
import random
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec
import structlog

from consumers.connectors import presets
from consumers.credentials.losses import connected
from consumers.definitions import Definitions
from consumers.dialogues.dialogues import Dialogues
from consumers.outbound.client import Outbound
from consumers.outbound.targets import Targets
from consumers.registering.registrar import Registrar
from consumers.scheduler.polls import HookTurn, Polls
from consumers.scheduler.schedules import Schedules, Turn
from consumers.scheduler.source import PollTurn, Sources
from consumers.scheduler.timed_zaps import TimedZap, TimedZaps
from domain.aggregates import RUN
from domain.connector.catalog import Catalog
from domain.language.template import TemplateError
from domain.log.errors import NotFound
from domain.log.event import Append, Appended, DueTimer, Metadata, NewEvent, StreamKind
from domain.log.ports import StoreUnavailable
from domain.log.stream import load
from domain.registry import UnknownEvent, knows
from domain.run.commands import TimeOutRun
from domain.run.decide import decide
from domain.run.events import RunEvent, RunResumed
from domain.run.state import ActiveRun
from domain.zap.definition import NO_STEPS, Definition
from domain.zap.schedule import schedule_of
from sql.log.event_store import PgEventStore
from sql.postgres.pool import CONNECTION_ERRORS
from sql.postgres.queries import Queries
from sql.process.clock import new_id, now
from sql.process.crash_points import reached
from sql.process.patience import rest
from sql.tables.connectors import ConnectorTables
from sql.tables.rate_limits import RateLimits

log = structlog.get_logger()
_timers = Queries("queries/timers.sql")

BATCH = 100
"""Timers that one call of es.append fires: the log's lock is held that long, and senders wait for it."""
PACE_S = 0.1
"""Between full batches: 1,000 timers a second, which runners keep up with. So timers due together are spread."""
POLL_S = 0.5
"""How late a timer may fire that was set while the scheduler waited for one that comes later."""
TIME_OUT_S = 1.0
"""How long a batch is busy with deadlines, of which each reads a whole run: others' timers wait behind it."""
REST = 0.5
"""The pause after a full batch, as a share of the batch's own time: others can append meanwhile."""
TURNS = 100
"""Tenants that are asked for timers of theirs while there are more than a batch: each has its turn."""
_FIRST = UUID(int=0)
PUT_OFF = timedelta(minutes=5)
"""When a timer is looked at again whose run or zap cannot be read: a newer release wrote it, or it is damaged."""
WAITS = frozenset(
    {"zap.run.step_attempt_failed", "zap.run.step_postponed", "zap.run.step_delayed", "zap.run.zap_called"}
) | frozenset(
    f"zap.run.{wait}"
    for wait in ("approval_asked", "approval_answered", "approval_mailed", "callback_awaited", "callback_received")
)
"""The last event of a run that waits for a timer is one of these; its id is the timer's id."""


class Due(msgspec.Struct, frozen=True):
    """A due timer, and the last event of its stream (None: the stream is gone).

    `since`: of a zap's timer, what was due until then has been seen to. `deadline`: the stream's first event set the
    timer.
    """

    timer: DueTimer
    since: datetime | None
    last_id: UUID | None
    last_type: str | None
    last_schema: int | None
    version: int | None
    deadline: bool


class Scheduler:
    """Fires the timers of runs and of zaps."""

    def __init__(self, store: PgEventStore, zaps: TimedZaps | None = None, polls: Polls | None = None) -> None:
        self._store = store
        self._definitions = Definitions(store)
        self._zaps = zaps or TimedZaps(store)
        self._polls = polls
        self._schedules = Schedules(store)
        self._turn_after: UUID | None = None
        self._turns = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Fire timers until `stop`, through outages of the database."""
        while not stop.is_set():
            pause_s = POLL_S
            try:
                pause_s = await self._fire_next()
            except (*CONNECTION_ERRORS, StoreUnavailable) as error:
                log.warning("scheduler.store_unavailable", error=repr(error))
            await rest(stop, pause_s)
        if self._polls:
            await self._polls.aclose()

    async def _fire_next(self) -> float:
        """Fire what is due. Gives how many seconds to rest before the next look."""
        began = now()
        next_due = await self._store.pool.fetchval(_timers["next_due"])
        if next_due is None or next_due > began:
            return min(POLL_S, (next_due - began).total_seconds()) if next_due else POLL_S
        found = await self.fire_due(began)
        if found < BATCH:
            return PACE_S if found else POLL_S  # what is in other hands is theirs for a moment
        took_s = (now() - began).total_seconds()
        return max(PACE_S - took_s, took_s * REST)

    async def fire_due(self, moment: datetime) -> int:
        """Fire what is due at `moment` and in no other hands, at most a batch. Returns how many were found."""
        async with self._store.pool.acquire() as connection, connection.transaction():
            await connection.execute(_timers["give_up_soon"])
            after = self._turn_after or _FIRST
            rows = await connection.fetch(_timers["due"], moment, BATCH, after, self._turns)
            self._turns = TURNS if len(rows) == BATCH else 0
            self._turn_after = rows[0][-1] if rows else None
            return await self._fire(rows, moment)

    async def _fire(self, rows: "Sequence[asyncpg.Record]", moment: datetime) -> int:
        found = [Due(DueTimer(row[0], row[1], StreamKind(row[2]), *row[3:6]), *row[6:-1]) for row in rows]
        if not found:
            return 0
        waiting = [due for due in found if due.timer.kind is StreamKind.RUN and not due.deadline]
        fired = sum(await asyncio.gather(*(self._resume(due, moment) for due in waiting)))
        fired += await self._fire_zaps([due for due in found if due.timer.kind is StreamKind.CORE], moment)
        fired += await self._time_out_each([due for due in found if due.deadline], moment)
        log.info("scheduler.fired", due=len(found), fired=fired)
        return len(found)

    async def _time_out_each(self, found: Sequence[Due], moment: datetime) -> int:
        """End runs one after the other, because each reads a whole stream; what takes too long stays due."""
        until = asyncio.get_running_loop().time() + TIME_OUT_S
        fired = 0
        for due in found:
            fired += await self._time_out(due, moment)
            if asyncio.get_running_loop().time() > until:
                break
        return fired

    async def _fire_zaps(self, found: Sequence[Due], moment: datetime) -> int:
        """Let the triggers of zaps have their turns. Gives how many runs were started."""
        if not found:
            return 0
        zaps = await self._zaps.of({due.timer.stream_id: due.version or 0 for due in found})
        turns: list[Turn] = []
        polls: list[PollTurn | HookTurn] = []
        for due in found:
            turn = self._turn(due, zaps.get(due.timer.stream_id))
            if turn is None:
                await self._forget(due, moment)
            elif isinstance(turn, Turn):
                turns.append(turn)
            else:
                polls.append(turn)
        if self._polls and polls:
            await self._polls.offer(polls)
        return await self._schedules.fire(turns, moment) if turns else 0

    def _turn(self, due: Due, zap: TimedZap | None) -> Turn | PollTurn | HookTurn | None:
        """The turn of a zap's timer; None where the zap has another one by now, or cannot be read."""
        if zap and self._polls and zap.hook_timer == due.timer.timer_id:
            return HookTurn(due.timer, zap)
        timed = zap.timed.get(due.timer.timer_id) if zap else None
        if zap is None or timed is None:
            return None
        if self._polls and self._polls.takes(timed.trigger.type):
            return PollTurn(due.timer, zap, timed)
        schedule = schedule_of(timed.trigger)
        return Turn(due.timer, due.since, zap, timed, schedule) if schedule else None

    async def _resume(self, due: Due, moment: datetime) -> bool:
        """Let the run that waits for a timer go on. Its last event is all that has to be known."""
        waits = due.last_id == due.timer.timer_id and due.last_type in WAITS
        if not waits or not knows(due.last_type or "", due.last_schema or 0):
            await self._forget(due, moment)
            return False
        return await self._append(due, [RunResumed(timer_id=due.timer.timer_id)])

    async def _time_out(self, due: Due, moment: datetime) -> bool:
        """End the run whose deadline has come."""
        try:
            run = await load(self._store, RUN, due.timer.stream_id)
            state = run.state if run else None
            events = decide(TimeOutRun(), state, await self._definition(state)) if isinstance(state, ActiveRun) else []
        except (UnknownEvent, msgspec.DecodeError) as error:
            log.error("scheduler.unreadable_run", run_id=str(due.timer.stream_id), error=repr(error))  # noqa: TRY400 - said whole
            events = []
        if not events:
            await self._forget(due, moment)
            return False
        return await self._append(due, events)

    async def _forget(self, due: Due, moment: datetime) -> None:
        """Drop a timer that nobody waits for. Where this release cannot read the run or zap, it is looked at later."""
        if not await self._store.pool.fetchval(_timers["drop"], due.timer.timer_id):
            log.warning("scheduler.timer_put_off", stream_id=str(due.timer.stream_id), last=due.last_type)
            await self._store.pool.execute(_timers["put_off"], due.timer.timer_id, moment + PUT_OFF)

    async def _append(self, due: Due, events: Sequence[RunEvent]) -> bool:
        timer = due.timer
        reached("scheduler.before_firing")
        result = await self._store.append(
            Append(
                kind=timer.kind,
                stream_id=timer.stream_id,
                expected=due.version or 0,
                tenant_id=timer.tenant_id,
                ordering_key=timer.ordering_key,
                events=tuple([NewEvent(new_id(), event) for event in events]),
                metadata=Metadata(actor="scheduler", correlation_id=timer.stream_id, causation_id=timer.timer_id),
                timer_id=timer.timer_id,
            )
        )
        reached("scheduler.after_firing")
        return isinstance(result, Appended)

    async def _definition(self, run: ActiveRun) -> Definition:
        try:
            version = await self._definitions.get(run.requested.zap_id, run.requested.zap_version)
        except (NotFound, TemplateError):
            return NO_STEPS
        return version.definition


def scheduler(
    store: PgEventStore,
    catalog: Catalog,
    http: Outbound,
    dialogues: Dialogues,
    *,
    ring: str,
    public_url: str,
) -> Scheduler:
    """The scheduler of a process that may call out: it polls, too."""
    zaps = TimedZaps(store)
    targets = Targets(http, RateLimits(store.pool), clock=now, monotonic=time.monotonic, random=random.random)
    credentials = connected(store, ring, now, targets, new_id)
    sources = Sources(store, zaps, catalog, targets, dialogues, clock=now, new_id=new_id, credentials=credentials)
    presets_of = presets(ConnectorTables(store.pool))
    registrar = Registrar(
        store, presets_of, targets, credentials, ring=ring, public_url=public_url, clock=now, new_id=new_id
    )
    return Scheduler(store, zaps, Polls(store, sources, now, registrar))
