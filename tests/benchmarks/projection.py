"""The read models: following the topic, and built anew from the log."""

import asyncio
import time

import asyncpg

from app.config.settings import Settings
from app.roles.startup import run as run_role
from domain.log.partitioning import partition_of
from projections.engine.engine import Engine
from projections.engine.rebuild import rebuild
from projections.engine.registry import PROJECTIONS
from sql.log.event_store import PgEventStore
from tests.benchmarks.instance import instance
from tests.benchmarks.relay import published, relaying
from tests.benchmarks.support import (
    BODY,
    PARTITIONS,
    Report,
    Row,
    database_settings,
    fill,
    measured_rate,
)


async def run(*, quick: bool) -> Report:
    """Events per second of all read models together live, and of each one rebuilt."""
    events = 30_000 if quick else 300_000
    async with instance() as running:
        dsn = running.dsn
        await _start_empty(dsn)
        head = await fill(dsn, events)
        async with relaying(running.settings) as connection:
            await measured_rate(lambda: published(connection), head)
        live = await _live(running.settings)
        rows = [Row(what="live, from the topic, all read models", rate=live, unit="events/s", note="baseline")]
        for projection in PROJECTIONS:
            started = time.perf_counter()
            await rebuild(dsn, projection, PARTITIONS)
            rate = head / (time.perf_counter() - started)
            note = "" if "zap.run.requested" in projection.handles else "skips run events"
            rows.append(
                Row(what=f"rebuild {projection.name}", rate=rate, unit="events/s", ratio=rate / live, note=note)
            )
        settings = (
            f"{await database_settings(dsn)}; embedded broker, {PARTITIONS} partitions; {head:,} events, "
            f"{head // 3:,} runs with webhook bodies of {len(BODY)} bytes."
        )
    return Report(settings, rows)


async def _start_empty(dsn: str) -> None:
    """Build the read models while there is nothing to build from, so that all of it is left to the topic."""
    async with Engine(dsn, PROJECTIONS, PARTITIONS) as engine:
        await engine.start()


async def _live(settings: Settings) -> float:
    """The projector as `up` runs it, but in this process."""
    stop = asyncio.Event()
    connection = await asyncpg.connect(settings.database_url)
    async with PgEventStore(settings.database_url, "bench") as store:
        ends = await _ends(store)
    projector = asyncio.create_task(run_role("projector", settings, stop))

    async def progress() -> float:
        """Positions are spread evenly, so the mean of the gates is how many events were taken."""
        rows = await connection.fetch(
            "select position from proj.gates g join proj.projections p"
            " on p.projection = g.consumer and p.version = g.version where consumer = 'run_list'"
        )
        return float(sum(row["position"] for row in rows)) / PARTITIONS

    try:
        return await measured_rate(progress, sum(ends.values()) / PARTITIONS)
    finally:
        stop.set()
        await projector
        await connection.close()


async def _ends(store: PgEventStore) -> dict[int, int]:
    """The last position of each partition."""
    ends: dict[int, int] = {}
    async for page in store.iterate_log(0, await store.head()):
        ends.update((partition_of(event.ordering_key, PARTITIONS), event.position) for event in page)
    return ends
