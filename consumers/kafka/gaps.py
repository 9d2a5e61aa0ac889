"""What a consumer does when the topic has lost messages: ask the relay to publish them again."""

import asyncio
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

    async def report(self, partition: int, seen: int, what: str = "consumer.gap") -> None:
        """A message arrived whose predecessor in the partition was never seen; `seen` is the last that was.

        `what` is the event that the operator finds in the log.
        """
        at = asyncio.get_running_loop().time()
        if at - self._asked_at.get(partition, -_AGAIN_S) < _AGAIN_S:
            return
        self._asked_at[partition] = at
        log.warning(what, consumer=self._consumer, partition=partition, seen=seen)
        await self.ask(seen)

    async def ask(self, seen: int) -> None:
        """Have everything after a position published again."""
        with suppress(*CONNECTION_ERRORS):
            await self._pool.execute(_relay["ask_rewind"], seen)
