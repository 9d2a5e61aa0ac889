"""What an idle `up` holds in memory and uses of the CPU, by process."""

import asyncio

from app.roles.roles import ROLES
from tests.benchmarks.instance import instance
from tests.benchmarks.support import Report, Row

PYTHON = ("supervisor", *ROLES)


async def run(*, quick: bool) -> Report:
    """Resident (RSS) and proportional (PSS, shared pages split among their users) memory, and CPU."""
    seconds = 4 if quick else 20
    async with instance(*ROLES) as running:
        await running.published_hook("http://127.0.0.1:9/")
        await asyncio.sleep(4)
        before = running.cpu_seconds()
        await asyncio.sleep(seconds)
        cpu = {name: (used - before[name]) / seconds for name, used in running.cpu_seconds().items()}
        used = {name: (*memory, cpu[name]) for name, memory in running.memory().items()}
    rows = [_row(name, *values) for name, values in used.items()]
    python, everything = [used[name] for name in PYTHON], list(used.values())
    rows.append(_row("all Python roles together", *map(sum, zip(*python, strict=True))))
    rows.append(_row("everything together", *map(sum, zip(*everything, strict=True))))
    return Report(f"Idle for {seconds} s, after one sign-up and one published zap.", rows)


def _row(name: str, rss: float, pss: float, cpu: float) -> Row:
    return Row(what=name, note=f"RSS {rss / 2**20:.0f} MiB, PSS {pss / 2**20:.0f} MiB, CPU {100 * cpu:.1f} %")
