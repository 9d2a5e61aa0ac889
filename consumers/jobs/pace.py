"""How fast jobs go: each at its own speed, and all together."""

import asyncio

from sql.process.patience import rest


class Pace:
    """So many a second at most. Time that something slow lost is not made up for."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._free_at = 0.0

    async def keep(self, count: int, stop: asyncio.Event) -> None:
        """Wait until it is time for `count` more, or `stop`."""
        now_s = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now_s)
        wait_s = self._free_at - now_s
        self._free_at += count / self._per_s
        if wait_s > 0:
            await rest(stop, wait_s)
