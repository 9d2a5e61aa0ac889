"""Owners are told of failed runs: once per burst, by each channel, whatever breaks in between."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from consumers.notifier.alert_channels import Channels
from consumers.notifier.mail import MailAllowance
from consumers.notifier.notifier import Notifier
from consumers.outbound.client import Outbound
from domain.failures.failures import ATTEMPTS_AFTER_S, AlertAttempted, AlertRaised, FailuresNoted, stream_of
from domain.hook.request import Request
from domain.log.event import StreamKind
from domain.log.ports import EventStore
from domain.log.stream import Aggregate, load
from domain.registry import decode
from domain.run.children import EXCEEDED, ChildIds, Parent
from domain.run.commands import FailRun
from domain.run.decide import decide
from domain.run.events import RunRequested, RunTimedOut
from domain.run.state import evolve
from domain.zap.definition import NO_STEPS
from domain.zap.events import ZapDeleted, ZapEvent, ZapPaused
from domain.zap.settings import OnFailure
from domain.zap.zap import LoadedZap, Zap
from projections.engine.registry import PROJECTIONS
from projections.engine.verify import verify_read_models
from projections.run_filter import RunFilter
from projections.run_query import list_runs
from sql.postgres.pool import connect
from sql.process.clock import new_id
from tests.support.builders import TENANT
from tests.support.eventually import eventually
from tests.support.failing import FailingHouse
from tests.support.meanwhile import until_stopped
from tests.support.projected import PARTITIONS, append


class Killed(Exception):
    """Stands for the end of the process."""


REQUEST = Request(body="{}")


async def runs_of(house: FailingHouse, zap_id: UUID) -> list[RunRequested]:
    await house.project()
    listed = await list_runs(house.store.pool, TENANT, RunFilter(zap_ids=(zap_id,), limit=100))
    streams = [await house.store.read_stream(StreamKind.RUN, run.id) for run in listed]
    events = [decode(stream[0].type, stream[0].schema_version, stream[0].data) for stream in streams]
    return [event for event in events if isinstance(event, RunRequested)]


async def test_a_thousand_failures_are_one_message_by_every_channel(house: FailingHouse, notifier: Notifier) -> None:
    error_zap = await house.zap(name="Errors")
    everywhere = OnFailure(email=("ada@example.com", "bob@example.com"), webhook=house.sink.url, zap_id=error_zap)
    zap = await house.zap(everywhere)
    await house.fail(zap, 700)
    began = house.moment
    await house.check(notifier)
    await house.fail(zap, 300)
    await house.fail(zap, 5, code="timeout")
    await house.project()
    await notifier.check(house.connection, began + timedelta(seconds=2))  # however long those took
    assert house.told() == [], "it waits for the burst to end"
    await house.settle(notifier)

    (message,) = house.told()
    (alert_id,) = house.sink.deliveries
    assert (message["id"], message["zap_id"], message["zap_name"]) == (alert_id, str(zap), "Orders")
    assert message["failures"] == 1005
    assert [(c["step_id"], c["code"], c["count"]) for c in message["causes"]] == [
        ("send", "http_503", 1000), ("send", "timeout", 5),
    ]  # fmt: skip
    cause = message["causes"][0]
    assert cause["run_url"] == f"https://hub.example.com/api/v1/runs/{cause['run_id']}"
    assert await house.store.read_stream(StreamKind.RUN, UUID(cause["run_id"]))
    assert message["since"] < message["until"]

    assert {box: len(mails) for box, mails in house.mails.boxes.items()} == {"ada@example.com": 1, "bob@example.com": 1}
    (mail,) = house.mails.boxes["ada@example.com"]
    assert (mail["subject"], mail["from"], mail["to"]) == (
        "Orders: 1005 runs failed", "hub@example.com", "ada@example.com",
    )  # fmt: skip
    assert mail["message-id"] == f"<{alert_id}@triggerhub>"
    assert "1000 x http_503 at step send: the target answered 503" in mail.get_content()

    (run,) = await runs_of(house, error_zap)
    assert (run.source, run.zap_version) == ("alert", 1)
    assert msgspec.json.decode(run.request.body) == message

    await house.settle(notifier, 3_600)
    assert len(house.told()) == 1, "there is nothing new to tell"
    health = await house.health(zap)
    assert (health.failed, health.completed) == (1005, 0)
    assert health.alert is not None
    assert (health.alert.attempts, health.alert.retry_at) == (1, None)
    assert set(health.alert.results) == {"webhook", "email:ada@example.com", "email:bob@example.com", "zap"}
    assert not any(health.alert.results.values())
    assert {group.told for group in await house.groups(zap)} == {1000, 5}
    assert await verify_read_models(house.dsn, PROJECTIONS, PARTITIONS) == []


async def test_failures_that_go_on_are_told_of_at_intervals(house: FailingHouse, notifier: Notifier) -> None:
    zap = await house.zap(OnFailure(webhook=house.sink.url, every_s=600))
    for _ in range(2):
        await house.fail(zap)
    await house.settle(notifier)
    await house.fail(zap, 3)
    await house.settle(notifier, 60)
    await house.fail(zap, 4)
    await house.settle(notifier, 60)
    assert [message["failures"] for message in house.told()] == [2]
    await house.settle(notifier, 600)
    assert [message["failures"] for message in house.told()] == [2, 7]
    first, second = house.told()
    assert first["since"] < first["until"] == second["since"], "and it says from when on"


async def test_a_deadline_is_a_failure_like_any_other(house: FailingHouse, notifier: Notifier) -> None:
    zap, run = await house.zap(OnFailure(webhook=house.sink.url)), new_id()
    ended = RunTimedOut(zap_id=zap, step_id="send", message="not ended within 60 s")
    await append(house.store, run, RunRequested(zap_id=zap, zap_version=1, source="webhook", request=REQUEST), ended,
                 tenant_id=TENANT, key=run)  # fmt: skip
    await house.settle(notifier)
    (message,) = house.told()
    assert [(c["code"], c["run_id"]) for c in message["causes"]] == [("deadline", str(run))]
    (group,) = await house.groups(zap)
    assert (group.code, group.filter.status) == ("deadline", "timed_out")


async def test_a_channel_that_fails_is_tried_again_and_then_given_up_and_the_others_are_told_once(
    house: FailingHouse, notifier: Notifier
) -> None:
    zap = await house.zap(OnFailure(webhook=house.sink.url, email=("ada@example.com",)))
    house.sink.status = 500
    await house.fail(zap)
    await house.settle(notifier)
    for delay in ATTEMPTS_AFTER_S:
        health = await house.health(zap)
        assert health.alert is not None
        assert health.alert.retry_at is not None
        assert health.alert.results == {"webhook": "the webhook answered 500", "email:ada@example.com": ""}
        await house.check(notifier, delay - 6)
        await house.check(notifier, 7)
    health = await house.health(zap)
    assert health.alert is not None
    assert (health.alert.attempts, health.alert.retry_at) == (len(ATTEMPTS_AFTER_S) + 1, None)
    assert health.alert.results["webhook"] == "the webhook answered 500"
    ((alert_id, bodies),) = house.sink.deliveries.items()
    assert alert_id == str(health.alert.id)
    assert len(bodies) == len(ATTEMPTS_AFTER_S) + 1
    assert len(set(bodies)) == 1, "every attempt says the same"
    assert len(house.mails.mails) == 1
    await house.settle(notifier, 100_000)
    assert house.sink.count == len(ATTEMPTS_AFTER_S) + 1


async def test_a_bad_channel_delays_no_other_and_is_told_later_what_it_has_missed(
    house: FailingHouse, notifier: Notifier
) -> None:
    """While one is tried again for half an hour, the other hears of new failures at its own interval."""
    zap = await house.zap(OnFailure(webhook=house.sink.url, email=("ada@example.com",), every_s=10))
    house.sink.status = 500
    for code in ("http_503", "timeout", "http_503"):
        await house.fail(zap, 2, code=code)
        await house.settle(notifier, 20)
    assert len(house.mails.boxes["ada@example.com"]) == 3
    house.sink.status = 200
    house.sink.deliveries.clear()
    await house.fail(zap, 1, code="http_503")
    await house.settle(notifier, 20)
    assert "1 run failed" in str(house.mails.boxes["ada@example.com"][-1]["subject"])
    (message,) = house.told()
    assert message["failures"] == 7
    assert {(cause["code"], cause["count"]) for cause in message["causes"]} == {("http_503", 5), ("timeout", 2)}
    house.sink.deliveries.clear()
    await house.fail(zap, 1)
    await house.settle(notifier, 20)
    assert [message["failures"] for message in house.told()] == [1], "it owes nothing any more"


async def test_a_tenant_sends_so_many_mails_an_hour_and_the_others_later(house: FailingHouse) -> None:
    notifier = house.notifier(per_hour=3)
    zap = await house.zap(OnFailure(email=tuple(f"p{n}@example.com" for n in range(5))))
    foreign = new_id()
    await house.fail(zap)
    await house.settle(notifier)
    assert sum(len(mails) for mails in house.mails.boxes.values()) == 3
    health = await house.health(zap)
    assert health.alert is not None
    refused = [reason for reason in health.alert.results.values() if reason]
    assert refused == ["this account's alerts may send 3 mails an hour, and have"] * 2
    allowance = MailAllowance(1)
    assert [allowance.take(who, house.moment) for who in (zap, zap, foreign)] == [True, False, True]
    await house.check(notifier, 3_600)
    assert sum(len(mails) for mails in house.mails.boxes.values()) == 5


async def test_a_target_that_hangs_delays_the_alerts_of_nobody_else(
    house: FailingHouse, notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.notifier.alert_channels.TIMEOUT_S", 100.0)
    monkeypatch.setattr("consumers.notifier.notifier.PATIENCE_S", 0.5)
    slow = await house.zap(OnFailure(webhook=house.sink.url), name="Slow")
    quick = await house.zap(OnFailure(email=("ada@example.com",)), name="Quick")
    release = house.sink.hold()
    await house.fail(slow)
    await house.settle(notifier)
    await house.fail(quick)
    await house.settle(notifier)
    assert len(house.mails.boxes["ada@example.com"]) == 1
    await eventually(lambda: house.sink.count == 1)
    assert AlertAttempted not in {type(event) for event in await house.failures_of(slow)}, "it still hangs"
    release.set()


async def test_a_mail_server_that_heals_gets_the_mail_and_its_refusals_are_on_record(
    house: FailingHouse, notifier: Notifier
) -> None:
    zap = await house.zap(OnFailure(email=("ada@example.com",)))
    house.mails.refusal = "451 4.3.0 the disk is full"
    await house.fail(zap)
    await house.settle(notifier)
    health = await house.health(zap)
    assert health.alert is not None
    assert "the disk is full" in health.alert.results["email:ada@example.com"]
    house.mails.refusal = ""
    await house.check(notifier, 11)
    assert len(house.mails.boxes["ada@example.com"]) == 1
    health = await house.health(zap)
    assert health.alert is not None
    assert (health.alert.results, health.alert.retry_at) == ({"email:ada@example.com": ""}, None)


async def test_after_a_crash_between_sending_and_recording_the_same_alert_is_sent_again(
    house: FailingHouse, notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    error_zap = await house.zap(name="Errors")
    zap = await house.zap(OnFailure(webhook=house.sink.url, zap_id=error_zap))
    await house.fail(zap, 3)
    send = Channels.send

    async def crash(*arguments: Any) -> dict[str, str]:
        await send(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Channels, "send", crash)
        with pytest.raises(Killed):
            await house.settle(notifier)
    await house.fail(zap, 5)
    await house.check(house.notifier())
    ((_, bodies),) = house.sink.deliveries.items()
    assert len(bodies) == 2
    assert bodies[0] == bodies[1], "though more has failed since"
    assert len(await runs_of(house, error_zap)) == 1
    await house.settle(notifier, 1_000)
    assert [message["failures"] for message in house.told()] == [3, 3, 5], "and that is told in its turn"


async def test_read_models_that_lag_tell_nothing_twice(house: FailingHouse, notifier: Notifier) -> None:
    zap = await house.zap(OnFailure(webhook=house.sink.url))
    house.sink.status = 500
    await house.fail(zap)
    await house.settle(notifier)
    moment = house.moment + timedelta(seconds=60)
    for _ in range(3):
        await notifier.check(house.connection, moment)
    assert house.sink.count == 2, "the second attempt was recorded, and is not made for a third time"


async def test_a_note_in_the_middle_of_sending_does_not_send_it_again(house: FailingHouse, notifier: Notifier) -> None:
    zap = await house.zap(OnFailure(webhook=house.sink.url))
    house.sink.delay_s = 0.3
    await house.fail(zap)
    await house.check(notifier)
    telling = asyncio.create_task(house.settle(notifier))
    await house.sink.arrived.wait()
    noted = FailuresNoted(zap_id=zap, step_id="send", code="http_503", note="I know")
    await append(house.store, stream_of(zap), noted, tenant_id=TENANT, key=zap, kind=StreamKind.CORE)
    await telling
    await house.settle(notifier, 30)
    assert house.sink.count == 1


async def test_of_several_notifiers_one_tells(house: FailingHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if both believe that they lead, and have seen the same."""
    zap = await house.zap(OnFailure(webhook=house.sink.url))
    await house.fail(zap, 10)
    await house.project()
    first, second = house.notifier(), house.notifier()
    for notifier in (first, second):
        await notifier.check(house.connection, house.moment)
    later = house.moment + timedelta(seconds=10)
    both, raise_next = asyncio.Barrier(2), Notifier._next_alert

    async def at_once(*arguments: Any) -> Any:
        await both.wait()
        return await raise_next(*arguments)

    monkeypatch.setattr(Notifier, "_next_alert", at_once)
    other = await connect(house.dsn, "test")
    await asyncio.gather(first.check(house.connection, later), second.check(other, later))
    await other.close()
    assert [message["failures"] for message in house.told()] == [10]


