"""Webhooks at a low, even rate: from sending one to its action's request at the sink."""

from app.roles.roles import ROLES
from tests.benchmarks.instance import instance
from tests.benchmarks.support import BODY, Report, Row, database_settings
from tests.benchmarks.traffic import Load, running_sink

RATE = 20


async def run(*, quick: bool) -> Report:
    """How long answers and arrivals take when nothing queues."""
    count = RATE * (4 if quick else 15)
    async with instance(*ROLES) as running, running_sink() as sink:
        hook = await running.published_hook(sink.url)
        warm_up = Load(hook)
        await warm_up.closed_loop(1, iter(range(90_000_000, 90_000_050)), lambda: True)
        await sink.wait_for(warm_up.result.accepted)
        load = Load(hook)
        await load.open_loop(RATE, count)
        noted = await sink.wait_for(load.result.accepted)
        arrivals = [(noted.arrivals[n] - sent) / 1e9 for n, sent in load.result.sent_ns.items() if n in noted.arrivals]
        settings = (
            f"{await database_settings(running.dsn)}; embedded broker, one process per role; {count} webhooks at "
            f"{RATE}/s, bodies of {len(BODY)} bytes."
        )
    lost = len(load.result.accepted) - len(arrivals)
    return Report(
        settings,
        [
            Row(what="send → answer", latencies_s=load.result.latencies_s),
            Row(what="send → arrival at the sink", latencies_s=arrivals, note=f"lost {lost}, repeated {noted.repeats}"),
        ],
    )
