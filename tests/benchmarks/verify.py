"""The hash chain: recomputed over the whole log."""

import resource
import time

import asyncpg

from sql.proof.verify import verify_chain
from tests.benchmarks.instance import instance
from tests.benchmarks.support import BODY, Report, Row, database_settings, fill


async def run(*, quick: bool) -> Report:
    """Events per second, by how many events the commits hold."""
    events = 30_000 if quick else 300_000
    rows = []
    async with instance() as running:
        dsn = running.dsn
        for clients in (256, 8):
            rows.append(await _measure(dsn, events, clients))
            if rows[0] is not rows[-1]:
                rows[-1].ratio = (rows[-1].rate or 0) / (rows[0].rate or 1)
        settings = f"{await database_settings(dsn)}; events of runs with webhook bodies of {len(BODY)} bytes."
    rows[0].note += "; baseline"
    return Report(settings, rows)


async def _measure(dsn: str, events: int, clients: int) -> Row:
    name = f"verify_{clients}"
    await _create(dsn, name)
    target = dsn.rsplit("/", 1)[0] + f"/{name}"
    head = await fill(target, events if clients > 8 else events // 5, clients)
    before, started = _cpu(), time.perf_counter()
    report = await verify_chain(target)
    rate = report.events / (time.perf_counter() - started)
    cpu = (_cpu() - before) / head * 1e6
    assert report.broken_at is None
    assert report.events == head
    connection = await asyncpg.connect(target)
    commits = await connection.fetchval("select count(*) from es.commits where last_position > 0")
    await connection.close()
    return Row(
        what=f"{head / commits:,.0f} events per commit",
        rate=rate,
        unit="events/s",
        note=f"{head:,} events, {cpu:.1f} µs of our CPU each",
    )


def _cpu() -> float:
    """CPU time so far of this process and of children that have ended."""
    own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


async def _create(dsn: str, name: str) -> None:
    """A database beside, with the same schema."""
    connection = await asyncpg.connect(dsn.rsplit("/", 1)[0] + "/postgres")
    await connection.execute(f"create database {name} template triggerhub")
    await connection.close()
