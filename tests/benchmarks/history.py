"""Run history: lists, searches and statistics over many runs, and what they take on disk.

HISTORY_EVENTS says how many events there are (400,000 without it); four are a run, with a payload of 0.5 to 3 KB.
HISTORY_COPIES says how many copies of fewer these are. With HISTORY_DIR the database is kept there, and used again.
"""

import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import asyncpg

from domain.search.query import search
from projections import run_reading
from projections.audit import AUDIT, AuditFilter, list_entries
from projections.engine.projection import Projection
from projections.engine.rebuild import ensure_built
from projections.past import Past
from projections.recoveries import RECOVERIES
from projections.run_filter import After, RunFilter
from projections.run_found import count_found, find_runs
from projections.run_keys import RUN_KEYS
from projections.run_list import RUN_LIST
from projections.run_query import count_runs, list_runs
from projections.run_search import RUN_SEARCH
from projections.stats import STATS
from projections.stats_query import Asked, read_stats
from sql.log.event_store import PgEventStore
from sql.postgres.pool import Pool
from sql.process.clock import now
from sql.process.memory import collect_rarely
from tests.benchmarks.copied_history import copy
from tests.benchmarks.instance import instance
from tests.benchmarks.made_history import EDITS, EVENTS_PER_RUN, TENANT, ZAPS, declare, edit, fill
from tests.benchmarks.support import PARTITIONS, Report, Row, database_settings

EVENTS = int(os.environ.get("HISTORY_EVENTS", "400000"))
COPIES = int(os.environ.get("HISTORY_COPIES", "0"))
"""How many copies of what is made are put beside it: making all would take hours on a busy machine."""
SPAN = timedelta(days=29)
KEPT = Path(os.environ["HISTORY_DIR"]) if "HISTORY_DIR" in os.environ else None
REPEATS = 100
PATIENCE_S = 1.0
"""For the repeats of one question."""
SAMPLE = 10_000
"""Runs of which some are asked for."""

SPREAD = """
insert into rm.stats
select tenant_id, zap_id, width, at - n * ('1 ' || width)::interval, step_id, sums
from rm.stats s, generate_series(1, $2) n where width = $1 and at = (select max(at) from rm.stats where width = $1)
on conflict do nothing
"""

Ask = Callable[[], Awaitable[object]]
Given = Callable[[], tuple[str | None, list[str]]]


async def run(*, quick: bool) -> Report:
    """Latencies of each question, rates of building, and bytes a run."""
    runs = (20_000 if quick else EVENTS) // EVENTS_PER_RUN
    made = runs // (1 + COPIES)
    rows = []
    async with instance(kept=KEPT) as running:
        async with PgEventStore(running.dsn, "history", read_connections=4, patience_s=60) as store:
            rows.append(await _filled(running.dsn, store, made))
            rows += [
                await _built(running.dsn, projection)
                for projection in (RECOVERIES, RUN_KEYS, RUN_LIST, STATS, RUN_SEARCH)
            ]
            rows.append(await _copied(running.dsn, store, runs))
            rows.append(await _audited(running.dsn, store))
            await _spread(running.dsn)
            ids = await _sampled(running.dsn)
            collect_rarely()
            for what, ask in _questions(store, ids, made, await store.head()):
                rows.append(Row(what=what, latencies_s=await _asked(ask)))
            rows += await _sizes(running.dsn, runs)
        size = f"{runs * EVENTS_PER_RUN:,} events, {runs:,} runs of 20 zaps, one tenant, of which {made:,} were made."
        settings = f"{await database_settings(running.dsn)}; {size}"
    return Report(settings, rows)


async def _filled(dsn: str, store: PgEventStore, runs: int) -> Row:
    """A kept database goes on where it was."""
    if await store.head() == 0:
        await declare(store)
    begin = max(0, await store.head() - 2 * len(ZAPS)) // EVENTS_PER_RUN
    started = time.perf_counter()
    await fill(dsn, begin, runs)
    took = time.perf_counter() - started
    return Row(
        what="making the log", rate=(runs - begin) * EVENTS_PER_RUN / took, unit="events/s", note=f"{took:.0f} s"
    )


async def _audited(dsn: str, store: PgEventStore) -> Row:
    """The audit of all of it, once the zaps have been edited behind their runs."""
    if not await store.pool.fetchval("select exists (select from proj.projections where projection = 'audit')"):
        await edit(store)
    return await _built(dsn, AUDIT)


