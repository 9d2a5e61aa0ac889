"""Zaps that call zaps: each call is a run of its own, in whatever order and partition that zap has its runs."""

from uuid import UUID

import pytest

from domain.aggregates import RUN
from domain.flow.retry import FixedRetry
from domain.flow.steps import ActionStep, DelayStep, ForEachStep, ReturnStep, Step, StopStep, WaitForStep, ZapStep
from domain.hook.hops import OWN_PER_MINUTE
from domain.hook.request import Request
from domain.log.event import Appended, Metadata, StreamKind
from domain.log.stream import handle, load
from domain.run.answers import receive
from domain.run.children import ChildIds, LoopFinished, ZapCalled
from domain.run.events import (
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunRequested,
    RunResumed,
    StepDelayed,
    StepFailed,
    StepPostponed,
    StepSucceeded,
)
from domain.run.waits import CallbackReceived
from domain.values.json import JsonObject
from domain.zap.definition import Definition, Trigger
from domain.zap.events import ZapCreated, ZapDeleted, ZapEnabled, ZapEvent, ZapPaused, ZapPublished
from domain.zap.settings import Concurrency, ZapSettings
from sql.process.clock import new_id, now
from tests.support.bench import Bench
from tests.support.builders import TENANT, an_append
from tests.support.eventually import eventually
from tests.support.sink import Sink

ANSWER = ReturnStep("answer", {"double": "{{ trigger.body.n | times: 2 }}"})
TENANT_OF_OTHERS = UUID(int=77)


async def callee(
    bench: Bench,
    *steps: Step,
    schema: "JsonObject | None" = None,
    settings: ZapSettings | None = None,
    zap_id: UUID | None = None,
    owner: UUID = TENANT,
) -> UUID:
    """A published zap that can be called."""
    zap_id = zap_id or new_id()
    trigger = Trigger("zap.called", {"input_schema": schema} if schema else {})
    definition = Definition(trigger, steps, settings or ZapSettings())
    published = ZapPublished(number=1, name="z", definition=definition)
    await happens(bench, zap_id, 0, ZapCreated(name="z", definition=definition), published, ZapEnabled(), owner=owner)
    return zap_id


async def happens(bench: Bench, zap_id: UUID, version: int, *events: ZapEvent, owner: UUID = TENANT) -> None:
    """Something is recorded of a zap."""
    append = an_append(
        *events, stream_id=zap_id, kind=StreamKind.CORE, ordering_key=zap_id, expected=version, tenant_id=owner
    )
    assert isinstance(await bench.store.append(append), Appended)


def child(run: UUID) -> UUID:
    return ChildIds(run, "sub").of(0)


async def test_the_caller_waits_for_the_value(bench: Bench, sink: Sink) -> None:
    answers = await callee(bench, ANSWER)
    after = ActionStep("after", "http.request", {"url": sink.url, "body": "{{ steps.sub.output.value.double }}"})
    run = await bench.request(
        await bench.publish(ZapStep("sub", answers, {"n": "{{ trigger.body.n }}"}), after), '{"n": 21}'
    )
    events = await bench.has(run, ZapCalled, RunResumed, StepSucceeded, StepSucceeded, RunCompleted)
    assert isinstance(events[2], StepSucceeded)
    assert events[2].output == {"run_id": str(child(run)), "status": "completed", "value": {"double": "42"}}
    assert sink.deliveries[f"{run}.after"] == [b'"42"']
    requested = (await bench.events(child(run)))[0]
    assert isinstance(requested, RunRequested)
    assert (requested.source, requested.depth, requested.zap_id) == ("zap", 1, answers)


async def test_without_waiting_the_caller_goes_on(bench: Bench) -> None:
    sleeps = await callee(bench, DelayStep("nap", for_s=3600))
    run = await bench.request(await bench.publish(ZapStep("sub", sleeps, wait=False)))
    events = await bench.has(run, ZapCalled, StepSucceeded, RunCompleted)
    assert isinstance(events[1], StepSucceeded)
    assert events[1].output == {"run_id": str(child(run))}
    await bench.has(child(run), StepDelayed)


