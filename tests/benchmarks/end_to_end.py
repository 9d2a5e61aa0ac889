"""Everything: webhooks in at full speed, one HTTP action each, arrivals counted at a sink of another process."""

import asyncio
import time

import asyncpg

from app.roles.roles import ROLES
from tests.benchmarks.instance import Instance, instance, usage
from tests.benchmarks.support import BODY, Report, Row, database_settings
from tests.benchmarks.traffic import Load, Sink, running_sink

CONNECTIONS = 32
INDEXED = """
    select not exists (
        select from proj.gates g join proj.projections p on p.projection = g.consumer and p.version = g.version
        where g.consumer = 'run_search' and g.position < (select max(last_position) from es.commits))
"""
"""Releases without a search index have nothing to wait for."""
WARM_UP = range(90_000_000, 90_000_500)


async def run(*, quick: bool) -> Report:
    """Webhooks per second as accepted, and as runs whose request has arrived, with what was lost or came twice."""
    numbers = range(2_000 if quick else 20_000)
    async with instance(*ROLES) as running, running_sink() as sink:
        hook = await running.published_hook(sink.url)
        await _measure(running, hook, sink, WARM_UP)
        rows = await _measure(running, hook, sink, numbers)
        settings = (
            f"{await database_settings(running.dsn)}; embedded broker, one process per role; {len(numbers):,} webhooks "
            f"over {CONNECTIONS} connections, bodies of {len(BODY)} bytes, load generator and sink on the same CPUs."
        )
    return Report(settings, rows)


async def _measure(running: Instance, hook: str, sink: Sink, numbers: range) -> list[Row]:
    load = Load(hook)
    cpu, completed, repeats = running.cpu_seconds(), await completed_runs(running), (await sink.noted()).repeats
    started = time.monotonic_ns()
    await load.closed_loop(CONNECTIONS, iter(numbers), lambda: True)
    took = time.monotonic_ns() - started
    noted = await sink.wait_for(load.result.accepted)
    await settled(running, completed + len(load.result.accepted))
    total, parts = usage(cpu, running.cpu_seconds(), len(numbers))
    arrived = {number: at for number, at in noted.arrivals.items() if number in load.result.accepted}
    lost, repeated = len(load.result.accepted) - len(arrived), (await sink.noted()).repeats - repeats
    recorded = await completed_runs(running) - completed
    return [
        Row(
            what="accepted meanwhile",
            rate=len(load.result.accepted) / took * 1e9,
            unit="webhooks/s",
            latencies_s=load.result.latencies_s,
            note=f"baseline; {len(load.result.failures)} refused",
        ),
        Row(
            what="arrived at the sink",
            rate=(rate := len(arrived) / (max(arrived.values()) - started) * 1e9),
            unit="runs/s",
            latencies_s=[(at - load.result.sent_ns[number]) / 1e9 for number, at in arrived.items()],
            ratio=rate / (len(load.result.accepted) / took * 1e9),
            note=f"lost {lost}, repeated {repeated}, recorded {recorded:,}; CPU s per 1,000: {total:.3f} ({parts})",
        ),
    ]


async def settled(running: Instance, wanted: int, patience_s: float = 60) -> None:
    """Wait until as many runs are recorded as completed, and indexed, so that all their CPU time is counted.

    They are only counted while the log is quiet: PostgreSQL's work for that would be measured, too.
    """
    deadline, head = time.monotonic() + patience_s, -1
    connection = await asyncpg.connect(running.dsn)
    try:
        while time.monotonic() < deadline:
            before, head = head, await connection.fetchval("select max(last_position) from es.commits")
            if head == before and await connection.fetchval(INDEXED) and await completed_runs(running) >= wanted:
                return
            await asyncio.sleep(0.25)
    finally:
        await connection.close()


async def completed_runs(running: Instance) -> int:
    """How many runs the log tells of that have completed, items of loops included."""
    connection = await asyncpg.connect(running.dsn)
    try:
        count: int = await connection.fetchval("select count(*) from es.events where type = 'zap.run.completed'")
    finally:
        await connection.close()
    return count
