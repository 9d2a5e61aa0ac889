"""Zaps that start by themselves: each tick is one run, whoever fires it, and whatever is killed in between."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from consumers.scheduler.timers import Scheduler
from domain.aggregates import ZAP
from domain.hook.request import trigger_data
from domain.log.event import Metadata, NewEvent
from domain.log.stream import facts, handle, load_of
from domain.registry import decode
from domain.run.events import RunRequested
from domain.values.json import JsonObject
from domain.zap import zap
from domain.zap.definition import Definition, Trigger
from domain.zap.zap import ChangeDraft, CreateZap, DeleteZap, EnableZap, PauseZap, PublishZap, ZapCommand
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id, now
from tests.support.builders import TENANT

EVERY_MINUTE: JsonObject = {"every_s": 60}
REQUESTS = "select type, schema_version, data from es.events where type = 'zap.run.requested' order by position"
TIMERS = "select count(*) from es.timers"


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[PgEventStore]:
    async with PgEventStore(dsn, "test") as store:
        yield store


def definition(config: JsonObject, kind: str = "schedule.every") -> Definition:
    return Definition(Trigger(kind, config))


async def published(store: PgEventStore, config: JsonObject = EVERY_MINUTE) -> UUID:
    zap_id = new_id()
    events = [NewEvent(new_id(), event) for event in zap.decide(CreateZap("z", definition(config)), zap.INITIAL)]
    await store.append(facts(zap_id, TENANT, *events, metadata=Metadata(actor="test"), expected=0))
    await execute(store, zap_id, PublishZap())
    return zap_id


async def execute(store: PgEventStore, zap_id: UUID, command: ZapCommand) -> None:
    loaded = await load_of(store, ZAP, zap_id, TENANT)
    await handle(store, new_id, loaded, lambda state: zap.decide(command, state), Metadata(actor="test"))


async def requests(store: PgEventStore) -> list[RunRequested]:
    found = [decode(*row) for row in await store.pool.fetch(REQUESTS)]
    return [event for event in found if isinstance(event, RunRequested)]


def minute(moment: datetime, later: int = 1) -> datetime:
    """A full minute behind a moment."""
    return moment.replace(second=0, microsecond=0) + timedelta(minutes=later)


async def test_each_tick_starts_one_run_that_knows_its_time(store: PgEventStore) -> None:
    zap_id, start = await published(store), now()
    scheduler = Scheduler(store)
    await scheduler.fire_due(start)  # works out the first tick
    assert await requests(store) == []
    for number in (1, 2, 3):
        await scheduler.fire_due(minute(start, number) + timedelta(seconds=1))
    runs = await requests(store)
    assert [run.zap_id for run in runs] == [zap_id] * 3
    assert {(run.source, run.zap_version) for run in runs} == {("schedule", 1)}
    first = trigger_data(runs[0].request)
    assert first == {"due_at": minute(start).isoformat(), "local": minute(start).isoformat(), "late_s": 1.0}
    assert await store.pool.fetchval(TIMERS) == 1


async def test_many_schedulers_fire_no_tick_twice(store: PgEventStore, dsn: str) -> None:
    for _ in range(20):
        await published(store)
    start = now()
    async with PgEventStore(dsn, "one") as one, PgEventStore(dsn, "two") as two:
        schedulers = [Scheduler(each) for each in (store, one, two)]
        for number in range(4):
            moment = minute(start, number) + timedelta(seconds=1)
            for _ in range(3):
                await asyncio.gather(*(scheduler.fire_due(max(moment, start)) for scheduler in schedulers))
    ticks = [(run.zap_id, run.dedupe_id) for run in await requests(store)]
    assert len(ticks) == len(set(ticks)) == 60


async def test_a_tick_that_was_started_but_not_put_off_starts_no_second_run(store: PgEventStore) -> None:
    """As after a crash between the two."""
    await published(store)
    start, scheduler = now(), Scheduler(store)
    await scheduler.fire_due(start)
    due_at = await store.pool.fetchval("select due_at from es.timers")
    await scheduler.fire_due(minute(start) + timedelta(seconds=1))
    await store.pool.execute("update es.timers set due_at = $1", due_at)
    await scheduler.fire_due(minute(start) + timedelta(seconds=2))
    assert len(await requests(store)) == 1


@pytest.mark.parametrize(("missed", "ticks"), [("latest", 1), ("all", 10), ("skip", 0)])
async def test_a_scheduler_that_was_down_catches_up_by_the_policy(store: PgEventStore, missed: str, ticks: int) -> None:
    await published(store, {"every_s": 3_600, "missed": missed})
    start, scheduler = now(), Scheduler(store)
    await scheduler.fire_due(start)
    hour = start.replace(minute=0, second=0, microsecond=0)
    await scheduler.fire_due(hour + timedelta(hours=10, minutes=30))
    assert len(await requests(store)) == ticks
    await scheduler.fire_due(hour + timedelta(hours=11, seconds=5))
    assert len(await requests(store)) == ticks + 1


@pytest.mark.parametrize("command", [PauseZap(), DeleteZap()])
async def test_a_zap_that_is_paused_or_deleted_ticks_no_more(store: PgEventStore, command: ZapCommand) -> None:
    zap_id, start, scheduler = await published(store), now(), Scheduler(store)
    await scheduler.fire_due(start)
    await execute(store, zap_id, command)
    await scheduler.fire_due(minute(start) + timedelta(seconds=1))
    assert await requests(store) == []
    assert await store.pool.fetchval(TIMERS) == 0


async def test_what_was_due_during_a_pause_is_not_made_up(store: PgEventStore) -> None:
    zap_id, start, scheduler = await published(store), now(), Scheduler(store)
    await scheduler.fire_due(start)
    await execute(store, zap_id, PauseZap())
    await execute(store, zap_id, EnableZap())
    await scheduler.fire_due(now())
    assert await requests(store) == []
    await scheduler.fire_due(minute(now()) + timedelta(seconds=1))
    assert len(await requests(store)) == 1
    assert await store.pool.fetchval(TIMERS) == 1


async def test_a_new_version_has_its_own_times_and_no_schedule_has_none(store: PgEventStore) -> None:
    zap_id, start, scheduler = await published(store), now(), Scheduler(store)
    await scheduler.fire_due(start)
    await execute(store, zap_id, ChangeDraft("z", definition({"every_s": 7_200})))
    await execute(store, zap_id, PublishZap())
    await scheduler.fire_due(now())
    await scheduler.fire_due(minute(start) + timedelta(seconds=1))
    assert len(await requests(store)) <= 1  # unless the full two hours are this very minute
    await execute(store, zap_id, ChangeDraft("z", definition({}, "manual")))
    await execute(store, zap_id, PublishZap())
    await scheduler.fire_due(now() + timedelta(hours=3))
    assert await store.pool.fetchval(TIMERS) == 0


async def test_a_schedule_that_is_over_starts_nothing(store: PgEventStore) -> None:
    over = msgspec.to_builtins({"every_s": 60, "to": now() + timedelta(seconds=1)})
    await published(store, over)
    scheduler = Scheduler(store)
    await scheduler.fire_due(now())
    await scheduler.fire_due(now() + timedelta(hours=1))
    assert await requests(store) == []
