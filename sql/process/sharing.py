"""Things that all tenants use, few at a time: a free one goes to the tenant whose turn it is.

A tenant that keeps all of them busy makes others wait for one use each, and not for all of its own. Where a use
may take long, some are kept for those who use none.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar
from uuid import UUID

T = TypeVar("T")


class Crowded(Exception):
    """Too many of this tenant wait already."""


class Shared(Generic[T]):
    """Some things, each used by one at a time. Of one tenant at most `most_waiting` wait.

    The last `spare` of them go to tenants that use none.
    """

    def __init__(self, things: Iterable[T], most_waiting: int = 1_000_000, spare: int = 0) -> None:
        self._free = list(things)
        self._most_waiting = most_waiting
        self._spare = spare
        self._used = Counter[UUID]()
        self._waiting: OrderedDict[UUID, deque[asyncio.Future[T]]] = OrderedDict()

    @asynccontextmanager
    async def one(self, tenant_id: UUID) -> AsyncIterator[T]:
        """A thing to use, once it is the tenant's turn. Raises Crowded."""
        thing = await self._take(tenant_id)
        try:
            yield thing
        finally:
            self._give_back(tenant_id, thing)

    async def _take(self, tenant_id: UUID) -> T:
        if self._may_have(tenant_id):
            return self._handed(tenant_id)
        queue = self._waiting.setdefault(tenant_id, deque())
        if len(queue) >= self._most_waiting:
            raise Crowded
        turn: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(tenant_id, turn.result())
            raise

    def _may_have(self, tenant_id: UUID) -> bool:
        return len(self._free) > (self._spare if self._used[tenant_id] else 0)

    def _handed(self, tenant_id: UUID) -> T:
        self._used[tenant_id] += 1
        return self._free.pop()

    def _give_back(self, tenant_id: UUID, thing: T) -> None:
        self._free.append(thing)
        self._used -= Counter((tenant_id,))
        while (next_id := next(filter(self._may_have, self._waiting), None)) is not None:
            queue = self._waiting.pop(next_id)
            turn = queue.popleft()
            if queue:
                self._waiting[next_id] = queue
            if not turn.done():
                turn.set_result(self._handed(next_id))
