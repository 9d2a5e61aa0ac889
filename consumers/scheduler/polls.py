"""Polls sources whose time has come, and has services told of hooks: a few at once, of each tenant a share, and each
source by one scheduler.

Whoever moves a poll's timer to the end of a lease makes the poll, and then moves the timer to the next one. So a source
is polled once per turn; when a scheduler dies, another one polls it after the lease. Ticks of schedules do
not wait for any of it.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from consumers.registering.registrar import Registrar
from consumers.scheduler.source import PollTurn, Sources
from consumers.scheduler.timed_zaps import TimedZap
from domain.log.event import DueTimer
from domain.log.ports import Clock, StoreUnavailable
from sql.log.event_store import PgEventStore
from sql.postgres.pool import CONNECTION_ERRORS
from sql.postgres.queries import Queries

log = structlog.get_logger()
_polls = Queries("queries/polls.sql")

SLOTS = 32
"""Polls at once in one process: each may hold an answer of 4 MiB, and what is made of it."""
PER_TENANT = 8
LEASE = timedelta(seconds=60)
PATIENCE_S = 55.0
"""How long a poll may take, with all of its pages and runs."""
BUSY = timedelta(seconds=2)
"""When a source is looked at again for which there was no slot."""
BROKEN = timedelta(minutes=5)
"""... and one whose poll failed on our side."""


class HookTurn(msgspec.Struct, frozen=True):
    """A timer that is due, and the zap whose hook has to be looked at."""

    timer: DueTimer
    zap: TimedZap


class Polls:
    """The polls of one scheduler."""

    def __init__(self, store: PgEventStore, sources: Sources, clock: Clock, registrar: Registrar | None = None) -> None:
        self._registrar = registrar
        self._store = store
        self._clock = clock
        self._sources = sources
        self._under_way: dict[UUID, asyncio.Task[None]] = {}
        self._of_tenant: Counter[UUID] = Counter()

    def takes(self, trigger_type: str) -> bool:
        """Whether triggers of this type poll."""
        return self._sources.takes(trigger_type)

    async def offer(self, turns: Sequence[PollTurn | HookTurn]) -> None:
        """Begin the polls that are due; those for which there is no slot come back soon."""
        await asyncio.gather(*(self._offer(turn) for turn in turns))

    async def settle(self) -> None:
        """Wait until no poll is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way.values())

    async def aclose(self) -> None:
        """Give up what is under way: another scheduler takes it soon."""
        for task in self._under_way.values():
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _offer(self, turn: PollTurn | HookTurn) -> None:
        timer, tenant_id = turn.timer, turn.zap.tenant_id
        full = len(self._under_way) >= SLOTS or self._of_tenant[tenant_id] >= PER_TENANT
        until = self._clock() + (BUSY if full or timer.timer_id in self._under_way else LEASE)
        if full or timer.timer_id in self._under_way:
            await self._claim(turn, timer.due_at, until)
            return
        task = asyncio.create_task(self._turn(turn, until))
        self._under_way[timer.timer_id] = task
        self._of_tenant[tenant_id] += 1
        task.add_done_callback(lambda _done: self._over(turn))

    def _over(self, turn: PollTurn | HookTurn) -> None:
        self._under_way.pop(turn.timer.timer_id, None)
        self._of_tenant -= Counter([turn.zap.tenant_id])

    async def _turn(self, turn: PollTurn | HookTurn, lease: datetime) -> None:
        if not await self._claim(turn, turn.timer.due_at, lease):
            return
        upcoming: datetime | None = self._clock() + BUSY
        try:
            async with asyncio.timeout(PATIENCE_S):
                upcoming = await self._ask(turn)
        except (*CONNECTION_ERRORS, StoreUnavailable) as error:
            log.warning("poll.store_unavailable", zap_id=str(turn.zap.zap_id), error=repr(error))
            upcoming = self._clock() + timedelta(seconds=10)
        except Exception:  # a bug in one poll must not end the others
            log.exception("poll.crashed", zap_id=str(turn.zap.zap_id))
            upcoming = self._clock() + BROKEN
        finally:
            if upcoming is None:
                await self._forget(turn)
            else:
                await self._claim(turn, lease, upcoming)

    async def _ask(self, turn: PollTurn | HookTurn) -> datetime | None:
        """Do what is due. Gives when there is something to do again."""
        if isinstance(turn, PollTurn):
            return await self._sources.ask(turn)
        return await self._registrar.settle(turn.zap.hook) if self._registrar else self._clock() + BROKEN

    async def _forget(self, turn: PollTurn | HookTurn) -> None:
        try:
            await self._store.pool.execute(_polls["forget"], turn.timer.timer_id)
        except CONNECTION_ERRORS as error:
            log.warning("poll.store_unavailable", zap_id=str(turn.zap.zap_id), error=repr(error))

    async def _claim(self, turn: PollTurn | HookTurn, seen: datetime, until: datetime) -> bool:
        try:
            found: bool = await self._store.pool.fetchval(_polls["claim"], turn.timer.timer_id, seen, until)
        except CONNECTION_ERRORS as error:
            log.warning("poll.store_unavailable", zap_id=str(turn.zap.zap_id), error=repr(error))
            return False
        return found