async def test_a_notifier_takes_over_when_the_leader_is_gone(
    house: FailingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.notifier.notifier.POLL_S", 0.02)
    monkeypatch.setattr("consumers.notifier.notifier.SETTLE", timedelta(0))
    leader = "select pid from pg_locks where locktype = 'advisory' and classid = 7301 and objid = 5 and granted"
    async with until_stopped(house.notifier().run, house.notifier().run):
        pid = await eventually(lambda: house.connection.fetchval(leader))
        zap = await house.zap(OnFailure(webhook=house.sink.url, every_s=10))
        await house.fail(zap)
        await house.project()
        await eventually(lambda: house.sink.count == 1)
        await house.connection.execute("select pg_terminate_backend($1)", pid)
        other = await eventually(lambda: house.connection.fetchval(leader + f" and pid <> {pid}"))
        assert other
        fresh = await house.zap(OnFailure(webhook=house.sink.url))
        await house.fail(fresh)
        await house.project()
        await eventually(lambda: house.sink.count == 2)


async def test_failures_of_an_error_zap_run_no_error_zap_but_reach_the_webhook(
    house: FailingHouse, notifier: Notifier
) -> None:
    last = await house.zap(name="Last resort")
    error_zap = await house.zap(OnFailure(zap_id=last, webhook=house.sink.url), name="Errors")
    await house.fail(error_zap, 3, source="alert")
    await house.settle(notifier)
    assert [message["failures"] for message in house.told()] == [3]
    assert await runs_of(house, last) == []
    await house.fail(error_zap, 2, source="alert")
    await house.fail(error_zap, source="webhook")
    await house.settle(notifier, 1_000)
    assert len(await runs_of(house, last)) == 1, "what somebody else sent it has its error zap"
    await house.fail(error_zap, source="alert")
    await house.settle(notifier, 1_000)
    assert len(await runs_of(house, last)) == 1


@pytest.mark.parametrize("status", ["paused", "deleted", "foreign", "missing"])
async def test_an_error_zap_that_can_not_run_is_on_record(house: FailingHouse, notifier: Notifier, status: str) -> None:
    error_zap = await house.zap(name="Errors", tenant=new_id() if status == "foreign" else TENANT)
    if status in {"paused", "deleted"}:
        await house.on_zap(error_zap, ZapPaused() if status == "paused" else ZapDeleted())
    zap = await house.zap(OnFailure(zap_id=new_id() if status == "missing" else error_zap))
    await house.fail(zap)
    await house.settle(notifier)
    health = await house.health(zap)
    assert health.alert is not None
    reason = "the error zap is not enabled: it is paused" if status == "paused" else "the error zap does not exist"
    assert health.alert.results == {"zap": reason}


async def test_without_a_channel_an_alert_is_recorded_once_and_goes_nowhere(
    house: FailingHouse, notifier: Notifier
) -> None:
    zap, deleted = await house.zap(), await house.zap(OnFailure(webhook=house.sink.url))
    for failing in (zap, deleted):
        await house.fail(failing)
    await house.on_zap(deleted, ZapDeleted())
    for _ in range(3):
        await house.settle(notifier)
    for failing in (zap, deleted):
        raised, attempted = await house.failures_of(failing)
        assert isinstance(raised, AlertRaised)
        assert isinstance(attempted, AlertAttempted)
        assert (attempted.results, attempted.retry_at) == ({}, None)
    assert house.sink.count == 0


async def test_an_internal_address_is_refused_and_that_is_on_record(house: FailingHouse) -> None:
    zap = await house.zap(OnFailure(webhook=house.sink.url))
    await house.fail(zap)
    async with Outbound([]) as guarded:
        await house.settle(house.notifier(guarded))
    assert house.sink.count == 0
    health = await house.health(zap)
    assert health.alert is not None
    assert "internal address" in health.alert.results["webhook"]


@pytest.mark.parametrize("place", ["consumers.notifier.notifier.load", "consumers.notifier.flags.failing"])
async def test_a_bug_met_with_one_zap_does_not_silence_the_others(
    house: FailingHouse, notifier: Notifier, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    broken, sound = [await house.zap(OnFailure(webhook=house.sink.url), name=name) for name in ("Broken", "Sound")]

    async def load_sound(store: EventStore, aggregate: Aggregate[Zap, ZapEvent], zap_id: UUID) -> LoadedZap | None:
        if zap_id == broken:
            raise LookupError
        return await load(store, aggregate, zap_id)

    async def crash(_connection: object) -> None:
        raise LookupError

    for zap in (broken, sound):
        await house.fail(zap)
    with monkeypatch.context() as patch:
        patch.setattr(place, load_sound if place.endswith("load") else crash)
        await house.settle(notifier)
    assert "Sound" in {message["zap_name"] for message in house.told()}
    await house.settle(notifier)
    assert {message["zap_name"] for message in house.told()} == {"Broken", "Sound"}


async def test_a_loop_whose_items_fail_is_one_failure(house: FailingHouse, notifier: Notifier) -> None:
    """The items' ends are in the log like all others, and say that their loop counts."""
    zap, root = await house.zap(OnFailure(webhook=house.sink.url)), new_id()

    async def fails(run_id: UUID, requested: RunRequested, step_id: str, code: str) -> None:
        end = decide(FailRun(step_id, code, "no answer"), evolve(None, requested), NO_STEPS)
        await append(house.store, run_id, requested, *end, tenant_id=TENANT, key=root)

    asked = RunRequested(zap_id=zap, zap_version=1, source="webhook", request=REQUEST)
    for index in range(300):
        above = Parent(run_id=root, step_id="each", waits=True, index=index, count=300, version=1)
        item = msgspec.structs.replace(asked, source="item", parent=above)
        await fails(ChildIds(root, "each").of(index), item, "send", "http_503")
    await house.settle(notifier)
    assert house.told() == []
    await fails(root, asked, "each", EXCEEDED)
    await house.settle(notifier)
    (message,) = house.told()
    assert message["failures"] == 1
    assert [(c["step_id"], c["code"], c["run_id"]) for c in message["causes"]] == [("each", EXCEEDED, str(root))]
    assert [(group.step_id, group.count) for group in await house.groups(zap)] == [("each", 1)]
    assert (await house.health(zap)).failed == 1
