"""Run history: lists, searches and statistics over many runs, and what they take on disk.

HISTORY_EVENTS says how many events are made (400,000 without it); four are a run, with a payload of 0.5 to 3 KB.
"""

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from domain.hook.request import json_request
from domain.log.event import Append, Appended, Event, Metadata, NewEvent, StreamKind
from domain.run import events as run_events
from domain.search.query import search
from domain.zap.events import ZapPublished
from domain.zap.settings import SearchKey, ZapSettings
from projections import run_reading
from projections.engine.rebuild import rebuild
from projections.past import Past
from projections.recoveries import RECOVERIES
from projections.run_found import count_found, find_runs
from projections.run_keys import RUN_KEYS
from projections.run_list import RUN_LIST
from projections.run_query import After, RunFilter, count_runs, list_runs
from projections.run_search import RUN_SEARCH
from projections.stats import STATS, Asked, read_stats
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id, now
from tests.benchmarks.instance import instance
from tests.benchmarks.support import PARTITIONS, TENANT, Report, Row, database_settings
from tests.support.builders import a_definition, a_zap_created

EVENTS = int(os.environ.get("HISTORY_EVENTS", "400000"))
EVENTS_PER_RUN = 4
ZAPS = [new_id() for _ in range(20)]
COUNTRIES = ["DE", "FR", "IT", "ES", "SE", "NO", "PL", "NL", "BE", "AT"]
WORDS = [f"word{n}" for n in range(50_000)]
REPEATS = 100
PATIENCE_S = 1.0
"""For the repeats of one question."""

Ask = Callable[[], Awaitable[object]]
Given = Callable[[], tuple[str | None, list[str]]]


