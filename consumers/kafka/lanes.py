"""Work in lanes: in order within a key, many keys at once, and tenants in turn.

A lane's first step is work for the event loop, so only a few begin in each round of it. Behind a tenant with thousands
of runs another's lone run waits for those few, and not for the thousands.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from uuid import UUID

Job = Callable[[], Awaitable[None]]

ROUND_S = 0.005
"""How long a round of the event loop should take at most. Who waits for an answer waits for several of them."""
MOST_AT_ONCE = 64
"""Lanes that begin in one round where rounds are short."""


class Lanes:
    """One queue per key that has work, and a bound on the jobs that are open in all."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._queues: dict[UUID, deque[Job]] = {}
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._turns = _Turns(self._begin)
        self._open = 0
        self._room = asyncio.Event()
        self._room.set()

    async def room(self) -> None:
        """Wait until fewer jobs are open than the limit: back-pressure on the submitter."""
        await self._room.wait()

    def is_busy(self, key: UUID) -> bool:
        """Whether a job of this key is open."""
        return key in self._queues

    def submit(self, key: UUID, job: Job, tenant_id: UUID) -> None:
        """Do the job after all earlier ones of the same key, when it is the tenant's turn.

        It must not raise, but for CancelledError, by which it gives itself up; those behind it are done all the same.
        """
        self._open += 1
        if self._open >= self._limit:
            self._room.clear()
        queue = self._queues.get(key)
        if queue is not None:
            queue.append(job)
            return
        self._queues[key] = deque((job,))
        self._turns.wait(key, tenant_id)

    def _begin(self, key: UUID) -> None:
        self._tasks[key] = asyncio.create_task(self._work(key))

    async def _work(self, key: UUID) -> None:
        queue, task = self._queues[key], asyncio.current_task()
        try:
            while queue:
                try:
                    await queue.popleft()()
                except asyncio.CancelledError:
                    if task is None or task.cancelling():
                        raise
                self._open -= 1
                if self._open < self._limit:
                    self._room.set()
        finally:
            del self._queues[key], self._tasks[key]

    async def finished(self, keys: Collection[UUID]) -> None:
        """Wait until what is open of these keys is done."""
        while open_ := [key for key in keys if key in self._queues]:
            tasks = [self._tasks[key] for key in open_ if key in self._tasks]
            await (asyncio.wait(tasks) if tasks else asyncio.sleep(0))  # those that wait begin in the next rounds

    async def drain(self, timeout_s: float) -> bool:
        """Wait until no job is open, nor one begun meanwhile. False when time ran out: then the rest was cancelled."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.finished(self._queues)
        self._turns.forget()
        late = set(self._tasks.values())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return not late


class _Turns:
    """The keys that wait to begin, by tenant."""

    def __init__(self, begin: Callable[[UUID], None]) -> None:
        self._begin = begin
        self._waiting: OrderedDict[UUID, deque[UUID]] = OrderedDict()
        self._at_once = MOST_AT_ONCE
        self._left = MOST_AT_ONCE
        self._round: asyncio.Handle | None = None
        self._began = 0.0

    def wait(self, key: UUID, tenant_id: UUID) -> None:
        """Begin it now, or when it is the tenant's turn."""
        if self._round is None:
            self._next_round()
        if self._left:
            self._left -= 1
            self._begin(key)
        else:
            self._waiting.setdefault(tenant_id, deque()).append(key)

    def forget(self) -> None:
        """Begin nothing any more."""
        self._waiting.clear()

    def _next_round(self) -> None:
        self._began = time.monotonic()  # a loop may tell the same time all through a round
        self._left = self._at_once
        self._round = asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """A round of the event loop is over. The next ones begin fewer or more lanes, as long as it took."""
        took_s = time.monotonic() - self._began
        if took_s > ROUND_S:
            self._at_once = max(1, self._at_once // 2)
        elif took_s < ROUND_S / 2:
            self._at_once = min(MOST_AT_ONCE, self._at_once * 2)
        self._round = None
        if not self._waiting:
            return
        self._next_round()
        while self._left and self._waiting:
            self._left -= 1
            tenant_id, keys = self._waiting.popitem(last=False)
            self._begin(keys.popleft())
            if keys:
                self._waiting[tenant_id] = keys
