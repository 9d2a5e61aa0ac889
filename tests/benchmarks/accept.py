"""The API process alone: a webhook that is committed, against a constant answer at the same place."""

import itertools

from tests.benchmarks.instance import Instance, instance, usage
from tests.benchmarks.support import BODY, Report, Row, database_settings
from tests.benchmarks.traffic import Load, repeatedly

CONNECTIONS = 32


async def run(*, quick: bool) -> Report:
    """Requests per second over kept connections, and the time of each answer.

    The constant is the answer to OPTIONS: same server, same mount, same body on the wire, nothing read or stored.
    `GET /healthz` shows what a route of the framework costs.
    """
    seconds = 2.0 if quick else 10.0
    async with instance("api") as running:
        hook = await running.published_hook("http://127.0.0.1:9/")
        await _measure("warm-up", running, Load(hook), 0.5)
        constant = await _measure("constant answer", running, Load(hook, "OPTIONS"), seconds)
        health = await _measure("constant through Litestar", running, Load(f"{running.url}/healthz", "GET"), seconds)
        durable = await _measure("committed webhook", running, Load(hook), seconds)
        constant.note = f"baseline; {constant.note}"
        for row in (health, durable):
            row.ratio = (row.rate or 0) / (constant.rate or 1)
        settings = (
            f"{await database_settings(running.dsn)}; one API process, no relay or runner; {CONNECTIONS} connections, "
            f"bodies of {len(BODY)} bytes, {seconds:.0f} s each, load generator on the same CPUs."
        )
    return Report(settings, [constant, health, durable])


async def _measure(what: str, running: Instance, load: Load, seconds: float) -> Row:
    before = running.cpu_seconds()
    took = await repeatedly(seconds, lambda more: load.closed_loop(CONNECTIONS, itertools.count(), more))
    total, parts = usage(before, running.cpu_seconds(), len(load.result.accepted))
    assert not load.result.failures, load.result.failures[:5]
    return Row(
        what=what,
        rate=len(load.result.accepted) / took,
        unit="requests/s",
        latencies_s=load.result.latencies_s,
        note=f"CPU s per 1,000: {total:.3f} ({parts})",
    )
