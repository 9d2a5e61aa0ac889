"""What memory all processes take after 100,000 runs that webhooks have started, with one HTTP action each."""

from app.roles.roles import ROLES
from tests.benchmarks.end_to_end import CONNECTIONS, WARM_UP, completed_runs, settled
from tests.benchmarks.instance import Instance, instance
from tests.benchmarks.support import Report, Row, database_settings
from tests.benchmarks.traffic import Load, running_sink

RUNS = 100_000
LIMIT_MIB = 600
"""Of all processes together, PostgreSQL and the broker included."""


async def run(*, quick: bool) -> Report:
    """RSS and PSS before, after a tenth, and after all of the runs."""
    count = RUNS // 50 if quick else RUNS
    async with instance(*ROLES) as running, running_sink() as sink:
        hook = await running.published_hook(sink.url)
        await _webhooks(running, hook, WARM_UP)
        rows = [_row(running, "after the start")]
        for what, numbers in (("a tenth", range(count // 10)), ("all", range(count // 10, count))):
            await _webhooks(running, hook, numbers)
            rows.append(_row(running, f"after {what} of {count:,} runs"))
        settings = (
            f"{await database_settings(running.dsn)}; embedded broker, one process per role. The ratio is of the RSS "
            f"of all processes to {LIMIT_MIB} MiB; pages that they share count for each of them there, and once in PSS."
        )
    return Report(settings, rows)


async def _webhooks(running: Instance, hook: str, numbers: range) -> None:
    load, before = Load(hook), await completed_runs(running)
    await load.closed_loop(CONNECTIONS, iter(numbers), lambda: True)
    assert not load.result.failures, f"{len(load.result.failures)} were refused"
    await settled(running, before + len(numbers), 120)


def _row(running: Instance, what: str) -> Row:
    memory = running.memory()
    rss, pss = (sum(values) >> 20 for values in zip(*memory.values(), strict=True))
    each = ", ".join(f"{name} {resident >> 20}" for name, (resident, _pss) in memory.items())
    return Row(
        what=what, rate=rss, unit="MiB RSS", ratio=rss / LIMIT_MIB, note=f"PSS {pss} MiB; RSS by process: {each}"
    )
