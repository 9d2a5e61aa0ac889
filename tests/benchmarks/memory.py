"""What an idle `up` holds in memory, by process."""

import asyncio

import psutil

from app.supervisor import ROLES
from tests.benchmarks.instance import instance
from tests.benchmarks.support import Report, Row

PYTHON = ("supervisor", *ROLES)


async def run(*, quick: bool) -> Report:
    """Resident (RSS) and proportional (PSS, shared pages split among their users) memory."""
    async with instance(*ROLES) as running:
        await running.published_hook("http://127.0.0.1:9/")
        await asyncio.sleep(2 if quick else 10)
        used = {name: _memory(process) for name, process in running.processes().items()}
    rows = [_row(name, *memory) for name, memory in used.items()]
    python = [used[name] for name in PYTHON]
    total = _row("all Python roles together", sum(rss for rss, _ in python), sum(pss for _, pss in python))
    return Report("Idle, after one sign-up and one published zap.", [*rows, total])


def _memory(process: psutil.Process) -> tuple[int, int]:
    """RSS and PSS, of PostgreSQL with its backends; the supervisor's children have rows of their own."""
    parts = [process, *process.children()] if process.name() == "postgres" else [process]
    found = [part.memory_full_info() for part in parts]
    return sum(info.rss for info in found), sum(getattr(info, "pss", info.rss) for info in found)


def _row(name: str, rss: int, pss: int) -> Row:
    return Row(what=name, note=f"RSS {rss / 2**20:.0f} MiB, PSS {pss / 2**20:.0f} MiB")