async def _copied(dsn: str, store: PgEventStore, runs: int) -> Row:
    started = time.perf_counter()
    there = await store.head() // EVENTS_PER_RUN
    if there < runs:
        await copy(dsn, COPIES, SPAN)
    took = time.perf_counter() - started
    return Row(
        what="copying log and read models",
        rate=(runs - there) * EVENTS_PER_RUN / took,
        unit="events/s",
        note=f"{took:.0f} s",
    )


async def _sampled(dsn: str) -> list[UUID]:
    """Runs from all over the list, in order."""
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch("select run_id from rm.run_list order by random() limit $1", SAMPLE)
    await connection.close()
    return sorted(row[0] for row in rows)


async def _built(dsn: str, projection: Projection) -> Row:
    """What a kept database has is not built again."""
    seen: list[int] = []
    started = time.perf_counter()
    partitions = 1 if projection is RUN_SEARCH else PARTITIONS
    await ensure_built(dsn, projection, partitions, lambda _position, head: seen.append(head))
    took = time.perf_counter() - started
    return Row(
        what=f"rebuild {projection.name}", rate=seen[-1] / took if seen else None, unit="events/s", note=f"{took:.0f} s"
    )


async def _spread(dsn: str) -> None:
    """The statistics of the newest hour as those of each hour of 31 days, and likewise by days."""
    connection = await asyncpg.connect(dsn)
    for width, times in (("hour", 744), ("day", 31)):
        await connection.execute(SPREAD, width, times)
    await connection.execute("vacuum analyze")
    await connection.close()


async def _asked(ask: Ask) -> list[float]:
    found: list[float] = []
    deadline = time.perf_counter() + PATIENCE_S
    while len(found) < REPEATS and time.perf_counter() < deadline:
        started = time.perf_counter()
        await ask()
        found.append(time.perf_counter() - started)
    return found


async def _search(store: PgEventStore, wanted: RunFilter, given: Given) -> object:
    return await find_runs(store, TENANT, wanted, search(*given()))


async def _as_of(past: Past, run_id: UUID, position: int) -> object:
    return await past.run(TENANT, run_id, await past.point(position))


async def _zap_as_of(past: Past, zap_id: UUID, as_of: datetime | int) -> object:
    return await past.zap(TENANT, zap_id, await past.point(as_of))


async def _audit_page(pool: Pool, asked: Callable[[], AuditFilter]) -> object:
    return await list_entries(pool, TENANT, asked())


