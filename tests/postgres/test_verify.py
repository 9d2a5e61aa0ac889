"""Verification finds what was changed behind our back, and says where."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from domain.log.event import StreamKind
from projections.engine.engine import Engine
from projections.engine.registry import PROJECTIONS
from projections.engine.verify import verify_read_models
from projections.run_list import RUN_LIST
from sql.log.event_store import PgEventStore
from sql.log.hashing import GENESIS
from sql.postgres.pool import Connection
from sql.process.child import python
from sql.process.clock import new_id
from sql.proof import verify
from sql.proof.verify import Interrupted, verify_chain
from tests.support.builders import a_zap_created, an_append
from tests.support.projected import PARTITIONS, append, batch_of, live_many, requested, tamper

TENANT = new_id()


@pytest.fixture
async def log(store: PgEventStore) -> int:
    """A log of some commits. Gives its head."""
    await asyncio.gather(live_many(store, TENANT, 20, seed=1), live_many(store, TENANT, 20, seed=2))
    return await store.head()


@pytest.fixture
async def engine(dsn: str, log: int, store: PgEventStore) -> AsyncIterator[Engine]:
    """An engine that has applied the whole log, from the topic."""
    async with Engine(dsn, PROJECTIONS, PARTITIONS) as started:
        await started.start()
        yield started


async def test_an_empty_log_is_whole(dsn: str) -> None:
    report = await verify_chain(dsn)
    assert (report.position, report.events, report.broken_at) == (0, 0, None)
    assert report.hash == GENESIS.hex()


async def test_a_log_as_it_was_written_is_whole(
    dsn: str, log: int, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "STRETCH", 7)
    seen: list[tuple[int, int]] = []
    report = await verify_chain(dsn, lambda position, head: seen.append((position, head)))
    assert (report.position, report.events, report.broken_at, report.reason) == (log, log, None, "")
    assert bytes.fromhex(report.hash) == await connection.fetchval(
        "select hash from es.commits order by last_position desc limit 1"
    )
    assert seen[-1] == (log, log)


async def test_processes_find_together_what_one_finds(dsn: str, log: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has some of the stretches; the first position that is wrong is named, whoever found it."""
    monkeypatch.setattr(verify, "STRETCH", 20)
    monkeypatch.setattr(verify, "FEW", 0)
    seen: list[int] = []
    report = await verify_chain(dsn, lambda position, _head: seen.append(position))
    assert (report.position, report.events, report.broken_at) == (log, log, None)
    assert seen == sorted(seen)
    assert len(seen) > 3
    await tamper(dsn, f"update es.events set data = data || ' ' where position in (45, 70, {log})")
    report = await verify_chain(dsn)
    assert (report.broken_at, report.reason) == (45, "the event was changed")
    assert 0 < report.position < 45


@pytest.mark.parametrize("last_words", [b"", b'{"after":0,"believed":"'])
async def test_a_process_that_dies_is_no_finding_and_leaves_none_behind(
    dsn: str, log: int, monkeypatch: pytest.MonkeyPatch, last_words: bytes
) -> None:
    """As one does that is killed while it works, or while it answers."""
    monkeypatch.setattr(verify, "STRETCH", 20)
    monkeypatch.setattr(verify, "FEW", 0)
    children: list[asyncio.subprocess.Process] = []

    async def dies(module: str) -> asyncio.subprocess.Process:
        child = await python(module)
        children.append(child)
        assert child.stdout is not None
        if len(children) == 1:
            child.kill()
            await child.wait()
            child.stdout = asyncio.StreamReader()
            child.stdout.feed_data(last_words)
            child.stdout.feed_eof()
        return child

    monkeypatch.setattr(verify, "python", dies)
    with pytest.raises(Interrupted, match="nothing was found wrong"):
        await verify_chain(dsn)
    assert all(child.returncode is not None for child in children)


async def test_a_commit_that_says_it_had_more_events_than_memory_holds_is_a_finding(dsn: str, log: int) -> None:
    await tamper(
        dsn, f"insert into es.commits select {2**60}, {log}, now(), hash from es.commits where prev_position = -1"
    )
    report = await verify_chain(dsn)
    assert (report.broken_at, report.reason) == (log + 1, "the event is missing")


async def test_a_projector_that_starts_meanwhile_does_not_wait_for_it(
    dsn: str, log: int, connection: Connection
) -> None:
    async with Engine(dsn, PROJECTIONS, PARTITIONS) as engine:
        await engine.start()
        for projection in PROJECTIONS:  # what a verification holds for as long as it takes
            await connection.execute("select pg_advisory_lock(7302, hashtext($1))", projection.name)
        await asyncio.wait_for(engine.start(), 60)


