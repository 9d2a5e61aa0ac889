"""Lists: pages in order, every filter, indexes under each, and freshness that can be waited for."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.job.job import STATUSES, Selection
from domain.log.event import StreamKind
from domain.run.events import RunCompleted
from projections.engine.engine import Engine
from projections.engine.freshness import wait_until
from projections.engine.registry import PROJECTIONS
from projections.run_filter import After, RunFilter, oldest_query, page_query
from projections.run_query import count_runs, list_runs, oldest_runs
from projections.zap_list import list_zaps
from sql.log.event_store import PgEventStore
from sql.postgres.pool import Connection, connect
from sql.postgres.queries import Queries
from sql.process.clock import new_id
from tests.support.builders import a_zap_created
from tests.support.eventually import eventually
from tests.support.projected import append, batch_of, failed, live_many, requested, succeeded

TENANT = UUID("00000000-0000-7000-8000-000000000001")
ZAP = UUID("00000000-0000-7000-8000-000000000002")
LAST = UUID("ffffffff-ffff-ffff-ffff-ffffffffffff")
ZAP_WITH_REPLAYS = UUID("00000000-0000-7000-8000-000000000003")
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
"""When the first of the many runs started; they follow a second apart."""


@pytest.fixture
async def many(dsn: str, engine: Engine) -> AsyncIterator[Connection]:
    """20,000 runs of two tenants and ten zaps: one in a hundred failed, one in two hundred is a replay."""
    connection = await connect(dsn, "test")
    await connection.execute(
        """
        insert into rm.run_list
        select format('00000000-0000-7000-8000-00000000000%s', 1 + n % 2 * 7)::uuid,
               (left(es.first_uuid_at(at)::text, 14) || '7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
               format('00000000-0000-7000-8000-00000000000%s', n / 2 % 8 + 2)::uuid, 1 + (n / 16 % 10 = 3)::int,
               case when n % 100 = 0 then 'failed' else 'completed' end,
               case when n % 200 = 2 then 'replay' else 'webhook' end,
               at, at + n * interval '1 ms', n,
               case when n % 100 = 0 then 'http_' || 500 + n % 3 end, case when n % 100 = 0 then 'no answer' end,
               case when n % 100 = 0 then 'step_' || n % 7 end, 1,
               case when n % 200 = 2 then '00000000-0000-7000-8000-00000000000b'::uuid end,
               null, null, null, n, 3
        from (select n, $$2026-01-01T00:00:00Z$$::timestamptz + n * interval '1 second' as at
              from generate_series(0, 19999) n) runs
        """
    )
    await connection.execute("analyze rm_run_list_v1.run_list")
    yield connection
    await connection.close()


SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
SOME_ZAPS = tuple(UUID(f"00000000-0000-7000-8000-00000000000{n}") for n in (2, 4, 6))
WANTED = {
    "all": (RunFilter(), "run_list_roots"),
    "oldest first": (RunFilter(order="asc"), "run_list_roots"),
    "older": (RunFilter(after=After(UUID("019b7700-0000-7000-8000-000000000000"))), "run_list_roots"),
    "completed": (RunFilter(statuses=("completed",)), "run_list_roots"),
    "failed": (RunFilter(statuses=("failed",)), "run_list_not_completed"),
    "failed or cancelled": (RunFilter(statuses=("failed", "cancelled")), "run_list_not_completed"),
    "failed of a zap": (RunFilter(statuses=("failed",), zap_ids=(ZAP,)), "run_list_zap_not_completed"),
    "failed at a step": (RunFilter(step_id="step_3"), "run_list_step"),
    "failed with a code": (RunFilter(error_code="http_501", statuses=("failed",)), "run_list_error"),
    "failed with a code at a step": (RunFilter(step_id="step_3", error_code="http_501"), "run_list_step"),
    "replays": (RunFilter(source="replay"), "run_list_not_webhook"),
    "of a zap": (RunFilter(zap_ids=(ZAP,)), "run_list_zap"),
    "of some zaps": (RunFilter(zap_ids=SOME_ZAPS), "run_list_zap"),
    "of a version": (RunFilter(zap_ids=(ZAP,), zap_version=2), "run_list_version"),
    "of an hour": (RunFilter(from_=FIRST + HOUR, to=FIRST + 2 * HOUR), "run_list_roots"),
    "of an hour, of a zap": (RunFilter(from_=FIRST + HOUR, to=FIRST + 2 * HOUR, zap_ids=(ZAP,)), "run_list_zap"),
    "slowest first": (RunFilter(sort="duration_ms"), "run_list_duration"),
    "slower than": (RunFilter(min_duration_ms=19_900), "run_list_duration"),
    "about as slow as": (RunFilter(min_duration_ms=100, max_duration_ms=200, order="asc"), "run_list_duration"),
    "last ended first": (RunFilter(sort="finished_at"), "run_list_finished"),
    "first ended first": (RunFilter(sort="finished_at", order="asc"), "run_list_finished"),
    "ended within minutes": (
        RunFilter(finished_from=FIRST + HOUR, finished_to=FIRST + HOUR + 200 * SECOND), "run_list_finished",
    ),
}  # fmt: skip
BY = {"started_at": "run_id", "finished_at": "finished_at", "duration_ms": "duration_ms"}


async def test_a_page_reads_few_rows_by_the_right_index_whatever_plan_is_cached(
    many: Connection, engine: Engine
) -> None:
    for name, (wanted, index) in WANTED.items():
        page = page_query(TENANT, wanted)
        # Where ranges are asked for, plans are always made for their values.
        for mode in ("force_custom_plan",) if wanted.in_ranges else ("force_custom_plan", "force_generic_plan"):
            await many.execute(f"set plan_cache_mode = {mode}")
            plan = await many.fetchval("explain (analyze, format json) " + page.query, *page.arguments)
            scans = list(scans_of(json.loads(plan)[0]["Plan"]))
            assert {scan["Index Name"] for scan in scans} == {index}, (name, mode, scans)
            reads = [(s["Actual Rows"] + s.get("Rows Removed by Filter", 0)) * s["Actual Loops"] for s in scans]
            assert sum(reads) <= 400, (name, mode, scans)


def fits(row: Any, wanted: RunFilter) -> bool:
    """Whether a row is meant."""
    return (
        (wanted.zap_ids is None or row["zap_id"] in wanted.zap_ids)
        and (not wanted.statuses or row["status"] in wanted.statuses)
        and (wanted.zap_version is None or row["zap_version"] == wanted.zap_version)
        and (wanted.finished_from is None or row["finished_at"] >= wanted.finished_from)
        and (wanted.finished_to is None or row["finished_at"] < wanted.finished_to)
        and (wanted.min_duration_ms is None or row["duration_ms"] >= wanted.min_duration_ms)
        and (wanted.max_duration_ms is None or row["duration_ms"] <= wanted.max_duration_ms)
        and (wanted.source is None or row["source"] == wanted.source)
        and (wanted.step_id is None or row["error_step"] == wanted.step_id)
        and (wanted.error_code is None or row["error_code"] == wanted.error_code)
        and (wanted.from_ is None or row["started_at"] >= wanted.from_)
        and (wanted.to is None or row["started_at"] < wanted.to)
    )


async def test_each_filter_gives_what_a_plain_search_gives(
    many: Connection, engine: Engine, store: PgEventStore
) -> None:
    everything = list(await many.fetch("select * from rm.run_list where tenant_id = $1", TENANT))
    for name, (wanted, _index) in WANTED.items():
        expected = sorted(
            (row for row in everything if fits(row, wanted)),
            key=lambda row: (row[BY[wanted.sort]], row["run_id"]),
            reverse=wanted.order == "desc",
        )
        if wanted.after:
            expected = [row for row in expected if row["run_id"] < wanted.after.id]
        assert expected, name
        first = await list_runs(store.pool, TENANT, wanted)
        assert [run.id for run in first] == [row["run_id"] for row in expected[: wanted.limit]], name
        value = None if wanted.sort == "started_at" else getattr(first[-1], wanted.sort)
        rest = msgspec.structs.replace(wanted, after=After(first[-1].id, value), limit=30)
        found = [run.id for run in await list_runs(store.pool, TENANT, rest)]
        assert found == [row["run_id"] for row in expected[wanted.limit : wanted.limit + 30]], name
        everyone = msgspec.structs.replace(wanted, after=None, limit=1_000_000)
        assert await count_runs(store.pool, TENANT, everyone) == len([r for r in everything if fits(r, wanted)]), name


CHOICES: dict[str, list[Any]] = {
    "zap_ids": [None, (), (ZAP,), SOME_ZAPS],
    "statuses": [(), ("completed",), ("failed",), ("failed", "waiting"), ("failed", "completed")],
    "source": [None, None, "webhook", "replay"],
    "from_": [None, FIRST + HOUR],
    "to": [None, FIRST + 2 * HOUR],
    "finished_from": [None, FIRST + HOUR],
    "finished_to": [None, FIRST + 2 * HOUR],
    "min_duration_ms": [None, 1_000.0],
    "max_duration_ms": [None, 10_000.0],
    "zap_version": [None, None, 1, 2],
    "step_id": [None, None, "step_3"],
    "error_code": [None, None, "http_501"],
    "recovered": [None, True, False],
    "parent": [None, None, None, ZAP],
    "sort": ["started_at", "finished_at", "duration_ms"],
    "order": ["asc", "desc"],
}


async def test_filters_go_together_in_any_way(many: Connection, engine: Engine, store: PgEventStore) -> None:
    everything = await many.fetch("select * from rm.run_list where tenant_id = $1", TENANT)
    dice = random.Random(7)
    for _ in range(80):
        wanted = RunFilter(**{name: dice.choice(choices) for name, choices in CHOICES.items()})
        nothing = wanted.recovered or wanted.parent
        ids = {row["run_id"] for row in everything if fits(row, wanted) and not nothing}
        assert await count_runs(store.pool, TENANT, msgspec.structs.replace(wanted, limit=1_000_000)) == len(ids)
        page = [run.id for run in await list_runs(store.pool, TENANT, wanted)]
        assert len(page) == min(20, len(ids))
        assert set(page) <= ids


WHEN_OPEN, WHEN_ENDED = STATUSES["cancel"], STATUSES["replay"]
TAKEN = {
    "all that ended": (Selection(source="webhook"), WHEN_ENDED, {"run_list_roots"}),
    "of a zap": (Selection(zap_id=ZAP), WHEN_ENDED, {"run_list_zap"}),
    "failed": (Selection(status="failed"), ("failed",), {"run_list_not_completed"}),
    "open": (Selection(source="webhook"), WHEN_OPEN, {"run_list_not_completed"}),
    "failed of a zap": (
        Selection(zap_id=ZAP, status="failed"), ("failed",), {"run_list_not_completed", "run_list_zap_not_completed"},
    ),
    "with a code": (
        Selection(error_code="http_501"), WHEN_ENDED, {"run_list_not_completed", "run_list_error"},
    ),
    "at a step": (
        Selection(step_id="step_3", zap_id=ZAP), WHEN_ENDED,
        {"run_list_not_completed", "run_list_zap_not_completed", "run_list_step"},
    ),
    "replays": (Selection(source="replay"), WHEN_ENDED, {"run_list_not_webhook"}),
    "replays of a zap": (Selection(source="replay", zap_id=ZAP_WITH_REPLAYS), WHEN_ENDED, {"run_list_not_webhook"}),
    "of an hour": (
        Selection(from_=FIRST + timedelta(hours=1), to=FIRST + timedelta(hours=2)), WHEN_ENDED, {"run_list_roots"},
    ),
}  # fmt: skip
"""What jobs may be asked for, and the indexes that are good for it."""


async def test_what_a_job_takes_next_is_read_by_a_right_index_whatever_plan_is_cached(
    many: Connection, engine: Engine
) -> None:
    for name, (selection, statuses, good) in TAKEN.items():
        wanted = msgspec.structs.replace(RunFilter.of(selection, statuses), limit=20)
        oldest = oldest_query(TENANT, wanted, after=None, before=LAST)
        for mode in ("force_custom_plan", "force_generic_plan"):
            await many.execute(f"set plan_cache_mode = {mode}")
            plan = await many.fetchval("explain (analyze, format json) " + oldest.query, *oldest.arguments)
            scans = list(scans_of(json.loads(plan)[0]["Plan"]))
            assert {scan["Index Name"] for scan in scans} <= good, (name, mode, scans)
            read = sum(scan["Actual Rows"] * scan["Actual Loops"] for scan in scans)
            passed_over = sum(scan.get("Rows Removed by Filter", 0) for scan in scans)
            assert 0 < read + passed_over <= 400 or name == "open", (name, mode, scans)


def scans_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "Index Name" in plan:
        yield plan
    for inner in plan.get("Plans", []):
        if inner["Parent Relationship"] != "SubPlan":  # whether a run was made up for: nothing here was
            yield from scans_of(inner)


async def test_a_job_takes_what_a_plain_search_gives_oldest_first_page_by_page_and_counts_the_same(
    many: Connection, engine: Engine, store: PgEventStore
) -> None:
    everything = list(await many.fetch("select * from rm.run_list where tenant_id = $1", TENANT))
    for name, (selection, statuses, _index) in TAKEN.items():
        expected = sorted(row["run_id"] for row in everything if fits(row, RunFilter.of(selection, statuses)))
        assert bool(expected) == (name != "open"), name
        found: list[UUID] = []
        wanted = RunFilter.of(selection, statuses)
        some, all_ = [msgspec.structs.replace(wanted, limit=limit) for limit in (997, 100_000)]
        while page := await oldest_runs(store.pool, TENANT, some, after=found[-1] if found else None, before=LAST):
            found += page
        assert found == expected, name
        for limit in (1_000_000, 3):
            count = await count_runs(store.pool, TENANT, msgspec.structs.replace(wanted, limit=limit))
            assert count == min(limit, len(expected)), name
        until = expected[len(expected) // 2] if expected else LAST
        first = await oldest_runs(store.pool, TENANT, all_, after=None, before=until)
        assert first == expected[: len(expected) // 2], name


@pytest.mark.parametrize("year", [1, 1969, 1970, 9999])
async def test_times_far_from_any_run_are_no_trouble(
    many: Connection, engine: Engine, store: PgEventStore, year: int
) -> None:
    then = datetime(year, 6, 1, tzinfo=UTC)
    assert len(await list_runs(store.pool, TENANT, RunFilter(from_=then))) == (20 if year < 2000 else 0)
    assert len(await list_runs(store.pool, TENANT, RunFilter(to=then))) == (0 if year < 2000 else 20)


async def test_pages_follow_one_another_without_gap_or_repeat(engine: Engine, store: PgEventStore) -> None:
    runs = await live_many(store, TENANT, 45)
    await engine.apply(batch_of(await store.read_log(0, 1_000)))
    found: list[UUID] = []
    while page := await list_runs(store.pool, TENANT, RunFilter(after=After(found[-1]) if found else None, limit=7)):
        found += [run.id for run in page]
    assert found == sorted(runs, reverse=True)


async def test_every_status_a_run_passes_through_is_shown_with_its_error(engine: Engine, store: PgEventStore) -> None:
    run, zap = new_id(), new_id()
    seen = []
    for events in ([requested(zap)], [succeeded()], [*failed()]):
        await append(store, run, *events, tenant_id=TENANT, key=zap)
        await engine.apply(batch_of(await store.read_log(0, 1_000)))
        (listed,) = await list_runs(store.pool, TENANT, RunFilter())
        seen.append((listed.status, listed.error.code if listed.error else None, listed.attempts))
    assert seen == [("queued", None, 0), ("running", None, 1), ("failed", "http_503", 2)]


async def test_zaps_are_paged_newest_first(engine: Engine, store: PgEventStore) -> None:
    zaps = [new_id() for _ in range(5)]
    for zap in zaps:
        await append(store, zap, a_zap_created(), tenant_id=TENANT, key=zap, kind=StreamKind.CORE)
    await engine.apply(batch_of(await store.read_log(0, 10)))
    first = [item.id for item in await list_zaps(store.pool, TENANT, before=None, limit=3)]
    rest = [item.id for item in await list_zaps(store.pool, TENANT, before=first[-1], limit=3)]
    assert first + rest == sorted(zaps, reverse=True)


async def test_waiting_for_an_event_ends_when_the_gate_of_its_partition_passes_it(
    engine: Engine, store: PgEventStore
) -> None:
    zap = new_id()
    position = await append(store, new_id(), requested(zap), RunCompleted(), tenant_id=TENANT, key=zap)
    assert not await wait_until(store.pool, "run_list", position, 0)
    waiting = asyncio.create_task(wait_until(store.pool, "run_list", position, 60))
    await engine.apply(batch_of(await store.read_log(0, 1)))
    assert not waiting.done()
    await engine.apply(batch_of(await store.read_log(0, 2)))
    assert await waiting
    assert await wait_until(store.pool, "run_list", position - 1, 0)


async def test_the_relay_hears_that_somebody_waits_and_of_nobody_who_need_not(
    engine: Engine, store: PgEventStore, connection: Connection
) -> None:
    heard = asyncio.Event()
    await connection.add_listener("relay", lambda *_said: heard.set())
    position = await append(store, new_id(), requested(ZAP), tenant_id=TENANT, key=ZAP)
    assert await wait_until(store.pool, "run_list", 0, 20)
    assert not heard.is_set()
    assert not await wait_until(store.pool, "run_list", position, 0.01)
    await eventually(heard.is_set)


async def test_waiting_for_the_future_ends_at_once_and_for_a_read_model_that_is_not_built_in_time(
    engine: Engine, store: PgEventStore
) -> None:
    assert not await wait_until(store.pool, "run_list", 10**9, 20)
    assert not await wait_until(store.pool, "no_list", 10**9, 20)
    position = await append(store, new_id(), requested(ZAP), tenant_id=TENANT, key=ZAP)
    assert not await wait_until(store.pool, "no_list", position, 0.05)
    assert await wait_until(store.pool, "run_list", 0, 20)


async def test_every_query_of_a_read_model_prepares_on_its_build(dsn: str, engine: Engine) -> None:
    """Those that other tables have are prepared in test_queries.py."""
    connection = await connect(dsn, "test", search_path="rm")
    for projection in PROJECTIONS:
        for name, sql in Queries(f"projections/{projection.name}.sql").items():
            if name != "create":
                await connection.prepare(sql)
    await connection.close()
