"""The relay: a log full of events to the topic, against only reading that log."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from app.config.settings import Settings
from app.roles.startup import run as run_role
from sql.log.event_store import PgEventStore
from tests.benchmarks import support
from tests.benchmarks.instance import instance


async def run(*, quick: bool) -> support.Report:
    """Events per second, from the first acknowledged batch to the last."""
    events = 30_000 if quick else 300_000
    async with instance() as running:
        dsn = running.dsn
        head = await support.fill(dsn, events)
        read = support.Row(what="read the log", rate=await _read(dsn, head), unit="events/s", note="baseline")
        cpu = time.process_time()
        async with relaying(running.settings) as connection:
            rate = await support.measured_rate(lambda: published(connection), head)
        cpu = (time.process_time() - cpu) / head * 1000
        note = f"CPU of the relay {cpu:.3f} s per 1,000 events"
        sent = support.Row(what="log → topic", rate=rate, unit="events/s", ratio=rate / (read.rate or 1), note=note)
        settings = (
            f"{await support.database_settings(dsn)}; embedded broker, {support.PARTITIONS} partitions; "
            f"{head:,} events of runs with webhook bodies of {len(support.BODY)} bytes."
        )
    return support.Report(settings, [read, sent])


@asynccontextmanager
async def relaying(settings: Settings) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """The relay as `up` runs it, but in this process; yields a connection to watch it with."""
    stop = asyncio.Event()
    connection = await asyncpg.connect(settings.database_url)
    task = asyncio.create_task(run_role("relay", settings, stop))
    try:
        yield connection
    finally:
        stop.set()
        await task
        await connection.close()


async def published(connection: "asyncpg.Connection[asyncpg.Record]") -> float:
    """The position that the relay has come to."""
    return float(await connection.fetchval("select position from relay.checkpoint where lane = 0"))


async def _read(dsn: str, head: int) -> float:
    async with PgEventStore(dsn, "bench") as store:
        started = time.perf_counter()
        async for _page in store.iterate_log(0, head):
            pass
        return head / (time.perf_counter() - started)