async def test_appends_may_go_on_meanwhile(dsn: str, log: int, store: PgEventStore) -> None:
    report, _ = await asyncio.gather(verify_chain(dsn), live_many(store, TENANT, 20, seed=3))
    assert report.broken_at is None


TAMPERED = {
    "update es.events set data = data || ' ' where position = 11": (11, "the event was changed"),
    "update es.events set meta = '{}' where position = 11": (11, "the event was changed"),
    "update es.events set type = 'zap.run.completed', schema_version = 2 where position = 11": (
        11, "the event was changed",
    ),
    "update es.events set tenant_id = gen_random_uuid() where position = 11": (11, "the event was changed"),
    "update es.events set hash = sha256(hash) where position = 11": (11, "the event was changed"),
    "update es.events set recorded_at = recorded_at + interval '1 us' where position = 11": (
        11, "the event's time is not that of its commit",
    ),
    "delete from es.events where position = 11": (11, "the event is missing"),
    "update es.events set version = version + 100 where position = 11": (11, "hash does not follow"),
    "update es.commits set hash = sha256(hash) where last_position = 11": (11, "hash does not"),
    "update es.commits set recorded_at = recorded_at + interval '1 us' where last_position = 11":
        (11, "the event's time"),
    "delete from es.commits where last_position = 11": (11, "a commit is missing"),
    "delete from es.commits where last_position > 60": (61, "belongs to no commit"),
    """insert into es.events select kind, gen_random_uuid(), 1, position + 1000000, tenant_id, ordering_key, event_id,
       type, schema_version, recorded_at, meta, data, hash from es.events where position = 11""": (
        1_000_011, "belongs to no commit",
    ),
    """insert into es.events select kind, gen_random_uuid(), 1, position, tenant_id, ordering_key, event_id,
       type, schema_version, recorded_at, meta, data, hash from es.events where position = 11""": (11, "the event"),
}  # fmt: skip


@pytest.mark.parametrize("statement", TAMPERED)
async def test_what_was_tampered_with_is_named_by_position(dsn: str, store: PgEventStore, statement: str) -> None:
    """Each event is a commit of its own here, so that the commit at fault has the event's position."""
    zap = new_id()
    for _ in range(70):
        await append(store, new_id(), requested(zap), tenant_id=TENANT, key=zap)
    await tamper(dsn, statement)
    report = await verify_chain(dsn)
    position, reason = TAMPERED[statement]
    assert report.broken_at is not None
    assert report.broken_at in {position, position + 1} if reason == "the event" else report.broken_at == position
    assert reason in report.reason


@pytest.mark.parametrize("rows", [1, 2, 3, 10])
@pytest.mark.parametrize("position", [1, 9, 10, 11, 20])
async def test_a_position_that_is_there_twice_is_found_wherever_stretches_end(
    dsn: str, log: int, monkeypatch: pytest.MonkeyPatch, rows: int, position: int
) -> None:
    monkeypatch.setattr(verify, "STRETCH", rows)
    await tamper(
        dsn,
        "insert into es.events select kind, gen_random_uuid(), 1, position, tenant_id, ordering_key, event_id, type, "
        f"schema_version, recorded_at, meta, data, hash from es.events where position = {position}",
    )
    report = await verify_chain(dsn)
    assert report.broken_at in {position, position + 1}


MONTH = "to_char(now() at time zone 'UTC', 'YYYYMM')"


