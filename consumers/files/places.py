"""How many files pass through a process at once: each takes a few MiB while it does, and nobody may have all places."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID
from weakref import WeakValueDictionary

AT_ONCE = 16
OF_ONE = 8
"""Of one tenant."""


class Places:
    """First come, first served; a tenant that has its share waits for itself only."""

    def __init__(self, at_once: int = AT_ONCE, of_one: int = OF_ONE) -> None:
        self._of_one = of_one
        self._all = asyncio.Semaphore(at_once)
        self._tenants: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, tenant_id: UUID) -> AsyncIterator[None]:
        """Hold a place."""
        own = self._tenants.setdefault(tenant_id, asyncio.Semaphore(self._of_one))
        async with own, self._all:
            yield
