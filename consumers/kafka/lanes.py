"""Work in lanes: in order within a key, many keys at once."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from uuid import UUID

Job = Callable[[], Awaitable[None]]


class Lanes:
    """One queue per key that has work, and a bound on the jobs that are open in all."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._queues: dict[UUID, deque[Job]] = {}
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._open = 0
        self._room = asyncio.Event()
        self._room.set()

    async def room(self) -> None:
        """Wait until fewer jobs are open than the limit: back-pressure on the submitter."""
        await self._room.wait()

    def is_busy(self, key: UUID) -> bool:
        """Whether a job of this key is open."""
        return key in self._queues

    def submit(self, key: UUID, job: Job) -> None:
        """Do the job after all earlier ones of the same key.

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

    async def finished(self, keys: Iterable[UUID]) -> None:
        """Wait until what is open of these keys is done."""
        tasks = [self._tasks[key] for key in keys if key in self._tasks]
        if tasks:
            await asyncio.wait(tasks)

    async def drain(self, timeout_s: float) -> bool:
        """Wait until no job is open, nor one begun meanwhile. False when time ran out: then the rest was cancelled."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._tasks:
                    await asyncio.wait(set(self._tasks.values()))
        late = set(self._tasks.values())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return not late
