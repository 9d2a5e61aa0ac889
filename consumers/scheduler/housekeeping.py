"""Housekeeping of the store: it makes partitions for the months to come, and deletes old rows in small portions."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import asyncpg
import structlog

from sql.postgres.pool import CONNECTION_ERRORS, Pool
from sql.postgres.queries import Queries, Query
from sql.process.patience import rest

log = structlog.get_logger()
_events = Queries("queries/events.sql")
_hooks = Queries("queries/hooks.sql")

EVERY_S = 3_600.0
RETRY_S = 60.0
"""How soon a failed chore is tried again; twice as long after each further failure."""
MONTHS_AHEAD = 3
PRUNE_ROWS = 10_000
"""Rows that one statement deletes: few, so that it neither outlasts the pool's time limit nor holds up appends."""
PRUNE_REST_S = 0.1
BUCKET_KEPT = timedelta(hours=1)
"""A bucket that was not used for so long is full again, so its row can go."""


class Housekeeping:
    """Does the housekeeping. Any number may race. A chore that fails holds up neither the others nor timers."""

    def __init__(self, pool: Pool, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Do each chore now and every hour, until `stop`."""
        async with asyncio.TaskGroup() as chores:
            chores.create_task(self._repeat("months", self._ensure_months, stop))
            chores.create_task(self._repeat("dedupe", lambda: self._prune_dedupe(stop), stop))
            chores.create_task(self._repeat("buckets", lambda: self._prune_buckets(stop), stop))

    async def _repeat(self, name: str, chore: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        failures = 0
        while not stop.is_set():
            try:
                await chore()
                failures = 0
            except (*CONNECTION_ERRORS, asyncpg.PostgresError) as error:
                log.warning("housekeeping.failed", chore=name, error=repr(error), failures=failures + 1)
                failures = min(failures + 1, 10)
            await rest(stop, min(RETRY_S * 2 ** (failures - 1), EVERY_S) if failures else EVERY_S)

    async def _ensure_months(self) -> None:
        await self._pool.execute(_events["ensure_run_months"], MONTHS_AHEAD)

    async def _prune_dedupe(self, stop: asyncio.Event) -> None:
        await self._prune(_events["prune_dedupe"], self._clock(), stop)

    async def _prune_buckets(self, stop: asyncio.Event) -> None:
        await self._prune(_hooks["prune_buckets"], self._clock() - BUCKET_KEPT, stop)

    async def _prune(self, query: Query, before: datetime, stop: asyncio.Event) -> None:
        """Delete portion by portion, with pauses between, until one is not full."""
        while not stop.is_set():
            if await self._pool.execute(query, before, PRUNE_ROWS) != f"DELETE {PRUNE_ROWS}":
                return
            await rest(stop, PRUNE_REST_S)
