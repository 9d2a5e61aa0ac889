"""What a consumer does when the topic has lost messages: ask the relay to publish them again."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from sql.postgres.pool import CONNECTION_ERRORS, Pool
from sql.postgres.queries import Queries

log = structlog.get_logger()
_relay = Queries("queries/relay.sql")
_AGAIN_S = 5.0


class GapReports:
    """Asks for a rewind, at most once in a while per partition, as the relay needs a moment to answer."""

    def __init__(self, pool: Pool, consumer: str) -> None:
        self._pool = pool
        self._consumer = consumer
        self._asked_at: dict[int, float] = {}
        self._later: dict[int, asyncio.Task[None]] = {}

    async def report(self, partition: int, seen: int, is_open: Callable[[], bool], what: str = "consumer.gap") -> None:
        """A message arrived whose predecessor in the partition was never seen; `seen` is the last that was.

        `what` is the event that the operator finds in the log. Asked a moment ago, this asks again later if the gap
        `is_open` still: what was published for the first wish may be lost.
        """
        at = asyncio.get_running_loop().time()
        next_at = self._asked_at.get(partition, -_AGAIN_S) + _AGAIN_S
        if at >= next_at:
            self._asked_at[partition] = at
            log.warning(what, consumer=self._consumer, partition=partition, seen=seen)
            await self.ask(seen)
        elif partition not in self._later:
            again = self._report_later(partition, seen, is_open, what, after_s=next_at - at)
            self._later[partition] = asyncio.create_task(again)

    async def _report_later(
        self, partition: int, seen: int, is_open: Callable[[], bool], what: str, *, after_s: float
    ) -> None:
        await asyncio.sleep(after_s)
        del self._later[partition]
        if is_open():
            await self.report(partition, seen, is_open, what)

    async def ask(self, seen: int) -> None:
        """Have everything after a position published again."""
        with suppress(*CONNECTION_ERRORS):
            await self._pool.execute(_relay["ask_rewind"], seen)
