"""Filters, paths and values in real runs: what is decided, what is called, and what a crash may not change."""

from collections.abc import AsyncIterator

import pytest

from domain.flow.retry import FixedRetry
from domain.flow.steps import ActionStep, Branch, DelayStep, FilterStep, PathsStep, ReturnStep, SetStep, StopStep
from domain.log.event import StreamKind
from domain.run.events import (
    RunCompleted,
    RunFailed,
    RunFiltered,
    RunResumed,
    StepDecided,
    StepDelayed,
    StepSucceeded,
)
from domain.values.json import JsonObject
from tests.support.bench import Bench, at_work
from tests.support.broker import Broker
from tests.support.sink import Sink


@pytest.fixture
async def bench(dsn: str, broker: Broker) -> AsyncIterator[Bench]:
    async with at_work(dsn, broker) as bench:
        yield bench


def call(sink: Sink, step_id: str, body: str = "x") -> ActionStep:
    return ActionStep(step_id, "http.request", {"url": sink.url, "body": body}, retry=FixedRetry())


def rule(field: str, operator: str, value: object = None) -> JsonObject:
    made: JsonObject = {"field": field, "operator": operator}
    return made if value is None else {**made, "value": value}  # type: ignore[dict-item]


async def test_a_filter_lets_through_what_it_should(bench: Bench, sink: Sink) -> None:
    big = FilterStep("big", rule("trigger.body.total", "greater_than", 100))
    zap = await bench.publish(big, call(sink, "send"))
    small, large = await bench.request(zap, '{"total": 5}'), await bench.request(zap, '{"total": 500}')
    await bench.has(large, StepDecided, StepSucceeded, RunCompleted)
    _, end = await bench.has(small, StepDecided, RunFiltered)
    assert isinstance(end, RunFiltered)
    assert end.reason == "trigger.body.total greater_than 100: is 5"
    assert list(sink.deliveries) == [f"{large}.send"]


async def test_a_branch_is_taken_and_its_output_is_seen_behind_it(bench: Bench, sink: Sink) -> None:
    route = PathsStep(
        "route",
        (
            Branch("eu", rule("trigger.body.country", "in", ["DE", "FR"]), (SetStep("vat", {"rate": 0.19}),)),
            Branch("us", rule("trigger.body.country", "equals", "US"), (SetStep("tax", {"rate": 0}),)),
        ),
    )
    send = call(sink, "send", "{{ steps.route.output.taken[0] }} {{ steps.route.output.result.rate }}")
    run = await bench.request(await bench.publish(route, send), '{"country": "FR"}')
    await bench.has(run, StepDecided, StepSucceeded, StepSucceeded, RunCompleted)
    assert list(sink.deliveries.values()) == [[b"eu 0.19"]]


async def test_values_are_worked_out_once_and_a_run_answers_with_them(bench: Bench) -> None:
    values = SetStep("v", {"sum": "{{ trigger.body.a | plus: trigger.body.b }}", "all": "{{ trigger.body }}"})
    zap = await bench.publish(values, ReturnStep("answer", {"n": "{{ steps.v.output.all.a }}"}))
    run = await bench.request(zap, '{"a": 1, "b": 2}')
    first, second, end = await bench.has(run, StepSucceeded, StepSucceeded, RunCompleted)
    assert isinstance(first, StepSucceeded)
    assert first.output == {"sum": "3", "all": {"a": 1, "b": 2}}
    assert isinstance(second, StepSucceeded)
    assert second.output == {"n": 1}
    assert end == RunCompleted(zap_id=zap, step_id="answer", returned=True)


async def test_steps_that_call_nobody_are_one_append(bench: Bench, sink: Sink) -> None:
    passes = rule("trigger.body", "exists")
    route = PathsStep("route", (Branch("a", passes, (FilterStep("two", passes), SetStep("v", {"x": "1"}))),))
    zap = await bench.publish(FilterStep("one", passes), route, call(sink, "send"), FilterStep("three", passes))
    run = await bench.request(zap)
    await bench.has(run, *[StepDecided] * 3, StepSucceeded, StepSucceeded, StepDecided, RunCompleted)
    stored = await bench.store.read_stream(StreamKind.RUN, run)
    assert (
        len({event.recorded_at for event in stored}) == 4
    )  # the request, three decisions and the set, the call, the end


async def test_a_stop_says_why(bench: Bench, sink: Sink) -> None:
    zap = await bench.publish(StopStep("halt", "failed", "no route for {{ trigger.body.c }}"), call(sink, "never"))
    _, end = await bench.has(await bench.request(zap, '{"c": "FR"}'), StepSucceeded, RunFailed)
    assert end == RunFailed(zap_id=zap, step_id="halt", code="stopped", message="no route for FR")
    assert not sink.deliveries


async def test_a_delay_until_a_time_of_day_ends_then_in_its_zone(bench: Bench) -> None:
    zap = await bench.publish(DelayStep("nap", until="09:00", time_zone="Australia/Lord_Howe"))
    run = await bench.request(zap)
    (delayed,) = await bench.has(run, StepDelayed)
    assert isinstance(delayed, StepDelayed)
    assert 0 < (delayed.until - bench.clock()).total_seconds() <= 25 * 3600
    await bench.fire(delayed.until)
    await bench.has(run, StepDelayed, RunResumed, StepSucceeded, RunCompleted)