@pytest.mark.parametrize(("as_", "code"), [("failed", "stopped"), ("cancelled", "cancelled")])
async def test_the_failure_of_the_called_run_is_that_of_the_step(bench: Bench, as_: str, code: str) -> None:
    fails = await callee(bench, StopStep("halt", as_, "no such order"))  # type: ignore[arg-type]
    run = await bench.request(await bench.publish(ZapStep("sub", fails)))
    events = await bench.has(run, ZapCalled, RunResumed, StepFailed, RunFailed)
    assert isinstance(events[2], StepFailed)
    assert events[2].failure.code == code
    assert "no such order" in events[2].failure.message
    assert events[2].failure.output == {"run_id": str(child(run)), "status": as_}


async def test_a_wait_ends_in_time_and_the_called_run_with_it(bench: Bench) -> None:
    sleeps = await callee(bench, DelayStep("nap", for_s=7200))
    run = await bench.request(await bench.publish(ZapStep("sub", sleeps, timeout_s=60)))
    await bench.has(child(run), StepDelayed)
    bench.clock.forward(61)
    await bench.fire_timer(run)
    events = await bench.has(run, ZapCalled, RunResumed, StepFailed, RunFailed)
    assert isinstance(events[2], StepFailed)
    assert events[2].failure.code == "timeout"
    await bench.has(child(run), StepDelayed, RunCancelled)


def called_back(step_id: str) -> CallbackReceived:
    return CallbackReceived(step_id=step_id, request=Request(body="{}"), at=now())


@pytest.mark.parametrize("early", [1, 2])
async def test_callbacks_that_come_early_leave_the_end_of_the_wait_as_it_is(bench: Bench, early: int) -> None:
    sleeps = await callee(bench, DelayStep("nap", for_s=7200))
    steps = ZapStep("sub", sleeps, timeout_s=60), WaitForStep("paid"), WaitForStep("sent")
    run = await bench.request(await bench.publish(*steps))
    await bench.has(child(run), StepDelayed)
    for step_id in ("paid", "sent")[:early]:
        await from_outside(bench, run, called_back(step_id))
    bench.clock.forward(61)
    await bench.fire_timer(run)
    events = await came_to(bench, run, ZapCalled, *[CallbackReceived] * early, StepFailed, RunFailed)
    failed = events[-2]
    assert isinstance(failed, StepFailed)
    assert failed.failure.code == "timeout"
    await bench.has(child(run), StepDelayed, RunCancelled)


async def test_a_callback_that_comes_early_counts_once_the_call_is_over(bench: Bench) -> None:
    sleeps = await callee(bench, DelayStep("nap", for_s=60))
    run = await bench.request(await bench.publish(ZapStep("sub", sleeps, timeout_s=3600), WaitForStep("paid")))
    await bench.has(child(run), StepDelayed)
    await from_outside(bench, run, called_back("paid"))
    await bench.fire_timer(child(run))
    await came_to(bench, run, ZapCalled, CallbackReceived, StepSucceeded, StepSucceeded, RunCompleted)
    assert not await bench.store.pool.fetchval("select count(*) from es.timers where stream_id = $1", run)


async def came_to(bench: Bench, run: UUID, *types: type[RunEvent]) -> list[RunEvent]:
    """Wait for this history, apart from wake-ups: a runner that a callback wakes may see that the wait is over."""

    async def found() -> list[RunEvent] | None:
        events = [event for event in await bench.events(run) if type(event) is not RunResumed][1:]
        return events if [type(event) for event in events] == list(types) else None

    history: list[RunEvent] = await eventually(found)
    return history


async def from_outside(bench: Bench, run: UUID, received: CallbackReceived) -> None:
    """As the API records it."""
    loaded = await load(bench.store, RUN, run)
    assert loaded is not None
    await handle(bench.store, new_id, loaded, lambda state: receive(state, received), Metadata(actor="test"))


async def test_what_cannot_be_called_fails_the_step(bench: Bench) -> None:
    strict: JsonObject = {"type": "object", "required": ["id"]}
    deleted = await callee(bench)
    await happens(bench, deleted, 3, ZapDeleted())
    paused = await callee(bench)
    await happens(bench, paused, 3, ZapPaused())
    cases = {
        await callee(bench, schema=strict): "input_invalid",
        await callee(bench, owner=TENANT_OF_OTHERS): "zap_missing",
        new_id(): "zap_missing",
        deleted: "zap_missing",
        paused: "zap_paused",
        await bench.publish(): "zap_not_callable",
    }
    for zap_id, code in cases.items():
        failed, _ = await bench.has(
            await bench.request(await bench.publish(ZapStep("sub", zap_id, {}))), StepFailed, RunFailed
        )
        assert isinstance(failed, StepFailed)
        assert failed.failure.code == code, failed.failure


