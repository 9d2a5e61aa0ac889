"""Housekeeping of the store: it makes partitions for the months to come, drops those of requests that are old, and
deletes old rows in small portions.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta

import asyncpg
import structlog

from domain.language.zones import RULES
from projections import audit, request_list, stats, tick_list
from sql.files.store import FileStore, forget_files_of_requests
from sql.postgres.pool import CONNECTION_ERRORS, Pool
from sql.postgres.queries import Queries, Query
from sql.process.clock import new_id
from sql.process.patience import rest

log = structlog.get_logger()
_events = Queries("queries/events.sql")
_gates = Queries("queries/gates.sql")
_hooks = Queries("queries/hooks.sql")
_polls = Queries("queries/polls.sql")
_timers = Queries("queries/timers.sql")
_backtests = Queries("queries/backtests.sql")
_mails = Queries("queries/mails.sql")
_memory = Queries("queries/memory.sql")

EVERY_S = 3_600.0
RETRY_S = 60.0
"""How soon a failed chore is tried again; twice as long after each further failure."""
MONTHS_AHEAD = 3
REQUEST_MONTHS_AHEAD = 1
"""One month is enough to be in time, and each leaf of the log costs every append 25 µs."""
PRUNE_ROWS = 10_000
"""Rows that one statement deletes: few, so that it neither outlasts the pool's time limit nor holds up appends."""
PRUNE_REST_S = 0.1
DROP_S = 600.0
"""How long it may take to put on record what is dropped."""
SOURCE_KEPT = timedelta(days=90)
"""What is known of a source that was not polled for so long is forgotten."""
BUCKET_KEPT = timedelta(hours=1)
"""A bucket that was not used for so long is full again, so its row can go."""
BACKTESTS_KEPT = timedelta(days=30)
CHANGES_KEPT = timedelta(days=14)
"""So long a step that is tried again knows what it has changed."""
LINKS_KEPT = timedelta(days=60)
"""So long the link in a mail leads somewhere."""


class Housekeeping:
    """Does the housekeeping. Any number may race. A chore that fails holds up neither the others nor timers.

    Months of requests that start no run are dropped once their last day is `keep_requests` ago.
    """

    def __init__(
        self, pool: Pool, clock: Callable[[], datetime], keep_requests: timedelta, files: FileStore | None = None
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._keep_requests = keep_requests
        self._files = files or FileStore(pool, clock, new_id)

    async def run(self, stop: asyncio.Event) -> None:
        """Do each chore now and every hour, until `stop`."""
        async with asyncio.TaskGroup() as chores:
            chores.create_task(self._repeat("months", self._ensure_months, stop))
            chores.create_task(self._repeat("zones", self._follow_zones, stop))
            chores.create_task(self._repeat("requests", self._drop_requests, stop))
            chores.create_task(self._repeat("dedupe", lambda: self._prune_dedupe(stop), stop))
            chores.create_task(self._repeat("backtests", lambda: self._prune_backtests(stop), stop))
            chores.create_task(self._repeat("polls", lambda: self._prune_polls(stop), stop))
            chores.create_task(self._repeat("buckets", lambda: self._prune_buckets(stop), stop))
            chores.create_task(self._repeat("files", self._sweep_files, stop))
            chores.create_task(self._repeat("memory", lambda: self._prune_memory(stop), stop))
            chores.create_task(self._repeat("mail links", lambda: self._prune_mail_links(stop), stop))

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
        await self._pool.execute(_events["ensure_request_months"], REQUEST_MONTHS_AHEAD)

    async def _follow_zones(self) -> None:
        """Have schedules worked out anew where the rules of time zones are others than before."""
        async with self._pool.acquire() as connection, connection.transaction():
            before = await connection.fetchval(_timers["zone_rules"])
            if before == RULES:
                return
            await connection.execute(_timers["forget_zone_rules"])
            await connection.execute(_timers["set_zone_rules"], RULES)
            if before is not None:
                log.info("housekeeping.time_zones_changed", before=before, now=RULES)
                await connection.execute(_timers["look_at_schedules"])

    async def _drop_requests(self) -> None:
        while await self._drop_oldest_requests(self._clock() - self._keep_requests):
            pass

    async def _drop_oldest_requests(self, before: datetime) -> bool:
        """Drop a month of requests and ticks from log and lists at once: whoever compares them sees both or none.

        The leaf goes last, as appends wait for who drops it. Not during a rebuild, which may have read the month.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            month: date | None = await connection.fetchval(_events["oldest_request_month"], before)
            if month is None:
                return False
            for projection in (request_list.REQUEST_LIST, tick_list.TICK_LIST, audit.AUDIT, stats.STATS):
                if not await connection.fetchval(_gates["try_lock_rebuild"], projection.name):
                    return False
            await forget_files_of_requests(connection, month)
            await request_list.forget_month(connection, month)
            await tick_list.forget_month(connection, month)
            await audit.forget_month(connection, month)
            await stats.seal_requests(connection, month)
            dropped: int = await connection.fetchval(_events["drop_request_month"], month, timeout=DROP_S)
        log.info("housekeeping.requests_dropped", month=f"{month:%Y-%m}", events=dropped)
        return True

    async def _sweep_files(self) -> None:
        await self._files.sweep()

    async def _prune_dedupe(self, stop: asyncio.Event) -> None:
        await self._prune(_events["prune_dedupe"], self._clock(), stop)

    async def _prune_backtests(self, stop: asyncio.Event) -> None:
        await self._prune(_backtests["prune"], self._clock() - BACKTESTS_KEPT, stop)

    async def _prune_polls(self, stop: asyncio.Event) -> None:
        await self._prune(_polls["prune"], self._clock() - SOURCE_KEPT, stop)

    async def _prune_buckets(self, stop: asyncio.Event) -> None:
        await self._prune(_hooks["prune_buckets"], self._clock() - BUCKET_KEPT, stop)

    async def _prune_mail_links(self, stop: asyncio.Event) -> None:
        await self._prune(_mails["prune_mail_links"], self._clock() - LINKS_KEPT, stop)

    async def _prune_memory(self, stop: asyncio.Event) -> None:
        now = self._clock()
        await self._prune(_memory["prune_memory"], now, stop)
        await self._prune(_memory["prune_memory_seen"], now, stop)
        await self._prune(_memory["prune_memory_changes"], now - CHANGES_KEPT, stop)
        for tenant in await self._pool.fetch(_memory["who_remembers"]):
            await self._pool.execute(_memory["recount_memory"], tenant["tenant_id"])

    async def _prune(self, query: Query, before: datetime, stop: asyncio.Event) -> None:
        """Delete portion by portion, with pauses between, until one is not full."""
        while not stop.is_set():
            if await self._pool.execute(query, before, PRUNE_ROWS) != f"DELETE {PRUNE_ROWS}":
                return
            await rest(stop, PRUNE_REST_S)
