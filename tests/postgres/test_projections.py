"""The engine: every event takes effect exactly once, whoever else tries, and no bad event holds up the others."""

import asyncio
import random
from collections import Counter

import asyncpg
import msgspec
import pytest

from domain.log.event import StoredEvent, StreamKind
from domain.run.events import RunCompleted
from domain.zap.events import ZapDeleted, ZapEnabled, ZapPaused, ZapPublished
from projections.engine.engine import Engine, GateLost, GateMoved, NewerRelease
from projections.engine.registry import PROJECTIONS
from projections.run_filter import RunFilter
from projections.run_query import list_runs
from projections.zap_list import list_zaps
from sql.log.event_store import PgEventStore
from sql.postgres.pool import CONNECTION_ERRORS, Connection
from sql.process.clock import new_id
from tests.support.builders import a_definition, a_zap_created
from tests.support.eventually import eventually
from tests.support.projected import PARTITIONS, append, batch_of, live_many, requested, rows_of, succeeded

TENANT = new_id()
ALL = range(PARTITIONS)


async def parked(connection: Connection, projection: str | None = None) -> list[tuple[str, int]]:
    """What is parked, of one projection or of all: each that takes an event parks it by itself."""
    rows = await connection.fetch("select consumer, position from proj.parked order by position, consumer")
    return [(row[0], row[1]) for row in rows if projection in (None, row[0])]


def ends(log: list[StoredEvent]) -> dict[int, int]:
    """The last position of each partition, 0 where it has no event."""
    batch = batch_of(log)
    return {partition: batch[partition][-1].position if partition in batch else 0 for partition in ALL}


def broken(event: StoredEvent) -> StoredEvent:
    return msgspec.structs.replace(event, data=b'{"zap_id": 7}')


async def test_a_fresh_database_has_empty_read_models_and_gates_at_the_start(dsn: str, store: PgEventStore) -> None:
    engines = [Engine(dsn, PROJECTIONS, PARTITIONS) for _ in range(4)]
    await asyncio.gather(*(engine.start() for engine in engines))
    assert await engines[0].gates(ALL) == {0: 0, 1: 0, 2: 0}
    assert await list_runs(store.pool, TENANT, RunFilter()) == []
    assert await list_zaps(store.pool, TENANT, before=None, limit=10) == []
    for engine in engines:
        await engine.__aexit__(None, None, None)


async def test_runs_and_zaps_are_listed_as_their_events_say(engine: Engine, store: PgEventStore) -> None:
    zap, run = new_id(), new_id()
    definition = a_definition("send")
    await append(
        store,
        zap,
        a_zap_created("Orders", definition),
        ZapPublished(number=1, name="Orders", definition=definition),
        ZapEnabled(),
        tenant_id=TENANT,
        key=zap,
        kind=StreamKind.CORE,
    )
    await append(store, run, requested(zap), succeeded(), RunCompleted(zap_id=zap), tenant_id=TENANT, key=zap)
    await engine.apply(batch_of(await store.read_log(0, 100)))
    (listed,) = await list_runs(store.pool, TENANT, RunFilter())
    assert (listed.id, listed.zap_id, listed.status, listed.attempts, listed.position) == (run, zap, "completed", 1, 6)
    assert listed.finished_at == listed.started_at
    assert (listed.duration_ms, listed.error) == (0.0, None)
    (item,) = await list_zaps(store.pool, TENANT, before=None, limit=10)
    assert (item.id, item.name, item.status, item.version, item.step_count) == (zap, "Orders", "enabled", 1, 1)
    assert (item.completed, item.failed, item.last_completed_at) == (1, 0, listed.finished_at)
    assert await list_runs(store.pool, new_id(), RunFilter()) == []
    assert await list_zaps(store.pool, new_id(), before=None, limit=10) == []

    await append(store, zap, ZapPaused(), tenant_id=TENANT, key=zap, kind=StreamKind.CORE)
    await engine.apply(batch_of(await store.read_log(6, 100)))
    (paused,) = await list_zaps(store.pool, TENANT, before=None, limit=10)
    assert (paused.name, paused.status, paused.version, paused.position) == ("Orders", "paused", 1, 7)
    await append(store, zap, ZapDeleted(), tenant_id=TENANT, key=zap, kind=StreamKind.CORE)
    await engine.apply(batch_of(await store.read_log(7, 100)))
    assert await list_zaps(store.pool, TENANT, before=None, limit=10) == []