@pytest.fixture(params=[3, 5_000])
def stretches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches of few events, and of many."""
    monkeypatch.setattr(verify, "STRETCH", request.param)


@pytest.mark.usefixtures("log", "stretches")
async def test_what_retention_dropped_on_record_is_not_missing(
    dsn: str, store: PgEventStore, connection: Connection
) -> None:
    """The chain holds over what was dropped: versions and hashes are kept."""
    before = await verify_chain(dsn)
    await store.append(an_append(a_zap_created(), kind=StreamKind.CORE))
    await connection.execute("select es.drop_run_month((now() at time zone 'UTC')::date)")
    await connection.execute("select es.ensure_run_months(1)")
    await live_many(store, TENANT, 3, seed=4)
    report = await verify_chain(dsn)
    assert report.broken_at is None, report.reason
    assert report.events > before.events


async def test_a_month_that_is_gone_without_a_record_is_a_finding(dsn: str, log: int, connection: Connection) -> None:
    month = await connection.fetchval(f"select {MONTH}")
    await connection.execute(f"drop table es.events_run_{month}")
    report = await verify_chain(dsn)
    assert (report.broken_at, report.reason) == (1, "the event is missing")


async def test_a_record_of_a_drop_that_was_made_up_is_a_finding(dsn: str, log: int, connection: Connection) -> None:
    await connection.execute("select es.drop_run_month((now() at time zone 'UTC')::date)")
    place = "array_position(positions, 11::bigint)"
    await tamper(dsn, f"update es.dropped_pages set hashes[{place}] = sha256('') where 11 = any(positions)")
    report = await verify_chain(dsn)
    assert report.broken_at is not None
    assert report.broken_at <= 11
    assert "does not follow" in report.reason


async def test_events_that_changed_places_are_found(dsn: str, log: int) -> None:
    await tamper(dsn, "update es.events set position = case position when 5 then 9 else 5 end where position in (5, 9)")
    report = await verify_chain(dsn)
    assert report.broken_at is not None
    assert report.broken_at <= 5


async def test_read_models_that_equal_the_log_have_no_differences(
    dsn: str, engine: Engine, connection: Connection
) -> None:
    assert await verify_read_models(dsn, PROJECTIONS, PARTITIONS) == []
    builds = await connection.fetch("select nspname from pg_namespace where nspname ~ '^rm_' order by 1")
    assert [row[0] for row in builds] == [f"rm_{projection.name}_v1" for projection in PROJECTIONS]


async def test_a_changed_a_missing_and_an_invented_row_are_named(
    dsn: str, engine: Engine, connection: Connection
) -> None:
    rows = await connection.fetch("select run_id from rm.run_list order by run_id limit 2")
    changed, missing = (row[0] for row in rows)
    invented = new_id()
    await connection.execute("update rm.run_list set attempts = attempts + 77 where run_id = $1", changed)
    await connection.execute(
        """insert into rm.run_list
           select (jsonb_populate_record(r, jsonb_build_object('run_id', $1::uuid))).* from rm.run_list r
           where run_id = $2""",
        invented,
        missing,
    )
    await connection.execute("delete from rm.run_list where run_id = $1", missing)
    found = await verify_read_models(dsn, PROJECTIONS, PARTITIONS)
    assert {difference.projection for difference in found} == {"run_list"}
    sides = sorted(
        (difference.side, name)
        for difference in found
        for name, run in (("changed", changed), ("missing", missing), ("invented", invented))
        if str(run) in difference.row
    )
    assert sides == [
        ("only in the log", "changed"),
        ("only in the log", "missing"),
        ("only in the read model", "changed"),
        ("only in the read model", "invented"),
    ]
    assert len(found) == 4


async def test_a_read_model_that_is_still_behind_is_lagging_not_different(
    dsn: str, engine: Engine, store: PgEventStore
) -> None:
    await live_many(store, TENANT, 10, seed=3)
    found = await verify_read_models(dsn, [RUN_LIST], PARTITIONS, patience_s=0)
    assert [(difference.projection, difference.side) for difference in found] == [("run_list", "lagging")]


async def test_a_read_model_that_catches_up_in_time_has_no_differences(
    dsn: str, engine: Engine, store: PgEventStore
) -> None:
    head = await store.head()
    await live_many(store, TENANT, 10, seed=3)
    verifying = asyncio.create_task(verify_read_models(dsn, PROJECTIONS, PARTITIONS, patience_s=30))
    for event in await store.read_log(head, 1_000):
        await engine.apply(batch_of([event]))
        assert not verifying.done() or not verifying.result()
    assert await verifying == []


async def test_a_parked_event_is_named_and_not_taken_for_a_difference(
    dsn: str, log: int, store: PgEventStore, connection: Connection
) -> None:
    await tamper(dsn, "update es.events set data = '[]' where position = 1")
    async with Engine(dsn, PROJECTIONS, PARTITIONS) as engine:
        await engine.start()
    found = await verify_read_models(dsn, PROJECTIONS, PARTITIONS)
    assert {difference.side for difference in found} == {"parked"}
    assert "zap.run.requested at position 1: ValidationError" in found[0].row


async def test_a_range_is_checked_by_whole_commits_and_says_where_it_ends(dsn: str, store: PgEventStore) -> None:
    """Five commits of three events."""
    for _ in range(5):
        await append(store, new_id(), *[requested(new_id()) for _ in range(3)], tenant_id=TENANT, key=TENANT)
    report = await verify_chain(dsn, first=5, last=8)
    assert (report.position, report.events, report.broken_at) == (9, 6, None)
    await tamper(dsn, "update es.events set data = data || ' ' where position = 5")
    assert [(await verify_chain(dsn, first=first, last=last)).broken_at for first, last in
            ((1, 3), (1, 4), (4, 4), (6, None), (7, None), (1, 15))] == [None, 5, 5, 5, None, 5]  # fmt: skip
