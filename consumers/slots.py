"""How many actions run at once: in all, and for one zap, so that a zap whose target hangs leaves room for others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID


class Slots:
    """A bound in all and a bound per zap. Who waits for its zap's share holds no general slot."""

    def __init__(self, total: int, per_zap: int) -> None:
        self._total = asyncio.Semaphore(total)
        self._per_zap = per_zap
        self._zaps: dict[UUID, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def of(self, zap_id: UUID) -> AsyncIterator[None]:
        """Hold a slot of the zap's for as long as the block runs."""
        share, users = self._zaps.get(zap_id) or (asyncio.Semaphore(self._per_zap), 0)
        self._zaps[zap_id] = share, users + 1
        try:
            async with share, self._total:
                yield
        finally:
            share, users = self._zaps[zap_id]
            if users == 1:
                del self._zaps[zap_id]
            else:
                self._zaps[zap_id] = share, users - 1