def _questions(store: PgEventStore, ids: list[UUID], runs: int, head: int) -> Iterator[tuple[str, Ask]]:
    dice = random.Random(2)
    pool = store.pool
    recently = now() - timedelta(seconds=20)
    filters: dict[str, RunFilter] = {
        "all": RunFilter(),
        "a deep cursor": RunFilter(after=After(ids[len(ids) // 50])),
        "a zap": RunFilter(zap_ids=(ZAPS[3],)),
        "several zaps": RunFilter(zap_ids=tuple(ZAPS[:7])),
        "a version": RunFilter(zap_ids=(ZAPS[3],), zap_version=2),
        "failed": RunFilter(statuses=("failed",)),
        "failed, cancelled or timed out": RunFilter(statuses=("failed", "cancelled", "timed_out")),
        "failed, of a zap": RunFilter(statuses=("failed",), zap_ids=(ZAPS[3],)),
        "an error code": RunFilter(error_code="http_501"),
        "a step": RunFilter(step_id="send"),
        "a source": RunFilter(source="schedule"),
        "not recovered": RunFilter(statuses=("failed",), recovered=False),
        "from": RunFilter(from_=recently),
        "finished from": RunFilter(finished_from=recently),
        "longer than": RunFilter(min_duration_ms=1e9),
        "slowest first": RunFilter(sort="duration_ms"),
        "last ended first": RunFilter(sort="finished_at"),
        "a search key, one run": RunFilter(keys=search(None, [f"keys.order={runs // 3}"]).keys),
        "a search key, 1 in 10": RunFilter(keys=search(None, ["keys.country=SE"]).keys),
        "a search key, 0.1 % by a range": RunFilter(keys=search(None, [f"keys.order<{runs // 1_000}"]).keys),
        "two search keys": RunFilter(keys=search(None, ["keys.country=SE", f"keys.order>{runs // 2}"]).keys),
        "sorted by a search key": RunFilter(sort="key", sort_key="order"),
        "slowest of a zap": RunFilter(sort="duration_ms", zap_ids=(ZAPS[3],)),
    }
    for what, wanted in filters.items():
        yield f"list: {what}", partial(list_runs, pool, TENANT, wanted)
    yield "count: all, to 10,000", lambda: count_runs(pool, TENANT, RunFilter(limit=10_001))
    yield "detail", lambda: run_reading.get(store, TENANT, dice.choice(ids))
    past = Past(store)
    yield "detail, as of a position", lambda: _as_of(past, dice.choice(ids), head)
    edits = head - len(ZAPS) * EDITS
    yield "a zap, as of a position", lambda: _zap_as_of(past, dice.choice(ZAPS), dice.randrange(edits, head))
    yield "a zap, as of a time", lambda: _zap_as_of(past, dice.choice(ZAPS), now() - timedelta(seconds=1))
    audits: dict[str, Callable[[], AuditFilter]] = {
        "newest": lambda: AuditFilter(limit=21),
        "a deep cursor": lambda: AuditFilter(limit=21, before=dice.randrange(edits, head)),
        "a person": lambda: AuditFilter(limit=21, actor=(f"user:{TENANT}",), before=dice.randrange(edits, head)),
        "a zap": lambda: AuditFilter(limit=21, entity=dice.choice(ZAPS), before=dice.randrange(edits, head)),
        "a type": lambda: AuditFilter(limit=21, type="zap.published"),
        "a time": lambda: AuditFilter(limit=21, to=recently),
        "words": lambda: AuditFilter(limit=21, q=f"Orders {dice.randrange(EDITS // 4)}"),
    }
    for what, wished in audits.items():
        yield f"audit: {what}", partial(_audit_page, pool, wished)
    searches: dict[str, Given] = {
        "where: one run": lambda: (None, [f"trigger.body.order.id={dice.randrange(runs)}"]),
        "where: 1 in 1,000": lambda: (None, [f"trigger.body.customer.id=c-{dice.randrange(997)}"]),
        "where: 1 in 10": lambda: (None, ["trigger.body.customer.country=SE"]),
        "where: nothing": lambda: (None, ["trigger.body.customer.id=nobody"]),
        "where: 0.1 % by a range": lambda: (None, ["trigger.body.order.total>999"]),
        "where: half by a range": lambda: (None, ["trigger.body.order.total>500"]),
        "where: two values": lambda: (None, ["trigger.body.customer.country=SE", "trigger.body.customer.id=c-7"]),
        "where: another value": lambda: (None, ["trigger.body.customer.country!=SE"]),
        "where: contains": lambda: (None, [f"steps.send.output.body.receipt~{dice.randrange(runs)}"]),
        "q: a rare word": lambda: (f"r-{dice.randrange(runs)}", []),
        "q: a frequent word": lambda: ("word1", []),
        "q: rare and frequent": lambda: (f"word1 word{dice.randrange(5_000, 50_000)}", []),
        "q: a beginning": lambda: (f"word{dice.randrange(10, 99)}*", []),
        "q: a phrase": lambda: ('"target is tired"', []),
    }  # fmt: skip
    failed = RunFilter(statuses=("failed",), zap_ids=(ZAPS[3],))
    for what, given in searches.items():
        yield what, partial(_search, store, RunFilter(), given)
        yield f"{what}; failed, of a zap", partial(_search, store, failed, given)
    yield (
        "count: where, 1 in 10",
        lambda: count_found(store, TENANT, RunFilter(limit=10_000), search(None, ["trigger.body.customer.country=SE"])),
    )
    tomorrow = now() + timedelta(days=1)
    for width, zap in (("day", None), ("hour", None), ("hour", ZAPS[3])):
        asked = Asked(zap_id=zap, width=width, since=tomorrow - timedelta(days=31), until=tomorrow)  # type: ignore[arg-type]  # one of them
        what = f"stats: a month by {width}, {'a zap' if zap else 'all zaps'}"
        yield what, partial(read_stats, pool, TENANT, asked)


async def _sizes(dsn: str, runs: int) -> list[Row]:
    connection = await asyncpg.connect(dsn)
    found = []
    for what, pattern in (
        ("the log", "es.%"), ("the run list", "rm_run_list_v%"), ("the search index", "rm_run_search_v%"),
        ("two search keys", "rm_run_keys_v%"),
        ("the audit", "rm_audit_v%"),
        ("statistics", "rm_stats_v%"),
    ):  # fmt: skip
        size = await connection.fetchval(
            """select sum(pg_total_relation_size(c.oid)) from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where c.relkind = 'r' and n.nspname || '.' || c.relname like $1""",
            pattern if "." in pattern else f"{pattern}.%",
        )
        found.append(Row(what=f"on disk: {what}", rate=float(size or 0) / runs, unit="bytes a run"))
    segments = await connection.fetch("select size from rm.run_search where first = ''::bytea")
    found.append(Row(what="segments of the search index", rate=len(segments), unit="segments"))
    await connection.close()
    return found
