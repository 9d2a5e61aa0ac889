"""Timers: each fires once whoever races, what nobody waits for is dropped, and a crowd of them is drained."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from consumers.scheduler import timers
from consumers.scheduler.timers import BATCH, Scheduler
from domain.flow.steps import ActionStep
from domain.hook.request import Request
from domain.log.event import Appended, StreamKind
from domain.run.events import (
    Failure,
    RunCompleted,
    RunEvent,
    RunRequested,
    StepAttemptFailed,
    StepPostponed,
    StepSucceeded,
)
from domain.zap.definition import Definition, Trigger
from domain.zap.events import ZapCreated, ZapPublished
from sql.log.event_store import PgEventStore
from sql.postgres.pool import connect
from sql.postgres.queries import Queries
from sql.process.clock import new_id, now
from tests.support.builders import TENANT, ZAP, an_append
from tests.support.eventually import eventually
from tests.support.meanwhile import until_stopped
from tests.support.stores import patient_store

TIMERS = Queries("queries/timers.sql")
BOB, EVE = UUID(int=2**127 + 1), UUID(int=1)
COUNT = "select count(*) from es.timers"
FAILURE = Failure(code="http_500", message="the target answered 500")


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[PgEventStore]:
    async with patient_store(dsn) as store:
        yield store


async def waiting(
    store: PgEventStore, due_in_s: float = -1, deadline_in_s: float | None = None, tenant: UUID = TENANT
) -> UUID:
    """A run that waits for its retry, and has a deadline if one is given."""
    at, run_id = now(), new_id()
    deadline = None if deadline_in_s is None else at + timedelta(seconds=deadline_in_s)
    request = RunRequested(zap_id=ZAP, zap_version=1, source="webhook", request=Request(), deadline=deadline)
    first = an_append(request, stream_id=run_id, expected=0, due_at=deadline)
    await store.append(msgspec.structs.replace(first, tenant_id=tenant))
    retry_at = at + timedelta(seconds=due_in_s)
    failed = StepAttemptFailed(
        step_id="send", attempt=1, started_at=at, duration_ms=1.0, failure=FAILURE, retry_at=retry_at
    )
    second = an_append(failed, stream_id=run_id, expected=1, due_at=retry_at)
    assert isinstance(await store.append(msgspec.structs.replace(second, tenant_id=tenant)), Appended)
    return run_id


async def types(store: PgEventStore, run_id: UUID) -> list[str]:
    return [e.type.removeprefix("zap.run.") for e in await store.read_stream(StreamKind.RUN, run_id)]


async def append(store: PgEventStore, run_id: UUID, expected: int, *events: RunEvent) -> None:
    assert isinstance(await store.append(an_append(*events, stream_id=run_id, expected=expected)), Appended)


async def test_a_timer_fires_at_its_time_and_not_before(store: PgEventStore) -> None:
    run_id = await waiting(store, due_in_s=60)
    scheduler = Scheduler(store)
    assert await scheduler.fire_due(now()) == 0
    assert await scheduler.fire_due(now() + timedelta(seconds=61)) == 1
    assert await types(store, run_id) == ["requested", "step_attempt_failed", "resumed"]
    assert await store.pool.fetchval(COUNT) == 0


async def test_many_schedulers_fire_each_timer_once(store: PgEventStore, dsn: str) -> None:
    runs = await asyncio.gather(*(waiting(store) for _ in range(200)))
    async with patient_store(dsn, "one") as one, patient_store(dsn, "two") as two:
        schedulers = [Scheduler(each) for each in (store, one, two)]
        while await store.pool.fetchval(COUNT):
            await asyncio.gather(*(scheduler.fire_due(now()) for scheduler in schedulers))
    streams = await store.read_streams(StreamKind.RUN, runs)
    assert [len(events) for events in streams.values()] == [3] * 200
    assert await store.pool.fetchval(COUNT) == 0


async def test_two_schedulers_share_what_is_due(store: PgEventStore, dsn: str) -> None:
    for _ in range(2 * BATCH):
        await waiting(store)
    async with patient_store(dsn, "other") as other:
        moment = now()
        assert await asyncio.gather(*(Scheduler(each).fire_due(moment) for each in (store, other))) == [BATCH, BATCH]
    assert await store.pool.fetchval(COUNT) == 0


async def test_a_scheduler_that_stands_still_holds_its_timers_for_seconds_only(store: PgEventStore, dsn: str) -> None:
    await waiting(store)
    frozen = await connect(dsn, "frozen")
    async with frozen.transaction():
        await frozen.execute(TIMERS["give_up_soon"])
        assert len(await frozen.fetch(TIMERS["due"], now(), BATCH, TENANT, 0)) == 1
        assert await Scheduler(store).fire_due(now()) == 0
        assert await frozen.fetchval("show idle_in_transaction_session_timeout") == "5s"
    assert await Scheduler(store).fire_due(now()) == 1
    await frozen.close()


async def test_a_deadline_times_a_run_out_at_the_step_it_is_at_and_its_other_timer_means_nothing(
    store: PgEventStore,
) -> None:
    steps = (ActionStep("look", "http.request"), ActionStep("send", "http.request"))
    definition = Definition(Trigger("webhook.catch"), steps)
    await store.append(
        an_append(
            ZapCreated(name="z", definition=definition),
            ZapPublished(number=1, name="z", definition=definition),
            stream_id=ZAP,
            kind=StreamKind.CORE,
            expected=0,
        )
    )
    at, deadline, run_id = now(), now() + timedelta(seconds=10), new_id()
    request = RunRequested(zap_id=ZAP, zap_version=1, source="webhook", request=Request(), deadline=deadline)
    await store.append(an_append(request, stream_id=run_id, expected=0, due_at=deadline))
    looked = StepSucceeded(step_id="look", attempt=1, started_at=at, duration_ms=1.0)
    until = at + timedelta(seconds=20)
    put_off = StepPostponed(step_id="send", code="busy", message="", at=at, until=until)
    await append(store, run_id, 1, looked)
    await store.append(an_append(put_off, stream_id=run_id, expected=2, due_at=until))
    scheduler = Scheduler(store)
    await scheduler.fire_due(deadline)
    assert await types(store, run_id) == ["requested", "step_succeeded", "step_postponed", "timed_out"]
    end = (await store.read_stream(StreamKind.RUN, run_id))[-1]
    assert b'"step_id":"send"' in end.data
    assert await store.pool.fetchval(COUNT) == 1
    await scheduler.fire_due(until)
    assert len(await types(store, run_id)) == 4
    assert await store.pool.fetchval(COUNT) == 0


async def test_the_deadline_of_a_run_that_has_ended_is_dropped(store: PgEventStore) -> None:
    run_id = await waiting(store, due_in_s=3600, deadline_in_s=10)
    done = StepSucceeded(step_id="send", attempt=2, started_at=now(), duration_ms=1.0)
    await append(store, run_id, 2, done, RunCompleted())
    await Scheduler(store).fire_due(now() + timedelta(seconds=11))
    assert (await types(store, run_id))[-1] == "completed"
    assert await store.pool.fetchval(COUNT) == 1


async def test_a_run_that_can_not_be_read_does_not_hold_up_the_timers_of_others(store: PgEventStore, dsn: str) -> None:
    unreadable = await waiting(store, due_in_s=-10)
    sound = await waiting(store)
    connection = await connect(dsn, "damage")
    await connection.execute("set session_replication_role = replica")
    await connection.execute("update es.events set schema_version = 99 where stream_id = $1", unreadable)
    await connection.close()
    scheduler, moment = Scheduler(store), now()
    await scheduler.fire_due(moment)
    assert (await types(store, sound))[-1] == "resumed"
    assert await scheduler.fire_due(moment) == 0
    assert await store.pool.fetchval(COUNT) == 1


async def test_a_timer_of_a_run_that_goes_on_can_not_be_dropped(store: PgEventStore) -> None:
    await waiting(store)
    assert await store.pool.fetchval("select es.drop_timer(timer_id) from es.timers") is False


async def test_a_crowd_of_timers_is_drained_while_the_log_takes_others(store: PgEventStore) -> None:
    runs = await asyncio.gather(*(waiting(store) for _ in range(3 * BATCH)))
    appended = 0
    async with until_stopped(Scheduler(store).run):
        while await store.pool.fetchval(COUNT):
            await asyncio.gather(*(store.append(an_append()) for _ in range(20)))
            appended += 20
    assert appended
    streams = await store.read_streams(StreamKind.RUN, runs)
    assert {len(events) for events in streams.values()} == {3}


async def test_a_crowd_of_one_tenant_delays_the_timers_of_no_other(store: PgEventStore) -> None:
    """Ada's are all due before Bob's, and Eve's is the last of all."""
    for _ in range(10):
        await asyncio.gather(*(waiting(store, -60) for _ in range(BATCH)))
    bob = await asyncio.gather(*(waiting(store, -2, tenant=BOB) for _ in range(BATCH // 4)))
    eve = await waiting(store, -1, tenant=EVE)
    scheduler = Scheduler(store)
    for _ in range(4):
        assert await scheduler.fire_due(now()) == BATCH
    streams = await store.read_streams(StreamKind.RUN, [*bob, eve])
    assert {len(events) for events in streams.values()} == {3}, "in the order of their times it takes eleven batches"


async def test_deadlines_that_take_long_leave_time_for_other_timers(
    store: PgEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reads a whole run. Those that are left are due at the next look."""
    monkeypatch.setattr(timers, "TIME_OUT_S", 0.0)
    hers = [await waiting(store, 3_600, deadline_in_s=-60) for _ in range(5)]
    theirs = await waiting(store, -1, tenant=BOB)
    scheduler = Scheduler(store)
    await scheduler.fire_due(now())
    assert (await types(store, theirs))[-1] == "resumed"
    ended = [run for run in hers if (await types(store, run))[-1] == "timed_out"]
    assert len(ended) < 5
    for _ in range(5):
        await scheduler.fire_due(now())
    assert {(await types(store, run))[-1] for run in hers} == {"timed_out"}


async def test_the_scheduler_waits_an_outage_out(store: PgEventStore, dsn: str) -> None:
    run_id = await waiting(store)
    admin = await connect(dsn, "admin")

    async def fired() -> bool:
        return (await types(store, run_id))[-1] == "resumed"

    async with until_stopped(Scheduler(store).run):
        for _ in range(3):
            await admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and application_name like 'triggerhub test%'"
            )
        await eventually(fired)
    await admin.close()
