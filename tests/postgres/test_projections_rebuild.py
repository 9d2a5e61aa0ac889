"""Rebuilds: equal to what was live, while it stays live, and no harm done by a crash."""

import asyncio

import msgspec
import pytest

from projections.engine import rebuild as rebuilding
from projections.engine.engine import Engine, GateMoved, NewerRelease
from projections.engine.freshness import wait_until
from projections.engine.projection import Projection
from projections.engine.rebuild import rebuild
from projections.engine.registry import PROJECTIONS
from projections.engine.verify import verify_read_models
from projections.run_filter import RunFilter
from projections.run_list import RUN_LIST
from projections.run_query import list_runs
from sql.log.event_store import PgEventStore
from sql.postgres.pool import Connection
from sql.process.clock import new_id
from tests.support.projected import PARTITIONS, batch_of, following, live_many, rows_of, tamper

TENANT = new_id()


async def builds(connection: Connection) -> list[str]:
    return [
        row[0] for row in await connection.fetch("select nspname from pg_namespace where nspname ~ '^rm_' order by 1")
    ]


def builds_with_run_list(*run_list: int, others: int = 1) -> list[str]:
    """One build of each projection, and these of the run list."""
    versions = {projection.name: (others,) for projection in PROJECTIONS} | {"run_list": run_list}
    return [f"rm_{name}_v{version}" for name in sorted(versions) for version in versions[name]]


async def test_a_rebuild_equals_what_was_live(
    dsn: str, engine: Engine, store: PgEventStore, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "PAGE", 7)
    await live_many(store, TENANT, 40)
    log = await store.read_log(0, 1_000)
    await engine.apply(batch_of(log))
    live = await rows_of(connection)
    seen: list[tuple[int, int]] = []
    head = await rebuild(dsn, RUN_LIST, PARTITIONS, lambda position, head: seen.append((position, head)))
    assert head == len(log)
    assert seen == sorted(seen)
    assert seen[-1] == (head, head)
    assert await rows_of(connection) == live
    assert await builds(connection) == builds_with_run_list(2)


async def test_the_projector_goes_on_through_rebuilds_and_nothing_is_lost_or_doubled(
    dsn: str, engine: Engine, store: PgEventStore
) -> None:
    """Each event is handed to the engine once, as Kafka does: what a switch skipped, nobody would bring again."""

    async def project() -> None:
        after = 0
        while events := await store.read_log(after, 3):
            while True:
                try:
                    await engine.apply(batch_of(events))
                    break
                except GateMoved:
                    await engine.gates(range(PARTITIONS))
            after = events[-1].position

    async def rebuild_often() -> None:
        for _ in range(8):
            await rebuild(dsn, RUN_LIST, PARTITIONS)

    await live_many(store, TENANT, 100)
    await asyncio.gather(project(), rebuild_often(), live_many(store, TENANT, 50, seed=2))
    await project()
    assert await verify_read_models(dsn, PROJECTIONS, PARTITIONS) == []


async def test_a_switch_waits_for_the_batch_that_holds_the_gates_and_includes_it(
    dsn: str, engine: Engine, store: PgEventStore, connection: Connection
) -> None:
    await live_many(store, TENANT, 10)
    log = await store.read_log(0, 1_000)
    await engine.apply(batch_of(log[:5]))
    async with connection.transaction():
        await connection.execute("select * from proj.gates where consumer = 'run_list' for update")
        running = asyncio.create_task(rebuild(dsn, RUN_LIST, PARTITIONS))
        async with asyncio.timeout(60):
            while not await connection.fetchval(
                "select exists (select from pg_locks where not granted and locktype in ('tuple', 'transactionid'))"
            ):
                assert not running.done()
        await live_many(store, TENANT, 10, seed=3)
    head = await running
    assert head == await store.head()
    with pytest.raises(GateMoved):
        await engine.apply(batch_of(log))
    gates = await engine.gates(range(PARTITIONS))
    assert max(gates.values()) < head, "the zap list is still where it was"
    await engine.apply(batch_of(await store.read_log(0, 1_000)))
    assert await verify_read_models(dsn, PROJECTIONS, PARTITIONS) == []


