"""The event store: group commit, against one command per call."""

import asyncio
import time
from contextlib import AsyncExitStack

from domain.log.event import Appended
from sql.log.event_store import PgEventStore
from tests.benchmarks.instance import instance
from tests.benchmarks.support import BODY, Report, Row, database_settings, run_command


async def run(*, quick: bool) -> Report:
    """Commands per second and the time of each, by number of clients and events per command."""
    seconds = 1.0 if quick else 5.0
    async with instance() as running:
        dsn = running.dsn
        baseline = await _one_command_per_call(dsn, 32, seconds)
        rows = [baseline]
        for events in (1, 3):
            for clients in (32, 256):
                row = await _group_commit(dsn, clients, events, seconds)
                row.ratio = (row.rate or 0) / (baseline.rate or 1)
                rows.append(row)
        settings = f"{await database_settings(dsn)}; webhook bodies of {len(BODY)} bytes; {seconds:.0f} s each."
    return Report(settings, rows)


async def _one_command_per_call(dsn: str, clients: int, seconds: float) -> Row:
    """A store has one writer, so as many stores as clients never group anything."""
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(PgEventStore(dsn, "bench", patience_s=30)) for _ in range(clients)]
        row = await _measure(stores, 1, seconds)
    row.what, row.note = f"{clients} clients × 1 event, one command per call", "baseline"
    return row


async def _group_commit(dsn: str, clients: int, events: int, seconds: float) -> Row:
    async with PgEventStore(dsn, "bench", patience_s=30) as store:
        row = await _measure([store] * clients, events, seconds)
    row.what = f"{clients} clients × {events} event{'s' if events > 1 else ''}, group commit"
    row.note = f"{(row.rate or 0) * events:,.0f} events/s"
    return row


async def _measure(stores: list[PgEventStore], events: int, seconds: float) -> Row:
    times: list[float] = []
    await stores[0].append(run_command(events))
    started = time.perf_counter()

    async def client(store: PgEventStore) -> None:
        while (sent := time.perf_counter()) - started < seconds:
            assert isinstance(await store.append(run_command(events)), Appended)
            times.append(time.perf_counter() - sent)

    await asyncio.gather(*(client(store) for store in stores))
    return Row(what="", rate=len(times) / (time.perf_counter() - started), unit="commands/s", latencies_s=times)
