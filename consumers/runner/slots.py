"""How many actions run at once: in all, and for one zap, so that a zap whose target hangs leaves room for others."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from consumers.outbound.turns import Turns

PATIENCE_S = 20.0
"""Who would wait longer for its zap's share is sent away: waiting here takes memory, and room in the lanes."""
WAITERS = 3_000
"""How many of a zap may wait while nobody has seen yet how long its actions take."""
SOON_S = 2.0
GUESS_S = 1.0
"""How long an action takes, until one has ended."""
WEIGHT = 0.1
"""Of the latest action in the running average of how long they take."""


class Busy(Exception):
    """The zap has more to do than it gets done. Nothing was begun; offer it again in `after_s` seconds."""

    def __init__(self, after_s: float) -> None:
        super().__init__(f"the zap is busy, come back in {after_s:.1f} s")
        self.after_s = after_s


class Slots:
    """A bound in all and a bound per zap. Who waits for its zap's share holds no general slot."""

    def __init__(self, total: int, per_zap: int) -> None:
        self._total = asyncio.Semaphore(total)
        self._per_zap = per_zap
        self._most = max(1, total * 3 // 4)
        self._shares: dict[UUID, _Share] = {}

    @asynccontextmanager
    async def of(self, zap_id: UUID, limit: int | None = None) -> AsyncIterator[None]:
        """Hold a slot of the zap's for as long as the block runs. `limit`: the zap's own, where it has one.

        Raises Busy instead of waiting for long. No zap has more than three quarters of all slots.
        """
        share = self._shares.setdefault(zap_id, _Share())
        share.limit = min(limit or self._per_zap, self._most)
        share.users += 1
        try:
            await share.enter()
            began = asyncio.get_running_loop().time()
            try:
                async with self._total:
                    yield
            finally:
                share.leave(asyncio.get_running_loop().time() - began)
        finally:
            share.users -= 1
            if not share.users:
                del self._shares[zap_id]


class _Share:
    """The slots of one zap, first come, first served. `users` holds those that run and those that wait."""

    def __init__(self) -> None:
        self.limit = 1
        self.users = 0
        self._running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._held_s: float | None = None
        self._turns = Turns(random.random)

    async def enter(self) -> None:
        """Wait for a slot; raises Busy where it takes, or would take, too long."""
        if self._running < self.limit and not self._waiting:
            self._running += 1
            return
        if self._is_hopeless():
            raise self._busy()
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._admit()  # in case the limit has been raised
        try:
            async with asyncio.timeout(PATIENCE_S):
                await turn
        except BaseException as error:
            turn.cancel()
            if not turn.cancelled():  # it came the very moment that nobody waited for it any more
                self._pass_on()
            while self._waiting and self._waiting[0].done():
                del self._waiting[0]
            if isinstance(error, TimeoutError):
                self._held_s = max(self._held_s or 0.0, PATIENCE_S)
                raise self._busy() from None
            raise

    def leave(self, held_s: float) -> None:
        """Give the slot to the next one; `held_s` is how long it was held."""
        self._held_s = held_s if self._held_s is None else self._held_s + (held_s - self._held_s) * WEIGHT
        self._pass_on()

    def _pass_on(self) -> None:
        self._running -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._running < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._running += 1
                turn.set_result(None)

    def _is_hopeless(self) -> bool:
        if self._held_s is None:
            return len(self._waiting) >= WAITERS
        return len(self._waiting) * self._held_s / self.limit > PATIENCE_S

    def _busy(self) -> Busy:
        now = asyncio.get_running_loop().time()
        every_s = (self._held_s or GUESS_S) / self.limit
        return Busy(self._turns.after_s(now, now + SOON_S + len(self._waiting) * every_s, every_s))
