"""Retries, deadlines, delays, error paths and announced attempts, over a real log, broker and target."""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from uuid import UUID

import msgspec
import pytest

from consumers.connectors import catalog
from consumers.outbound.circuit import FAILURES
from domain.connector.catalog import Catalog
from domain.connector.descriptor import ActionContext, ActionDescriptor
from domain.connector.outcome import Outcome, Succeeded
from domain.flow.retry import DEFAULT, JITTER, ExponentialRetry, FixedRetry, schedule_s
from domain.flow.steps import ActionStep, DelayStep, ErrorPath, OnUnknown
from domain.log.event import Appended, StreamKind
from domain.run import events as run
from domain.values.json import JsonObject
from domain.zap.settings import ZapSettings
from tests.support.bench import Bench, at_work
from tests.support.broker import Broker
from tests.support.builders import an_append
from tests.support.eventually import eventually
from tests.support.sink import Sink

OPEN = """
    select count(*) from es.events first where first.type = 'zap.run.requested' and first.stream_id = any($1::uuid[])
    and not exists (select from es.events e where e.kind = 1 and e.stream_id = first.stream_id and e.type in
        ('zap.run.completed', 'zap.run.filtered', 'zap.run.failed', 'zap.run.timed_out', 'zap.run.cancelled'))
    and not exists (select from es.timers t where t.stream_id = first.stream_id)
"""
"""Runs that somebody is carrying on at this moment: neither ended nor waiting."""