async def test_it_makes_no_difference_how_events_are_cut_into_batches_or_how_often_they_come(
    engine: Engine, store: PgEventStore, connection: Connection
) -> None:
    await live_many(store, TENANT, 60)
    log = await store.read_log(0, 1_000)
    dice = random.Random(7)
    done = 0
    while done < len(log):
        start = max(0, done - dice.randrange(5))
        done = min(len(log), done + dice.randrange(1, 9))
        await engine.apply(batch_of(log[start:done]))
    in_pieces = await rows_of(connection)
    assert len(in_pieces["run_list"]) == 60
    assert Counter(row[4] for row in in_pieces["run_list"]).keys() == {
        "queued", "running", "waiting", "completed", "failed",
    }  # fmt: skip

    for projection in PROJECTIONS:
        await connection.execute(f"truncate rm_{projection.name}_v1.{projection.name}")
    await connection.execute("update proj.gates set position = 0")
    async with Engine(engine._dsn, PROJECTIONS, PARTITIONS) as other:
        await other.apply(batch_of(log))
    assert await rows_of(connection) == in_pieces


async def test_of_two_projectors_only_the_one_whose_gates_hold_stores_a_batch(
    dsn: str, engine: Engine, store: PgEventStore, connection: Connection
) -> None:
    await live_many(store, TENANT, 20)
    log = await store.read_log(0, 1_000)
    batch = batch_of(log)
    async with Engine(dsn, PROJECTIONS, PARTITIONS) as other:
        await asyncio.gather(engine.gates(ALL), other.gates(ALL))
        outcomes = await asyncio.gather(engine.apply(batch), other.apply(batch), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["GateMoved", "NoneType"]
        rows = await rows_of(connection)
        for late in (engine, other):
            assert await late.gates(ALL) == ends(log)
            await late.apply(batch)
    assert await rows_of(connection) == rows


async def test_a_lost_connection_is_told_and_the_next_attempt_finds_out_what_was_stored(
    engine: Engine, store: PgEventStore, connection: Connection
) -> None:
    await live_many(store, TENANT, 20)
    log = await store.read_log(0, 1_000)
    await engine.apply(batch_of(log[:10]))
    projector = "from pg_stat_activity where application_name = 'triggerhub projector' and datname = current_database()"
    async with connection.transaction():
        await connection.execute("lock table proj.gates in access exclusive mode")  # so that it is lost half-way
        applying = asyncio.create_task(engine.apply(batch_of(log)))
        await eventually(lambda: connection.fetchval(f"select wait_event_type = 'Lock' {projector}"))
        await connection.execute(f"select pg_terminate_backend(pid) {projector}")
        with pytest.raises(CONNECTION_ERRORS):
            await applying
    await engine.apply(batch_of(log))
    assert await engine.gates(ALL) == ends(log)


async def test_a_batch_that_is_cut_off_at_any_moment_is_stored_by_the_next_attempt(
    engine: Engine, store: PgEventStore, connection: Connection
) -> None:
    cut_off = 0
    for turns in range(60):
        await append(store, new_id(), requested(new_id()), tenant_id=TENANT, key=new_id())
        batch = batch_of(await store.read_log(0, 100))
        attempt = asyncio.create_task(engine.apply(batch))
        for _ in range(turns):
            await asyncio.sleep(0)
        attempt.cancel()
        (outcome,) = await asyncio.gather(attempt, return_exceptions=True)
        cut_off += outcome is not None
        await engine.gates(ALL)
        await engine.apply(batch)
        assert await connection.fetchval("select count(*) from rm.run_list") == turns + 1
    assert cut_off > 10


async def test_a_poison_event_parks_its_stream_and_nothing_else(
    engine: Engine, store: PgEventStore, connection: Connection
) -> None:
    zap, bad = new_id(), new_id()
    good = [new_id() for _ in range(6)]
    for run in (*good[:3], bad, *good[3:]):
        await append(store, run, requested(zap), tenant_id=TENANT, key=zap)
    await append(store, bad, succeeded(), RunCompleted(), tenant_id=TENANT, key=zap)
    log = await store.read_log(0, 100)
    await engine.apply(batch_of([broken(event) if event.position == 4 else event for event in log]))
    assert {run.id for run in await list_runs(store.pool, TENANT, RunFilter())} == {*good}
    assert await parked(connection, "run_list") == [("run_list", 4), ("run_list", 8), ("run_list", 9)]
    assert {position for _projection, position in await parked(connection)} == {4, 8, 9}
    assert set((await engine.gates(ALL)).values()) == {0, 9}

    later = new_id()
    await append(store, bad, succeeded(2), tenant_id=TENANT, key=zap)
    await append(store, later, requested(zap), tenant_id=TENANT, key=zap)
    await engine.apply(batch_of(await store.read_log(9, 100)))
    assert {run.id for run in await list_runs(store.pool, TENANT, RunFilter())} == {later, *good}
    assert await parked(connection, "run_list") == [("run_list", position) for position in (4, 8, 9, 10)]


async def test_parked_events_are_taken_again_in_order_once_the_cause_is_gone(
    dsn: str, engine: Engine, store: PgEventStore, connection: Connection
) -> None:
    """The log holds sound events here; what made them poison was on the way."""
    zap, run = new_id(), new_id()
    await append(store, run, requested(zap), succeeded(), tenant_id=TENANT, key=zap)
    log = await store.read_log(0, 100)
    await engine.apply(batch_of([broken(log[0]), log[1]]))
    async with Engine(dsn, PROJECTIONS, PARTITIONS) as operator:
        assert await operator.retry_parked("run_list") == 0
    (listed,) = await list_runs(store.pool, TENANT, RunFilter())
    assert (listed.id, listed.status, listed.attempts) == (run, "running", 1)
    await append(store, run, RunCompleted(), tenant_id=TENANT, key=zap)
    await engine.apply(batch_of(await store.read_log(2, 100)))
    (listed,) = await list_runs(store.pool, TENANT, RunFilter())
    assert listed.status == "completed"
    assert await parked(connection, "run_list") == []


async def test_what_is_still_poison_stays_parked(engine: Engine, store: PgEventStore, connection: Connection) -> None:
    zap, run = new_id(), new_id()
    await append(store, run, requested(zap), succeeded(), tenant_id=TENANT, key=zap)
    log = await store.read_log(0, 100)
    await engine.apply(batch_of([broken(log[0]), log[1]]))
    await connection.execute("set session_replication_role = replica")
    await connection.execute("update es.events set data = '{}' where position = 1")
    assert await engine.retry_parked("run_list") == 2
    assert await parked(connection, "run_list") == [("run_list", 1), ("run_list", 2)]


async def test_a_value_that_postgres_refuses_is_poison_too(
    engine: Engine, store: PgEventStore, connection: Connection
) -> None:
    zaps = [new_id(), new_id()]
    published = ZapPublished(number=2**40, name="Orders", definition=a_definition("send"))
    await append(store, zaps[0], a_zap_created(), published, tenant_id=TENANT, key=zaps[0], kind=StreamKind.CORE)
    await append(store, zaps[1], a_zap_created("n\0ul"), tenant_id=TENANT, key=zaps[1], kind=StreamKind.CORE)
    await engine.apply(batch_of(await store.read_log(0, 10)))
    listed = await list_zaps(store.pool, TENANT, before=None, limit=10)
    assert {(zap.id, zap.name, zap.version) for zap in listed} == {(zaps[0], "Orders", 0), (zaps[1], "nul", 0)}
    assert await parked(connection) == [("zap_list", 2)]


async def test_a_table_that_does_not_fit_parks_nothing(
    engine: Engine, store: PgEventStore, connection: Connection
) -> None:
    await live_many(store, TENANT, 5)
    await connection.execute("drop view rm.run_list")
    with pytest.raises(asyncpg.UndefinedTableError):
        await engine.apply(batch_of(await store.read_log(0, 100)))
    assert await parked(connection) == []
    assert set((await engine.gates(ALL)).values()) == {0}


async def test_events_of_unknown_types_are_skipped_and_counted(engine: Engine, store: PgEventStore) -> None:
    await live_many(store, TENANT, 5)
    log = await store.read_log(0, 100)
    strange = [msgspec.structs.replace(event, type="zap.run.teleported") for event in log]
    await engine.apply(batch_of(strange))
    assert engine.unknown == {"zap.run.teleported": len(log)}
    assert await list_runs(store.pool, TENANT, RunFilter()) == []


async def test_an_event_of_a_later_schema_version_is_parked_not_misread(
    engine: Engine, store: PgEventStore, connection: Connection
) -> None:
    zap = new_id()
    await append(store, new_id(), requested(zap), tenant_id=TENANT, key=zap)
    (event,) = await store.read_log(0, 1)
    await engine.apply(batch_of([msgspec.structs.replace(event, schema_version=99)]))
    assert await parked(connection, "run_list") == [("run_list", 1)]


async def test_gates_that_went_back_are_noticed_instead_of_leaving_a_hole(
    engine: Engine, store: PgEventStore, connection: Connection
) -> None:
    await live_many(store, TENANT, 10)
    log = await store.read_log(0, 100)
    await engine.apply(batch_of(log[:-1]))
    await connection.execute("update proj.gates set position = position / 2")
    with pytest.raises(GateMoved):
        await engine.apply(batch_of(log))
    with pytest.raises(GateLost):
        await engine.gates(ALL)
    assert max((await engine.gates(ALL)).values()) < log[-1].position


async def test_an_older_release_keeps_its_hands_off_a_newer_read_model(dsn: str, engine: Engine) -> None:
    newer = [msgspec.structs.replace(p, definition=p.definition + 1) for p in PROJECTIONS]
    async with Engine(dsn, newer, PARTITIONS) as upgraded:
        await upgraded.start()
        await upgraded.gates(ALL)
    await engine.start()
    with pytest.raises(NewerRelease):
        await engine.gates(ALL)


async def test_gates_may_be_asked_for_while_a_batch_is_applied(engine: Engine, store: PgEventStore) -> None:
    """An assignment can come at any moment."""
    await live_many(store, TENANT, 20)
    log = await store.read_log(0, 1_000)
    for event in log:
        await asyncio.gather(engine.apply(batch_of([event])), engine.gates(ALL))
    assert len(await list_runs(store.pool, TENANT, RunFilter(limit=100))) == 20