async def run(*, quick: bool) -> Report:
    """Latencies of each question, rates of building, and bytes a run."""
    events = 20_000 if quick else EVENTS
    async with instance() as running:
        async with PgEventStore(running.dsn, "history", read_connections=4, patience_s=60) as store:
            await _declare(store)
            ids = await _fill(store, events // EVENTS_PER_RUN)
            rows = [
                await _built(running.dsn, projection)
                for projection in (RECOVERIES, RUN_KEYS, RUN_LIST, STATS, RUN_SEARCH)
            ]
            await _spread(running.dsn)
            for what, ask in _questions(store, ids):
                rows.append(Row(what=what, latencies_s=await _asked(ask)))
            rows += await _sizes(running.dsn, len(ids))
        settings = (
            f"{await database_settings(running.dsn)}; {events:,} events, {len(ids):,} runs of 20 zaps, one tenant."
        )
    return Report(settings, rows)


async def _declare(store: PgEventStore) -> None:
    """All zaps have two search keys."""
    keys = SearchKey("order", "trigger.body.order.id", "number"), SearchKey("country", "trigger.body.customer.country")
    definition = msgspec.structs.replace(a_definition("send"), settings=ZapSettings(search_keys=keys))
    for zap_id in ZAPS:
        events = a_zap_created(definition=definition), ZapPublished(number=1, name="Orders", definition=definition)
        appended = await store.append(
            Append(
                kind=StreamKind.CORE,
                stream_id=zap_id,
                expected=0,
                tenant_id=TENANT,
                ordering_key=zap_id,
                events=tuple(NewEvent(new_id(), event) for event in events),
                metadata=Metadata(actor="test"),
            )
        )
        assert isinstance(appended, Appended)


async def _fill(store: PgEventStore, runs: int) -> list[UUID]:
    dice = random.Random(1)
    ids: list[UUID] = []
    numbers = iter(range(runs))

    async def client() -> None:
        for n in numbers:
            command = _run(n, dice)
            ids.append(command.stream_id)
            assert isinstance(await store.append(command), Appended)

    await asyncio.gather(*(client() for _ in range(256)))
    return sorted(ids)


def _run(n: int, dice: random.Random) -> Append:
    zap_id = ZAPS[min(int(dice.expovariate(0.3)), 19)]
    body: dict[str, Any] = {
        "order": {"id": n, "total": round(dice.uniform(1, 1_000), 2), "currency": "EUR"},
        "customer": {"id": f"c-{n % 997}", "country": dice.choice(COUNTRIES)},
        "lines": [{"sku": f"sku-{dice.randrange(5_000)}"} for _ in range(dice.randint(1, 3))],
        "note": " ".join(WORDS[min(int(dice.paretovariate(0.5)), 49_999)] for _ in range(dice.randint(20, 60))),
        "padding": "x" * dice.randrange(0, 1_500),
    }  # fmt: skip
    attempt: dict[str, Any] = {
        "step_id": "send",
        "attempt": 1,
        "started_at": now(),
        "duration_ms": dice.expovariate(0.02),
    }
    failed = n % 50 == 0
    failure = run_events.Failure(code=f"http_{500 + n % 3}", message="the target is tired")
    happened: list[Event] = [
        run_events.RunRequested(zap_id=zap_id, zap_version=1 + n % 4, source="webhook", request=json_request(body)),
        run_events.StepStarted(step_id="send", attempt=1, started_at=now()),
        run_events.StepFailed(**attempt, failure=failure)
        if failed
        else run_events.StepSucceeded(**attempt, output={"status": 200, "body": {"receipt": f"r-{n}", "ok": True}}),
        run_events.RunFailed(zap_id=zap_id, step_id="send", code=failure.code, message=failure.message)
        if failed
        else run_events.RunCompleted(zap_id=zap_id),
    ]
    run_id = new_id()
    return Append(
        kind=StreamKind.RUN,
        stream_id=run_id,
        expected=0,
        tenant_id=TENANT,
        ordering_key=run_id,
        events=tuple(NewEvent(new_id(), event) for event in happened),
        metadata=Metadata(actor="hook", correlation_id=run_id),
    )


async def _built(dsn: str, projection: Any) -> Row:
    started = time.perf_counter()
    head = await rebuild(dsn, projection, 1 if projection is RUN_SEARCH else PARTITIONS)
    return Row(what=f"rebuild {projection.name}", rate=head / (time.perf_counter() - started), unit="events/s")


async def _spread(dsn: str) -> None:
    """The statistics of one day as those of 31 days, by hours, too."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        """insert into rm.stats select tenant_id, zap_id, width, at - n * interval '1 hour', step_id, cell, sum(count)
           from rm.stats, generate_series(1, 744) n where width = 'hour'
           group by 1, 2, 3, 4, 5, 6 on conflict do nothing"""
    )
    await connection.execute(
        """insert into rm.stats select tenant_id, zap_id, width, at - n * interval '1 day', step_id, cell, sum(count)
           from rm.stats, generate_series(1, 31) n where width = 'day'
           group by 1, 2, 3, 4, 5, 6 on conflict do nothing"""
    )
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


def _questions(store: PgEventStore, ids: list[UUID]) -> Iterator[tuple[str, Ask]]:
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
        "a search key, one run": RunFilter(keys=search(None, [f"keys.order={len(ids) // 3}"]).keys),
        "a search key, 1 in 10": RunFilter(keys=search(None, ["keys.country=SE"]).keys),
        "a search key, 0.1 % by a range": RunFilter(keys=search(None, [f"keys.order<{len(ids) // 1_000}"]).keys),
        "two search keys": RunFilter(keys=search(None, ["keys.country=SE", f"keys.order>{len(ids) // 2}"]).keys),
        "sorted by a search key": RunFilter(sort="key", sort_key="order"),
        "slowest of a zap": RunFilter(sort="duration_ms", zap_ids=(ZAPS[3],)),
    }
    for what, wanted in filters.items():
        yield f"list: {what}", partial(list_runs, pool, TENANT, wanted)
    yield "count: all, to 10,000", lambda: count_runs(pool, TENANT, RunFilter(limit=10_001))
    yield "detail", lambda: run_reading.get(store, TENANT, dice.choice(ids))
    past = Past(store)
    yield "detail, as of a position", lambda: _as_of(past, dice.choice(ids), EVENTS_PER_RUN * len(ids))
    searches: dict[str, Given] = {
        "where: one run": lambda: (None, [f"trigger.body.order.id={dice.randrange(len(ids))}"]),
        "where: 1 in 1,000": lambda: (None, [f"trigger.body.customer.id=c-{dice.randrange(997)}"]),
        "where: 1 in 10": lambda: (None, ["trigger.body.customer.country=SE"]),
        "where: nothing": lambda: (None, ["trigger.body.customer.id=nobody"]),
        "where: 0.1 % by a range": lambda: (None, ["trigger.body.order.total>999"]),
        "where: half by a range": lambda: (None, ["trigger.body.order.total>500"]),
        "where: two values": lambda: (None, ["trigger.body.customer.country=SE", "trigger.body.customer.id=c-7"]),
        "where: another value": lambda: (None, ["trigger.body.customer.country!=SE"]),
        "where: contains": lambda: (None, [f"steps.send.output.body.receipt~{dice.randrange(len(ids))}"]),
        "q: a rare word": lambda: (f"r-{dice.randrange(len(ids))}", []),
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
