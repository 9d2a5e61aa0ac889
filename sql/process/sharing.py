"""Things that all tenants use, few at a time: a free one goes to the tenant whose turn it is.

A tenant that keeps all of them busy makes others wait for one use each, and not for all of its own.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar
from uuid import UUID

T = TypeVar("T")


class Crowded(Exception):
    """Too many of this tenant wait already."""


class Shared(Generic[T]):
    """Some things, each used by one at a time. Of one tenant at most `most_waiting` wait."""

    def __init__(self, things: Iterable[T], most_waiting: int = 1_000_000) -> None:
        self._free = list(things)
        self._most_waiting = most_waiting
        self._waiting: OrderedDict[UUID, deque[asyncio.Future[T]]] = OrderedDict()

    @asynccontextmanager
    async def one(self, tenant_id: UUID) -> AsyncIterator[T]:
        """A thing to use, once it is the tenant's turn. Raises Crowded."""
        thing = await self._take(tenant_id)
        try:
            yield thing
        finally:
            self._give_back(thing)

    async def _take(self, tenant_id: UUID) -> T:
        if self._free:
            return self._free.pop()
        queue = self._waiting.setdefault(tenant_id, deque())
        if len(queue) >= self._most_waiting:
            raise Crowded
        turn: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(turn.result())
            raise

    def _give_back(self, thing: T) -> None:
        while self._waiting:
            tenant_id, queue = self._waiting.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self._waiting[tenant_id] = queue
            if not turn.done():
                turn.set_result(thing)
                return
        self._free.append(thing)