def nobody_there() -> str:
    """An address that refuses connections, of a test's own: circuits are kept by address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


def a_step(sink: Sink, step_id: str = "send", **fields: object) -> ActionStep:
    step = ActionStep(step_id, "http.request", {"url": sink.url})
    return msgspec.structs.replace(step, **fields)


async def test_a_target_that_fails_for_ten_minutes_and_heals_has_every_run_completed(bench: Bench, sink: Sink) -> None:
    zap = await bench.publish(a_step(sink))
    sink.status = 503
    broken_from = bench.clock()
    runs = [await bench.request(zap) for _ in range(100)]

    async def quiet() -> bool:
        return not await bench.store.pool.fetchval(OPEN, runs)

    completed: set[UUID] = set()
    for _ in range(200):
        await eventually(quiet)
        streams = await bench.store.read_streams(StreamKind.RUN, runs)
        completed = {run_id for run_id, events in streams.items() if events[-1].type == "zap.run.completed"}
        if len(completed) == len(runs):
            break
        bench.clock.forward(60)
        if bench.clock() - broken_from > timedelta(minutes=10):
            sink.status = 200
        await bench.fire()
    assert completed == set(runs)
    tried = 0
    for run_id in runs:
        attempts = [event for event in await bench.events(run_id) if isinstance(event, run.StepAttempt)]
        assert [event.attempt for event in attempts] == list(range(1, len(attempts) + 1))
        for failed, scheduled in zip(attempts[:-1], schedule_s(DEFAULT), strict=False):
            assert isinstance(failed, run.StepAttemptFailed)
            ended = failed.started_at + timedelta(milliseconds=failed.duration_ms)
            delay = (failed.retry_at - ended).total_seconds()
            assert scheduled * (1 - JITTER) - 0.5 <= delay <= scheduled * (1 + JITTER) + 0.5
        assert (attempts[-1].started_at - broken_from).total_seconds() > 600
        tried += len(attempts) - 1
    # The circuit spares a dead target: without it 100 runs would have made five attempts each within these minutes.
    assert FAILURES <= tried < 300
    assert all(len(set(bodies)) == 1 for bodies in sink.deliveries.values())


async def test_the_policy_of_the_step_decides(bench: Bench, sink: Sink) -> None:
    sink.status = 404
    fixed = FixedRetry(delays_s=(7.0,), on=("4xx",))
    run_id = await bench.request(await bench.publish(a_step(sink, retry=fixed)))
    (failed,) = await bench.has(run_id, run.StepAttemptFailed)
    assert isinstance(failed, run.StepAttemptFailed)
    delay = (failed.retry_at - failed.started_at).total_seconds() - failed.duration_ms / 1000
    assert 7 * (1 - JITTER) - 0.1 <= delay <= 7 * (1 + JITTER) + 0.1
    bench.clock.forward(10)
    await bench.fire()
    await bench.has(run_id, run.StepAttemptFailed, run.RunResumed, run.StepFailed, run.RunFailed)


@pytest.mark.parametrize("retry_after", ["120", "Wed, 21 Oct 2015 07:28:00 GMT", "-1", "1e9", "soon", "120.1"])
async def test_a_wish_of_the_target_is_heard_within_bounds(bench: Bench, sink: Sink, retry_after: str) -> None:
    sink.status, sink.headers = 429, {"Retry-After": retry_after}
    run_id = await bench.request(await bench.publish(a_step(sink, retry=ExponentialRetry(first_s=10))))
    (failed,) = await bench.has(run_id, run.StepAttemptFailed)
    assert isinstance(failed, run.StepAttemptFailed)
    delay = (failed.retry_at - failed.started_at).total_seconds()
    assert (119 <= delay <= 125) if retry_after == "120" else (8 <= delay <= 12.5)


async def test_a_step_has_its_own_time_limit(bench: Bench, sink: Sink) -> None:
    sink.delay_s = 30
    run_id = await bench.request(await bench.publish(a_step(sink, timeout_s=0.2)))
    (failed,) = await bench.has(run_id, run.StepAttemptFailed)
    assert isinstance(failed, run.StepAttemptFailed)
    assert (failed.failure.code, failed.duration_ms < 30_000) == ("timeout", True)


async def test_a_deadline_ends_a_run_that_waits_and_one_that_works(bench: Bench, sink: Sink) -> None:
    settings = ZapSettings(deadline_s=60)
    sink.status = 500
    waiting = await bench.request(
        await bench.publish(a_step(sink, retry=FixedRetry(delays_s=(3600.0,))), settings=settings)
    )
    await bench.has(waiting, run.StepAttemptFailed)
    sink.delay_s = 30
    working = await bench.request(await bench.publish(a_step(sink), settings=settings))
    await eventually(lambda: f"{working}.send" in sink.deliveries)
    bench.clock.forward(61)
    await bench.fire()
    for run_id, events in ((waiting, [run.StepAttemptFailed, run.RunTimedOut]), (working, [run.RunTimedOut])):
        (*_, end) = await bench.has(run_id, *events)
        assert isinstance(end, run.RunTimedOut)
        assert end.step_id == "send"
    bench.clock.forward(2 * 3600)
    await bench.fire()
    assert not await bench.store.pool.fetchval("select count(*) from es.timers where stream_id = $1", waiting)
    assert [type(event) for event in (await bench.events(waiting))[1:]] == [run.StepAttemptFailed, run.RunTimedOut]


async def test_a_failure_leads_to_the_error_path_and_its_steps_see_it(bench: Bench, sink: Sink) -> None:
    tell = ActionStep(
        "tell", "http.request", {"url": f"{sink.url}/tell", "body": {"code": "{{ steps.send.error.code }}"}}
    )
    gone = ActionStep("send", "http.request", {"url": nobody_there()}, retry=FixedRetry())
    path = msgspec.structs.replace(gone, on_error=ErrorPath((tell,)))
    run_id = await bench.request(await bench.publish(path, a_step(sink, "never")))
    await bench.has(run_id, run.StepFailed, run.StepSucceeded, run.RunCompleted)
    assert dict(sink.deliveries) == {f"{run_id}.tell": [b'{"code":"connect"}']}


async def test_a_delay_of_months_is_a_row_and_then_the_run_goes_on(bench: Bench, sink: Sink) -> None:
    zap = await bench.publish(
        DelayStep("nap", for_s=90 * 24 * 3600), DelayStep("until", until="{{ trigger.body.at }}"), a_step(sink)
    )
    run_id = await bench.request(zap, '{"at": "2020-01-01T00:00:00Z"}')
    (delayed,) = await bench.has(run_id, run.StepDelayed)
    assert isinstance(delayed, run.StepDelayed)
    assert 0 <= (delayed.until - bench.clock()).days - 89 <= 1
    await bench.fire_timer(run_id)  # and not the next one, which is due long before that
    await bench.has(run_id, run.StepDelayed, run.RunResumed, run.StepSucceeded, run.StepDelayed)
    await bench.fire()
    await bench.has(
        run_id,
        run.StepDelayed,
        run.RunResumed,
        run.StepSucceeded,
        run.StepDelayed,
        run.RunResumed,
        run.StepSucceeded,
        run.StepSucceeded,
        run.RunCompleted,
    )


async def test_a_delay_until_no_moment_fails_and_says_so(bench: Bench, sink: Sink) -> None:
    run_id = await bench.request(await bench.publish(DelayStep("nap", until="{{ trigger.body.at }}")), '{"at": "noon"}')
    (_, failed) = await bench.has(run_id, run.StepFailed, run.RunFailed)
    assert isinstance(failed, run.RunFailed)
    assert (failed.code, "noon" in failed.message) == ("template", True)


async def test_a_dead_target_is_left_in_peace_and_other_targets_are_not(bench: Bench, sink: Sink) -> None:
    dead = await bench.publish(ActionStep("send", "http.request", {"url": nobody_there()}))
    lost = await asyncio.gather(*(bench.request(dead) for _ in range(500)))

    async def all_wait() -> bool:
        rows = await bench.store.pool.fetchval(
            "select count(distinct stream_id) from es.timers where stream_id = any($1::uuid[])", list(lost)
        )
        return bool(rows == len(lost))

    await eventually(all_wait)
    events = [event for run_id in lost for event in (await bench.events(run_id))[1:]]
    postponed = [event for event in events if isinstance(event, run.StepPostponed)]
    assert {event.code for event in postponed} == {"circuit_open"}
    assert len(postponed) > 200
    healthy = await bench.request(await bench.publish(a_step(sink)))
    await bench.has(healthy, run.StepSucceeded, run.RunCompleted)
    for run_id in lost:  # or they would be fired with the timers of later tests, for ever
        await bench.store.append(an_append(run.RunCancelled(), stream_id=run_id, ordering_key=run_id))


async def test_an_action_under_way_is_stopped_when_its_run_is_cancelled(bench: Bench, sink: Sink) -> None:
    sink.delay_s = 30
    run_id = await bench.request(await bench.publish(a_step(sink)))
    await eventually(lambda: sink.count)
    cancelled = an_append(run.RunCancelled(), stream_id=run_id, expected=1, ordering_key=run_id)
    assert isinstance(await bench.store.append(cancelled), Appended)
    after = await bench.request(await bench.publish(a_step(sink), settings=ZapSettings()))
    await eventually(lambda: f"{after}.send" in sink.deliveries)
    await bench.has(run_id, run.RunCancelled)


class Charge(msgspec.Struct, frozen=True):
    amount: float = 0.0


class Till:
    """An action that must not be repeated: it charges, and says so. `hold` keeps it from ending."""

    def __init__(self) -> None:
        self.charged: list[str] = []
        self.hold = asyncio.Event()

    async def charge(self, _config: JsonObject, context: ActionContext) -> Outcome:
        self.charged.append(context.idempotency_key)
        await self.hold.wait()
        return Succeeded({"charged": True})

    def catalog(self) -> Catalog:
        action = ActionDescriptor(
            type="till.charge",
            name="Charge",
            description="",
            icon="till",
            run=self.charge,
            config=Charge,
            idempotent=False,
        )
        known = catalog()
        return Catalog(known.triggers, {**known.actions, action.type: action})


@pytest.fixture
async def till() -> AsyncIterator[Till]:
    till = Till()
    yield till
    till.hold.set()


IN_DOUBT: dict[OnUnknown | msgspec.UnsetType, list[type[run.RunEvent]]] = {
    msgspec.UNSET: [run.StepStarted, run.StepFailed, run.RunFailed],
    "fail": [run.StepStarted, run.StepFailed, run.RunFailed],
    "retry": [
        run.StepStarted,
        run.StepAttemptFailed,
        run.RunResumed,
        run.StepStarted,
        run.StepSucceeded,
        run.RunCompleted,
    ],
}


async def test_what_a_crash_left_in_doubt_is_surfaced_and_repeated_only_where_the_step_says_so(
    dsn: str, broker: Broker, till: Till
) -> None:
    async with at_work(dsn, broker, runner=False, actions=till.catalog()) as bench:
        runs: dict[UUID, list[type[run.RunEvent]]] = {}
        for setting, history in IN_DOUBT.items():
            step = ActionStep("charge", "till.charge", {"amount": 5}, unknown_outcome=setting)
            runs[await bench.request(await bench.publish(step))] = history
        async with bench.another_runner() as dies:
            for run_id in runs:
                await bench.has(run_id, run.StepStarted)
            dies.cancel()
        till.hold.set()
        async with bench.another_runner():
            for run_id in runs:
                await eventually(partial(_longer, bench, run_id, 2))
            bench.clock.forward(60)
            await bench.fire()
            for run_id, history in runs.items():
                settled = (await bench.has(run_id, *history))[1]
                assert isinstance(settled, run.StepFailed | run.StepAttemptFailed)
                assert settled.failure.code == "unknown_outcome"
                assert till.charged.count(f"{run_id}.charge") == history.count(run.StepStarted)


async def _longer(bench: Bench, run_id: UUID, length: int) -> bool:
    return len(await bench.events(run_id)) > length
