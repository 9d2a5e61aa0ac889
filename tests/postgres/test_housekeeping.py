"""Housekeeping: it holds up neither timers nor appends, whatever holds it up, and deletes bit by bit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from consumers.scheduler import housekeeping
from consumers.scheduler.housekeeping import Housekeeping
from consumers.scheduler.timers import Scheduler
from domain.intake.events import RequestAdmitted, RequestRejected
from domain.log.event import Appended, StreamKind
from projections.engine.freshness import wait_until
from projections.engine.verify import verify_read_models
from projections.request_list import REQUEST_LIST
from sql.log.event_store import PgEventStore
from sql.postgres.pool import connect
from sql.process.clock import new_id, now
from sql.proof.verify import verify_chain
from tests.support import builders
from tests.support.builders import an_append
from tests.support.eventually import eventually
from tests.support.meanwhile import until_stopped
from tests.support.projected import PARTITIONS, following, tamper

KEPT = timedelta(days=90)
KEYS = """insert into es.dedupe select sha256(n::text::bytea), gen_random_uuid(), 1, now() + n * interval '1 day'
          from generate_series(-{old}, {new}) n where n <> 0"""


A_REFUSED = RequestRejected(zap_id=builders.ZAP, reason="bad_signature", status=401)


def id_at(moment: datetime) -> UUID:
    """An id of another time."""
    return UUID(int=int(moment.timestamp() * 1_000) << 80 | new_id().int & (1 << 80) - 1)


@asynccontextmanager
async def a_backup(dsn: str) -> AsyncIterator[None]:
    """What pg_dump holds for as long as it takes: a lock that only DDL minds."""
    connection = await connect(dsn, "backup")
    async with connection.transaction():
        await connection.execute("lock table es.events, es.events_run in access share mode")
        yield
    await connection.close()


async def test_behind_a_backup_the_months_give_up_and_appends_go_on(dsn: str, store: PgEventStore) -> None:
    async with a_backup(dsn):
        months = asyncio.create_task(store.pool.execute("select es.ensure_run_months(12)"))
        appended = [await store.append(an_append()) for _ in range(20)]
        with pytest.raises(asyncpg.LockNotAvailableError):
            await asyncio.wait_for(months, 60)
    assert all(isinstance(result, Appended) for result in appended)
    assert await store.pool.fetchval("select es.ensure_run_months(12)") == 9


async def test_months_far_ahead_are_bounded(store: PgEventStore) -> None:
    assert await store.pool.fetchval("select es.ensure_run_months(100000)") <= 60


async def test_timers_fire_though_the_house_can_not_be_kept(dsn: str, store: PgEventStore) -> None:
    async with a_backup(dsn), until_stopped(Housekeeping(store.pool, now, KEPT).run, Scheduler(store).run):
        result = await store.append(an_append(due_at=now()))
        assert isinstance(result, Appended)
        await eventually(lambda: _none_left(store))


async def _none_left(store: PgEventStore) -> bool:
    return not await store.pool.fetchval("select count(*) from es.timers")


async def test_a_chore_that_fails_is_tried_again_later_and_later(
    store: PgEventStore, monkeypatch: pytest.MonkeyPatch, dsn: str
) -> None:
    pauses: list[float] = []

    async def rest(_stop: asyncio.Event, seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 9:
            stop.set()
        await asyncio.sleep(0)

    stop = asyncio.Event()
    await tamper(dsn, "drop table es.dedupe cascade")
    monkeypatch.setattr(housekeeping, "rest", rest)
    keeper = Housekeeping(store.pool, now, KEPT)
    await keeper._repeat("dedupe", lambda: keeper._prune_dedupe(stop), stop)
    assert pauses == [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]


@pytest.mark.parametrize("old", [0, 9, 10, 11, 35])
async def test_old_keys_go_in_small_portions_and_no_other(
    store: PgEventStore, dsn: str, monkeypatch: pytest.MonkeyPatch, old: int
) -> None:
    monkeypatch.setattr(housekeeping, "PRUNE_ROWS", 10)
    monkeypatch.setattr(housekeeping, "PRUNE_REST_S", 0)
    await tamper(dsn, KEYS.format(old=old, new=5))
    await Housekeeping(store.pool, now, KEPT)._prune_dedupe(asyncio.Event())
    assert await store.pool.fetchval("select count(*) from es.dedupe") == 5
    assert await store.pool.fetchval("select min(expires_at) from es.dedupe") > now()


async def test_old_keys_are_found_by_an_index_though_their_pages_were_used_again(store: PgEventStore, dsn: str) -> None:
    await tamper(dsn, KEYS.format(old=20_000, new=20_000))
    await store.pool.execute("analyze es.dedupe")
    plan = await store.pool.fetch(
        "explain select ctid from es.dedupe where expires_at < $1 order by expires_at limit 100", now()
    )
    assert any("dedupe_expires_at" in row[0] for row in plan)
    assert not any("Sort" in row[0] or "Seq Scan" in row[0] for row in plan)


async def test_old_months_of_requests_go_from_the_log_and_the_list_and_nothing_else_does(
    dsn: str, store: PgEventStore
) -> None:
    month = "date_trunc('month', now() - n * interval '1 month')::timestamp"
    await tamper(dsn, f"select es.make_month('events_request', {month}) from generate_series(0, 8) n")
    gone, kept = (id_at(now() - timedelta(days=days)) for days in (200, 10))
    of_before = id_at(now() - timedelta(days=200))
    admitted = RequestAdmitted(zap_id=builders.ZAP, request_id=gone, run_id=new_id())
    for request_id, kind in ((gone, StreamKind.REQUEST), (of_before, StreamKind.CORE), (kept, StreamKind.REQUEST)):
        await store.append(an_append(A_REFUSED, stream_id=request_id, kind=kind, ids=[request_id]))
        await store.append(an_append(stream_id=new_id()))
    await store.append(an_append(admitted, stream_id=gone, kind=StreamKind.REQUEST))
    async with following(dsn, store):
        assert await wait_until(store.pool, "request_list", await store.head(), 60)
        await Housekeeping(store.pool, now, KEPT)._drop_requests()
        listed = await store.pool.fetch("select request_id from rm.request_list")
        assert {row[0] for row in listed} == {of_before, kept}
        assert await verify_read_models(dsn, [REQUEST_LIST], PARTITIONS) == []
    assert await store.read_stream(StreamKind.REQUEST, gone) == []
    assert await store.read_stream(StreamKind.CORE, of_before)
    report = await verify_chain(dsn)
    assert (report.events, report.broken_at) == (7, None), report.reason
    assert await store.pool.fetchval("select count(*) from es.dropped_events") == 2


async def test_requests_are_not_dropped_while_their_list_is_rebuilt(dsn: str, store: PgEventStore) -> None:
    await tamper(dsn, "select es.make_month('events_request', '2020-01-01')")
    rebuild = await connect(dsn, "rebuild")
    await rebuild.execute("select pg_advisory_lock(7302, hashtext('request_list'))")
    await Housekeeping(store.pool, now, KEPT)._drop_requests()
    assert await store.pool.fetchval("select es.oldest_request_month(now())")
    await rebuild.close()


async def test_a_timer_whose_run_retention_has_dropped_does_not_stay_in_the_way(dsn: str, store: PgEventStore) -> None:
    gone = [new_id() for _ in range(3)]
    for run_id in gone:
        await store.append(an_append(stream_id=run_id, due_at=now() - timedelta(seconds=5)))
    await tamper(dsn, "delete from es.events")
    assert await Scheduler(store).fire_due(now()) == 3
    assert await _none_left(store)
