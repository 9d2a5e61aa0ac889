"""Timers that are due at one second: how fast they are drained, and what senders notice of it meanwhile."""

import asyncio
import time

import asyncpg

from app.roles.roles import ROLES
from tests.benchmarks.instance import Instance, instance
from tests.benchmarks.support import BODY, Report, Row, database_settings
from tests.benchmarks.traffic import Load, running_sink

RATE = 100
CONNECTIONS = 100
DELAY = {"id": "nap", "kind": "delay", "for_s": 86_400}
FIRST_DELAYED = 10_000_000
"""Number of the first order that waits; those of the senders begin at 0."""


async def run(*, quick: bool) -> Report:
    """Answers to senders before and while the timers fire, and how long it takes until all runs have gone on."""
    timers, quiet_s = (20_000, 10) if quick else (100_000, 15)
    async with instance(*ROLES) as running, running_sink() as sink:
        hook, delayed = await running.published_hook(sink.url), await running.published_hook(sink.url, DELAY)
        waiting = Load(delayed)
        await waiting.closed_loop(32, iter(range(FIRST_DELAYED, FIRST_DELAYED + timers)), lambda: True)
        await _until(running, timers)
        before = Load(hook)
        await before.open_loop(RATE, RATE * quiet_s, CONNECTIONS)
        await _execute(running, "update es.timers set due_at = now() + interval '1 second'")
        started = time.monotonic()
        during = Load(hook)
        sending = asyncio.create_task(during.open_loop(RATE, 1_000_000, CONNECTIONS, first=FIRST_DELAYED // 2))
        await _until(running, 0)
        fired_s = time.monotonic() - started - 1
        noted = await sink.wait_for(waiting.result.accepted)
        gone_on_s = time.monotonic() - started - 1
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        settings = (
            f"{await database_settings(running.dsn)}; embedded broker, one process per role; {timers:,} runs of one "
            f"zap whose delays end at the same second, then an HTTP action each; {RATE} webhooks/s of another zap, "
            f"bodies of {len(BODY)} bytes."
        )
    arrived = len(waiting.result.accepted & noted.arrivals.keys())
    return Report(
        settings,
        [
            Row(what="send → answer, before", latencies_s=before.result.latencies_s, note="baseline"),
            Row(
                what="send → answer, while timers fire",
                latencies_s=during.result.latencies_s,
                note=f"{len(during.result.failures)} refused of {len(during.result.latencies_s)}",
            ),
            Row(what="timers fired", rate=timers / fired_s, unit="timers/s", note=f"in {fired_s:.1f} s"),
            Row(
                what="runs gone on",
                rate=arrived / gone_on_s,
                unit="runs/s",
                note=f"lost {timers - arrived}, repeated {noted.repeats}, in {gone_on_s:.1f} s",
            ),
        ],
    )


async def _until(running: Instance, timers: int, patience_s: float = 300) -> None:
    """Wait until so many timers are set."""
    connection = await asyncpg.connect(running.dsn)
    deadline = time.monotonic() + patience_s
    try:
        while await connection.fetchval("select count(*) from es.timers") != timers:
            if time.monotonic() > deadline:
                raise TimeoutError(f"there are not {timers} timers")
            await asyncio.sleep(0.1)
    finally:
        await connection.close()


async def _execute(running: Instance, statement: str) -> None:
    connection = await asyncpg.connect(running.dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