async def test_a_paused_zap_that_holds_requests_is_waited_for(bench: Bench) -> None:
    held = await callee(bench, settings=ZapSettings(when_paused="hold"))
    await happens(bench, held, 3, ZapPaused())
    run = await bench.request(await bench.publish(ZapStep("sub", held, {})))
    await bench.has(run, StepPostponed)
    await happens(bench, held, 4, ZapEnabled())
    await bench.fire_timer(run)
    await bench.has(run, StepPostponed, RunResumed, ZapCalled, RunResumed, StepSucceeded, RunCompleted)


async def test_calls_of_a_serial_zap_take_turns(bench: Bench, sink: Sink) -> None:
    note = ActionStep("note", "http.request", {"url": sink.url, "body": "{{ trigger.body }}"}, retry=FixedRetry())
    serial = await callee(bench, note, settings=ZapSettings(concurrency=Concurrency(mode="serial")))
    loop = ForEachStep("each", "{{ trigger.body }}", (ZapStep("sub", serial, "{{ item }}"),), order="parallel", limit=5)
    run = await bench.request(await bench.publish(loop), "[1, 2, 3, 4, 5]")
    await bench.has(run, *(await ended(bench, run)))
    assert len(sink.deliveries) == 5


async def ended(bench: Bench, run: UUID) -> list[type]:
    async def so() -> bool:
        return isinstance((await bench.events(run))[-1], RunCompleted)

    await eventually(so)
    return [type(event) for event in (await bench.events(run))[1:]]


async def test_ten_zaps_call_one_another_and_an_eleventh_is_refused(bench: Bench) -> None:
    last = await callee(bench, ReturnStep("answer", "deep"))
    chain = [last]
    for _ in range(10):
        chain.append(await callee(bench, ZapStep("sub", chain[-1]), ReturnStep("up", "{{ steps.sub.output.value }}")))
    fine = await bench.request(await bench.publish(ZapStep("sub", chain[9])))
    events = await bench.has(fine, ZapCalled, RunResumed, StepSucceeded, RunCompleted)
    assert isinstance(events[2], StepSucceeded)
    assert isinstance(events[2].output, dict)
    assert events[2].output["value"] == "deep"
    deep = await bench.request(await bench.publish(ZapStep("sub", chain[10])))
    events = await bench.has(deep, ZapCalled, RunResumed, StepFailed, RunFailed)
    assert isinstance(events[2], StepFailed)
    assert events[2].failure.code == "loop_detected"


async def test_a_zap_that_calls_back_is_refused(bench: Bench) -> None:
    first, second = new_id(), new_id()
    await callee(bench, ZapStep("sub", second), zap_id=first)
    await callee(bench, ZapStep("sub", first), zap_id=second)
    run = await bench.request(first)
    events = await bench.has(run, ZapCalled, RunResumed, StepFailed, RunFailed)
    assert isinstance(events[2], StepFailed)
    assert events[2].failure.code == "loop_detected"


async def test_runs_that_come_from_a_zap_call_it_so_often_and_no_more(bench: Bench) -> None:
    """As where a zap posts to the hook of another one that calls it back: neither is the other's caller."""
    called = await callee(bench)
    each = ForEachStep(
        "each", [*range(OWN_PER_MINUTE + 30)], (ZapStep("sub", called, wait=False),), order="parallel", limit=30,
        on_item_error="continue",
    )  # fmt: skip
    other = await bench.publish(each)
    requested = RunRequested(zap_id=other, zap_version=1, source="webhook", request=Request(), depth=1, via=(called,))
    run = new_id()
    await bench.store.append(an_append(requested, stream_id=run, ordering_key=run, expected=0))

    async def ended() -> bool:
        return isinstance((await bench.events(run))[-1], RunCompleted)

    await eventually(ended)
    (finished,) = [event for event in await bench.events(run) if isinstance(event, LoopFinished)]
    assert OWN_PER_MINUTE <= finished.succeeded < OWN_PER_MINUTE + 30
    assert {failure.code for failure in finished.failures} == {"loop_detected"}
    first = (await bench.events(ChildIds(ChildIds(run, "each").of(0), "sub").of(0)))[0]
    assert isinstance(first, RunRequested)
    assert first.via == (called, other)
