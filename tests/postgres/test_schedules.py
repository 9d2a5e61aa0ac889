"""Zaps that start by themselves: each tick is one run, whoever fires it, and whatever is killed in between."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from consumers.scheduler import schedules, timers
from consumers.scheduler.housekeeping import Housekeeping
from consumers.scheduler.timers import Scheduler
from domain.aggregates import ZAP
from domain.hook.request import trigger_data
from domain.log.event import Metadata, NewEvent, StoredEvent, StreamKind
from domain.log.stream import facts, handle, load_of
from domain.registry import decode
from domain.run.events import RunRequested
from domain.values.json import JsonObject
from domain.zap import zap
from domain.zap.definition import Definition, NamedTrigger, Trigger
from domain.zap.schedule import AnySchedule, Due
from domain.zap.schedule import due as reckon
from domain.zap.ticks import TriggerTicked
from domain.zap.zap import ChangeDraft, CreateZap, DeleteZap, EnableZap, PauseZap, PublishZap, ZapCommand
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id, now
from tests.support.builders import TENANT
from tests.support.eventually import eventually
from tests.support.meanwhile import until_stopped
from tests.support.stores import patient_store

EVERY_MINUTE: JsonObject = {"every_s": 60}
REQUESTS = "select type, schema_version, data from es.events where type = 'zap.run.requested' order by position"
TICKS = "select type, schema_version, data from es.events where type = 'zap.trigger.ticked' order by position"
TIMERS = "select count(*) from es.timers"


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[PgEventStore]:
    async with patient_store(dsn) as store:
        yield store


def definition(config: JsonObject, kind: str = "schedule.every") -> Definition:
    return Definition(Trigger(kind, config))


async def published(
    store: PgEventStore, config: JsonObject = EVERY_MINUTE, *, whole: Definition | None = None, tenant: UUID = TENANT
) -> UUID:
    zap_id = new_id()
    command = CreateZap("z", whole or definition(config))
    events = [NewEvent(new_id(), event) for event in zap.decide(command, zap.INITIAL)]
    await store.append(facts(zap_id, tenant, *events, metadata=Metadata(actor="test"), expected=0))
    await execute(store, zap_id, PublishZap(), tenant)
    return zap_id


async def execute(store: PgEventStore, zap_id: UUID, command: ZapCommand, tenant: UUID = TENANT) -> None:
    loaded = await load_of(store, ZAP, zap_id, tenant)
    await handle(store, new_id, loaded, lambda state: zap.decide(command, state), Metadata(actor="test"))


async def requests(store: PgEventStore) -> list[RunRequested]:
    found = [decode(*row) for row in await store.pool.fetch(REQUESTS)]
    return [event for event in found if isinstance(event, RunRequested)]


async def outcomes(store: PgEventStore) -> list[TriggerTicked]:
    """What the log tells of turns, by the moments at which they were due."""
    found = [decode(*row) for row in await store.pool.fetch(TICKS)]
    return sorted([event for event in found if isinstance(event, TriggerTicked)], key=lambda event: event.due_at)


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


async def test_each_tick_has_one_outcome_on_record(store: PgEventStore) -> None:
    await published(store, {"every_s": 60, "missed": "latest"})
    start, scheduler = now(), Scheduler(store)
    await scheduler.fire_due(start)
    await scheduler.fire_due(minute(start) + timedelta(seconds=1))
    await scheduler.fire_due(minute(start, 150) + timedelta(seconds=1))
    told = await outcomes(store)
    assert [(one.status, one.due_at, one.count) for one in told] == [
        ("fired", minute(start), 1),
        *(("missed", minute(start, number), 1) for number in range(2, 102)),
        ("missed", minute(start, 102), 48),
        ("fired", minute(start, 150), 1),
    ]
    ids = await store.pool.fetch("select stream_id from es.events where type = 'zap.run.requested' order by position")
    assert [one.run_ids for one in told if one.status == "fired"] == [(row[0],) for row in ids]
    assert {one.trigger_id for one in told} == {"trigger"}


async def test_a_tick_whose_scheduler_died_behind_the_run_is_not_told_as_missed(store: PgEventStore) -> None:
    await published(store)
    start, scheduler = now(), Scheduler(store)
    await scheduler.fire_due(start)
    row = await store.pool.fetchrow("select due_at, since from es.timers")
    assert row is not None
    await scheduler.fire_due(minute(start) + timedelta(seconds=1))
    # As if it had died once the run was stored, before its outcome was and the timer was put off.
    await store.pool.execute("update es.timers set due_at = $1, since = $2", row["due_at"], row["since"])
    await store.pool.execute(
        "delete from es.dedupe where stream_id in (select stream_id from es.events where kind = 2)"
    )
    await scheduler.fire_due(minute(start, 3) + timedelta(seconds=1))
    first = [(one.status, one.run_ids) for one in await outcomes(store) if one.due_at == minute(start)]
    assert len(first) == 2
    assert first[0] == first[1]
    assert first[0][0] == "fired"


async def test_each_of_several_triggers_has_its_own_times(store: PgEventStore) -> None:
    triggers = (
        NamedTrigger("each", "schedule.every", {"every_s": 60}),
        NamedTrigger("hook", "webhook.catch"),
        NamedTrigger("rare", "schedule.every", {"every_s": 180}),
    )
    await published(store, whole=Definition(triggers=triggers))
    assert await store.pool.fetchval(TIMERS) == 2
    start, scheduler = now(), Scheduler(store)
    await scheduler.fire_due(start)
    for number in range(1, 7):
        await scheduler.fire_due(minute(start, number) + timedelta(seconds=1))
    seen = [trigger_data(run.request) for run in await requests(store)]
    assert [one["id"] for one in seen].count("each") == 6
    assert [one["id"] for one in seen].count("rare") == 2
    assert {one["type"] for one in seen} == {"schedule.every"}
    assert {one.trigger_id for one in await outcomes(store)} == {"each", "rare"}


async def test_no_stream_is_read_for_a_tick_of_a_zap_that_is_as_it_was(
    store: PgEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    zap_id = await published(store)
    start, scheduler = now(), Scheduler(store)
    await scheduler.fire_due(start)
    reads: list[UUID] = []
    read_stream = store.read_stream

    async def counted(kind: StreamKind, stream_id: UUID, after: int = 0) -> list[StoredEvent]:
        reads.append(stream_id)
        return await read_stream(kind, stream_id, after)

    monkeypatch.setattr(store, "read_stream", counted)
    for number in (1, 2, 3):
        await scheduler.fire_due(minute(start, number) + timedelta(seconds=1))
    assert reads == []
    await execute(store, zap_id, ChangeDraft("z", definition({"every_s": 7_200})))
    reads.clear()
    await scheduler.fire_due(minute(start, 4) + timedelta(seconds=1))
    assert reads == [zap_id]
    assert len(await requests(store)) == 4


async def test_a_crowd_of_one_tenant_does_not_make_another_wait(
    store: PgEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timers, "BATCH", 10)
    for _ in range(60):
        await published(store)
    other = new_id()
    start, scheduler = now(), Scheduler(store)
    for _ in range(7):
        await scheduler.fire_due(start)
    lone = await published(store, {"every_s": 60, "jitter_s": 0}, tenant=other)
    await scheduler.fire_due(start)  # its timer is due at once, and is put off
    await store.pool.execute("update es.timers set due_at = due_at + interval '1 ms' where stream_id = $1", lone)
    moment = minute(start) + timedelta(seconds=1)
    for _ in range(3):
        await scheduler.fire_due(moment)
    assert lone in {run.zap_id for run in await requests(store)}
    assert len(await requests(store)) == 30


async def test_new_rules_of_time_zones_have_schedules_worked_out_anew(store: PgEventStore) -> None:
    await published(store, {"every_s": 3_600})
    start, scheduler = now(), Scheduler(store)
    await scheduler.fire_due(start)
    right = await store.pool.fetchval("select due_at from es.timers")
    await store.pool.execute("insert into proj.zone_rules values ('2020.1')")
    await store.pool.execute("update es.timers set due_at = $1", right + timedelta(hours=5))  # as the old rules had it
    async with until_stopped(Housekeeping(store.pool, now, timedelta(days=30)).run):
        await eventually(lambda: _is(store, "select count(*) from proj.zone_rules where version <> '2020.1'", 1))
    await scheduler.fire_due(start)
    assert await store.pool.fetchval("select due_at from es.timers") == right
    await scheduler.fire_due(right + timedelta(seconds=1))
    assert [run.dedupe_id for run in await requests(store)] == [right.isoformat()]


async def _is(store: PgEventStore, query: str, wanted: object) -> bool:
    return bool(await store.pool.fetchval(query) == wanted)


async def test_many_schedulers_fire_no_tick_twice(store: PgEventStore, dsn: str) -> None:
    for _ in range(20):
        await published(store)
    start = now()
    async with patient_store(dsn, "one") as one, patient_store(dsn, "two") as two:
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
    await store.pool.execute("update es.timers set due_at = $1, since = $2", due_at, start)
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


@pytest.mark.parametrize("reckoning_breaks", [False, True])
async def test_a_schedule_that_nothing_can_be_made_of_stops_no_other(
    store: PgEventStore, monkeypatch: pytest.MonkeyPatch, reckoning_breaks: bool
) -> None:
    """One that was stored before its moments were bounded, and one on which our own code breaks."""
    config: JsonObject = {"every_s": 60, "from": "9999-12-31T23:59:59-14:00"}
    broken = await published(store, {"every_s": 77} if reckoning_breaks else config, tenant=new_id())

    def due(schedule: AnySchedule, after: datetime, until: datetime) -> Due:
        assert getattr(schedule, "every_s", 0) != 77
        return reckon(schedule, after, until)

    monkeypatch.setattr(schedules, "due", due)
    sound, start, scheduler = await published(store), now(), Scheduler(store)
    await scheduler.fire_due(start)
    await scheduler.fire_due(minute(start) + timedelta(seconds=1))
    assert {run.zap_id for run in await requests(store)} == {sound}
    assert broken != sound