async def ten_runs(store: PgEventStore, engine: Engine, connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    """The rows of all read models after ten runs."""
    await live_many(store, TENANT, 10)
    await engine.apply(batch_of(await store.read_log(0, 1_000)))
    return await rows_of(connection)


async def test_a_crash_in_the_middle_leaves_the_live_build_and_the_next_rebuild_clears_up(
    dsn: str, engine: Engine, store: PgEventStore, connection: Connection
) -> None:
    live = await ten_runs(store, engine, connection)
    with pytest.raises(KeyboardInterrupt):
        await rebuild(dsn, RUN_LIST, PARTITIONS, _crash)
    assert await builds(connection) == builds_with_run_list(1, 2)
    assert await rows_of(connection) == live
    await rebuild(dsn, RUN_LIST, PARTITIONS)
    assert await builds(connection) == builds_with_run_list(2)
    assert await rows_of(connection) == live


def _crash(_position: int, _head: int) -> None:
    raise KeyboardInterrupt


async def test_a_poison_event_in_the_log_is_parked_by_the_rebuild(
    dsn: str, engine: Engine, store: PgEventStore, connection: Connection
) -> None:
    runs = await live_many(store, TENANT, 10)
    await tamper(dsn, "update es.events set data = '[]' where position = 1")
    await rebuild(dsn, RUN_LIST, PARTITIONS)
    assert len(await list_runs(store.pool, TENANT, RunFilter(limit=100))) == len(runs) - 1
    assert await connection.fetchval("select min(position) from proj.parked where version = 2") == 1
    await rebuild(dsn, RUN_LIST, PARTITIONS)
    assert await connection.fetchval("select array_agg(distinct version) from proj.parked") == [3]


async def test_a_new_definition_is_built_at_the_start_by_one_of_many(
    dsn: str, engine: Engine, store: PgEventStore, connection: Connection
) -> None:
    await live_many(store, TENANT, 10)
    newer: list[Projection] = [msgspec.structs.replace(projection, definition=9) for projection in PROJECTIONS]
    engines = [Engine(dsn, newer, PARTITIONS) for _ in range(3)]
    await asyncio.gather(*(starting.start() for starting in engines))
    assert await builds(connection) == builds_with_run_list(2, others=2)
    assert len(await list_runs(store.pool, TENANT, RunFilter(limit=100))) == 10


async def test_another_number_of_partitions_asks_for_new_gates(
    dsn: str, engine: Engine, store: PgEventStore, connection: Connection
) -> None:
    live = await ten_runs(store, engine, connection)
    async with Engine(dsn, PROJECTIONS, 5) as repartitioned:
        await repartitioned.start()
        head = await store.head()
        assert await repartitioned.gates(range(5)) == dict.fromkeys(range(5), head)
    assert await rows_of(connection) == live


async def test_rebuilds_of_all_read_models_under_load_equal_what_is_live_row_by_row(
    dsn: str, store: PgEventStore, connection: Connection
) -> None:
    """Nothing stops answering meanwhile."""
    await live_many(store, TENANT, 10)
    async with following(dsn, store):
        stop, answers = asyncio.Event(), 0

        async def load() -> None:
            seed = 10
            while not stop.is_set():
                await live_many(store, TENANT, 10, seed=seed)
                seed += 1

        async def ask() -> None:
            nonlocal answers
            while not stop.is_set():
                await list_runs(store.pool, TENANT, RunFilter())
                answers += 1

        loading, asking = asyncio.create_task(load()), asyncio.create_task(ask())
        try:
            for projection in PROJECTIONS:
                assert await rebuild(dsn, projection, PARTITIONS) > 0
        finally:
            stop.set()
            await asyncio.gather(loading, asking)
        head = await store.head()
        for projection in PROJECTIONS:
            assert await wait_until(store.pool, projection.name, head, 60), projection.name
        live = await rows_of(connection)
        assert await verify_read_models(dsn, PROJECTIONS, PARTITIONS) == []
        for projection in PROJECTIONS:
            await rebuild(dsn, projection, PARTITIONS)
        assert await rows_of(connection) == live
    assert answers > len(PROJECTIONS)


async def test_an_older_release_switches_back_to_its_definition_by_a_rebuild(
    dsn: str, engine: Engine, store: PgEventStore, connection: Connection
) -> None:
    live = await ten_runs(store, engine, connection)
    newer = msgspec.structs.replace(RUN_LIST, definition=RUN_LIST.definition + 1)
    await rebuild(dsn, newer, PARTITIONS)
    async with Engine(dsn, PROJECTIONS, PARTITIONS) as older:
        await older.start()
        with pytest.raises(NewerRelease):
            await older.gates(range(PARTITIONS))
        await rebuild(dsn, RUN_LIST, PARTITIONS)
        assert await rows_of(connection) == live
        await live_many(store, TENANT, 10, seed=4)
        await older.gates(range(PARTITIONS))
        await older.apply(batch_of(await store.read_log(0, 1_000)))
    assert await verify_read_models(dsn, PROJECTIONS, PARTITIONS) == []
