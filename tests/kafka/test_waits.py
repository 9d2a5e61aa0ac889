"""Runs that wait for somebody, carried on by real runners: what is done once, whoever comes when, and is killed."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

import httpx
import pytest
from aiohttp import web

from domain.flow.approvals import Recipient
from domain.flow.retry import FixedRetry
from domain.flow.steps import ActionStep, ApprovalStep, Branch, ErrorPath, PathsStep, Rejected, TryStep, WaitForStep
from domain.run.events import (
    End,
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunRequested,
    RunResumed,
    StepDecided,
    StepFailed,
    StepSucceeded,
)
from domain.run.waits import ApprovalAnswered, ApprovalAsked, CallbackAwaited, CallbackReceived
from domain.values.json import Json, JsonObject
from domain.zap.settings import Concurrency, ZapSettings
from tests.support.api import running_api
from tests.support.bench import Bench, at_work
from tests.support.broker import Broker
from tests.support.eventually import eventually
from tests.support.postgres import cloned_database
from tests.support.sink import Fault, Sink
from tests.support.waiting import LINKS, link, now_of

ADA, BOB = Recipient(email="ada@example.com"), Recipient(email="bob@example.com")
ANY: JsonObject = {"field": "trigger.body", "operator": "exists"}
DAY_S = 24 * 3600.0


@pytest.fixture
async def api(bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    async with running_api(bench.store.dsn) as client:
        yield client


def ask(**fields: object) -> ApprovalStep:
    return ApprovalStep("ok", "Refund {{ trigger.body.total }}?", (ADA, BOB), deadline_s=DAY_S, **fields)  # type: ignore[arg-type]


def call(sink: Sink, step_id: str, body: object = "x") -> ActionStep:
    return ActionStep(step_id, "http.request", {"url": sink.url, "body": body}, retry=FixedRetry())  # type: ignore[dict-item]


async def asked(bench: Bench, run: UUID) -> str:
    """The link of the first who is asked, once the run asks."""
    await bench.has(run, ApprovalAsked)
    return link(await now_of(bench.store, run))


class TestApproval:
    async def test_what_was_approved_goes_on(self, bench: Bench, sink: Sink, api: httpx.AsyncClient) -> None:
        send = call(
            sink, "send", "{{ steps.ok.output.decision }} {{ steps.ok.output.by }} {{ steps.ok.output.comment }}"
        )
        run = await bench.request(await bench.publish(ask(), send), '{"total": 7}')
        url = await asked(bench, run)
        assert "Refund 7?" in (await api.get(url)).text
        await api.post(url, data={"decision": "approve", "comment": "sure"})
        await bench.has(run, ApprovalAsked, ApprovalAnswered, StepSucceeded, StepSucceeded, RunCompleted)
        assert list(sink.deliveries.values()) == [[b"approve ada@example.com sure"]]

    async def test_what_was_rejected_is_cancelled(self, bench: Bench, sink: Sink, api: httpx.AsyncClient) -> None:
        zap = await bench.publish(TryStep("safe", (ask(),), ErrorPath((call(sink, "undo"),))), call(sink, "send"))
        run = await bench.request(zap, '{"total": 7}')
        await api.post(await asked(bench, run), data={"decision": "reject", "comment": "no"})
        *_, end = await bench.has(run, ApprovalAsked, ApprovalAnswered, StepSucceeded, RunCancelled)
        assert end == RunCancelled(step_id="ok", code="rejected", message="rejected by ada@example.com: no")
        assert not sink.deliveries

    async def test_with_steps_these_run_and_nothing_else(
        self, bench: Bench, sink: Sink, api: httpx.AsyncClient
    ) -> None:
        step = ask(rejected=Rejected((call(sink, "tell", "{{ steps.ok.output.comment }}"),)))
        zap = await bench.publish(PathsStep("route", (Branch("a", ANY, (step,)),)), call(sink, "send"))
        run = await bench.request(zap, '{"total": 7}')
        await bench.has(run, StepDecided, ApprovalAsked)
        await api.post(link(await now_of(bench.store, run)), data={"decision": "reject", "comment": "no"})
        *_, end = await bench.has(
            run, StepDecided, ApprovalAsked, ApprovalAnswered, StepSucceeded, StepSucceeded, RunCompleted
        )
        assert end == RunCompleted(zap_id=zap, step_id="ok")
        assert list(sink.deliveries) == [f"{run}.tell"]

    @pytest.mark.parametrize(
        ("on_deadline", "events"),
        [
            ("approve", (StepSucceeded, StepSucceeded, RunCompleted)),
            ("reject", (StepSucceeded, RunCancelled)),
            ("fail", (StepFailed, RunFailed)),
        ],
    )
    async def test_without_an_answer_the_deadline_decides(
        self,
        bench: Bench,
        sink: Sink,
        api: httpx.AsyncClient,
        on_deadline: str,
        events: tuple[type[RunEvent], ...],
    ) -> None:
        run = await bench.request(await bench.publish(ask(on_deadline=on_deadline), call(sink, "send")), '{"total": 7}')
        url = await asked(bench, run)
        await bench.fire_timer(run)
        found = await bench.has(run, ApprovalAsked, RunResumed, *events)
        if isinstance(found[-1], RunCancelled | RunFailed):
            assert found[-1].code == ("rejected" if on_deadline == "reject" else "approval_deadline")
        late = await api.post(url, data={"decision": "approve"})
        assert (late.status_code, "The deadline has passed" in late.text) == (410, True)

    async def test_two_of_two(self, bench: Bench, api: httpx.AsyncClient) -> None:
        run = await bench.request(await bench.publish(ask(required=2)), '{"total": 7}')
        await api.post(await asked(bench, run), data={"decision": "approve"})
        await bench.has(run, ApprovalAsked, ApprovalAnswered)
        await api.post(link(await now_of(bench.store, run), 1), data={"decision": "approve"})
        await bench.has(run, ApprovalAsked, ApprovalAnswered, ApprovalAnswered, StepSucceeded, RunCompleted)

    @pytest.mark.parametrize("called_back", [False, True])
    async def test_the_deadline_counts_also_after_other_events(
        self, bench: Bench, sink: Sink, api: httpx.AsyncClient, called_back: bool
    ) -> None:
        """One of two has approved, and a callback for a later step has come: the timer moved along with both."""
        zap = await bench.publish(ask(required=2, on_deadline="fail"), WaitForStep("paid"), call(sink, "send"))
        run = await bench.request(zap, '{"total": 7}')
        await api.post(await asked(bench, run), data={"decision": "approve"})
        before: tuple[type[RunEvent], ...] = (ApprovalAsked, ApprovalAnswered)
        if called_back:
            await api.post(LINKS.callback_url(run, "paid"), json=1)
            before = (*before, CallbackReceived)
        await bench.has(run, *before)
        await bench.fire_timer(run)
        *_, end = await bench.has(run, *before, RunResumed, StepFailed, RunFailed)
        assert isinstance(end, RunFailed)
        assert (end.code, end.message.partition(" by ")[0]) == ("approval_deadline", "1 of 2 had approved")

    async def test_an_answer_that_races_with_the_deadline_is_one_or_the_other(
        self, bench: Bench, api: httpx.AsyncClient
    ) -> None:
        zap = await bench.publish(ask(on_deadline="fail"))
        runs = [await bench.request(zap, '{"total": 7}') for _ in range(10)]
        urls = [await asked(bench, run) for run in runs]

        async def answered(url: str) -> int:
            return (await api.post(url, data={"decision": "approve"})).status_code

        fired = asyncio.create_task(bench.fire(bench.clock() + timedelta(seconds=DAY_S)))
        statuses = await asyncio.gather(*(answered(url) for url in urls))
        await fired
        for run, status in zip(runs, statuses, strict=True):
            if status == 200:
                # By the clock the deadline has not passed, so an answer counts also once the timer has fired.
                events = await eventually(partial(has_ended, bench, run))
                told = [type(event) for event in events if not isinstance(event, RunResumed)]
                assert told == [ApprovalAsked, ApprovalAnswered, StepSucceeded, RunCompleted]
            else:
                assert status == 410
                await bench.has(run, ApprovalAsked, RunResumed, StepFailed, RunFailed)


async def has_ended(bench: Bench, run_id: UUID) -> list[RunEvent] | None:
    """What has happened to a run since it was requested, once it has ended."""
    events = (await bench.events(run_id))[1:]
    return events if events and isinstance(events[-1], End) else None


def calls_back(answer: Callable[[str], Awaitable[None]]) -> Fault:
    """A target that calls the URL of its body back before it answers."""

    async def handle(request: web.Request) -> web.StreamResponse:
        await answer(json.loads(await request.read())["url"])
        return web.Response()

    return handle


def bodies(events: Sequence[RunEvent]) -> list[Json]:
    """The bodies of the callbacks that came through."""
    outputs = [event.output for event in events if isinstance(event, StepSucceeded)]
    return [output["body"] for output in outputs if isinstance(output, dict) and "query" in output]


class TestCallback:
    WAIT = WaitForStep("paid", deadline_s=DAY_S)

    async def sent(self, sink: Sink) -> str:
        """The URL that an action has sent."""
        await eventually(lambda: sink.count == 1)
        (bodies,) = sink.deliveries.values()
        url: str = json.loads(bodies[0])["url"]
        return url

    async def test_the_run_goes_on_with_what_was_sent(self, bench: Bench, sink: Sink, api: httpx.AsyncClient) -> None:
        after = call(sink, "after", "{{ steps.paid.output.body.amount }}")
        zap = await bench.publish(call(sink, "send", {"url": "{{ callback.paid.url }}"}), self.WAIT, after)
        run = await bench.request(zap)
        url = await self.sent(sink)
        assert url == LINKS.callback_url(run, "paid")
        await bench.has(run, StepSucceeded, CallbackAwaited)
        assert (await api.post(url, json={"amount": 12})).json()["status"] == "accepted"
        rest = StepSucceeded, StepSucceeded, RunCompleted
        await bench.has(run, StepSucceeded, CallbackAwaited, CallbackReceived, *rest)
        assert sink.deliveries[f"{run}.after"] == [b"12"]

    async def test_a_target_that_calls_back_before_it_answers_is_called_once(
        self, bench: Bench, sink: Sink, api: httpx.AsyncClient
    ) -> None:
        """The callback is recorded while the action is under way: its outcome is recorded all the same."""

        async def back(url: str) -> None:
            assert (await api.post(url, json="early")).status_code == 200

        sink.fault = calls_back(back)
        step = ActionStep(
            "send",
            "http.request",
            {"url": sink.url, "body": {"url": "{{ callback.paid.url }}"}},
            unknown_outcome="fail",
        )
        run = await bench.request(await bench.publish(step, self.WAIT))
        events = await eventually(lambda: self.ended(bench, run))
        assert sink.count == 1
        assert isinstance(events[-1], RunCompleted), events
        assert bodies(events) == ["early"]
        assert not any(isinstance(event, CallbackAwaited) for event in events)

    async def ended(self, bench: Bench, run: UUID) -> list[RunEvent] | None:
        events = await bench.events(run)
        return events if isinstance(events[-1], RunCompleted | RunFailed | RunCancelled) else None

    @pytest.mark.parametrize(
        ("on_deadline", "events"),
        [("continue", (StepSucceeded, RunCompleted)), ("fail", (StepFailed, RunFailed))],
    )
    async def test_without_one_the_deadline_decides(
        self, bench: Bench, api: httpx.AsyncClient, on_deadline: str, events: tuple[type[RunEvent], ...]
    ) -> None:
        zap = await bench.publish(WaitForStep("paid", deadline_s=DAY_S, on_deadline=on_deadline))  # type: ignore[arg-type]
        run = await bench.request(zap)
        await bench.has(run, CallbackAwaited)
        await bench.fire_timer(run)
        found = await bench.has(run, CallbackAwaited, RunResumed, *events)
        if isinstance(found[2], StepSucceeded):
            assert found[2].output == {"timed_out": True}
        else:
            assert isinstance(found[3], RunFailed)
            assert found[3].code == "callback_deadline"
        assert (await api.post(LINKS.callback_url(run, "paid"), json=1)).status_code == 410

    async def test_in_a_branch(self, bench: Bench, api: httpx.AsyncClient) -> None:
        route = PathsStep("route", (Branch("a", ANY, (self.WAIT,)),))
        run = await bench.request(await bench.publish(route, TryStep("safe", (WaitForStep("again"),))))
        await bench.has(run, StepDecided, CallbackAwaited)
        for step_id in ("again", "paid"):
            await api.post(LINKS.callback_url(run, step_id), json=step_id)
        events = await bench.has(
            run, StepDecided, CallbackAwaited, CallbackReceived, CallbackReceived, StepSucceeded, StepSucceeded,
            RunCompleted,
        )  # fmt: skip
        assert bodies(events) == ["paid", "again"]

    async def test_two_at_once_are_one_and_the_run_goes_on_once(self, bench: Bench, api: httpx.AsyncClient) -> None:
        run = await bench.request(await bench.publish(self.WAIT))
        found = await asyncio.gather(*(api.post(LINKS.callback_url(run, "paid"), json=n) for n in range(10)))
        assert sorted(one.json()["status"] for one in found) == ["accepted"] + ["duplicate"] * 9
        events = await eventually(lambda: self.ended(bench, run))
        assert sum(isinstance(event, CallbackReceived) for event in events) == 1
        assert sum(isinstance(event, StepSucceeded) for event in events) == 1


async def test_a_runner_that_dies_between_an_answer_and_what_follows_leaves_it_to_the_next(
    postgres_server: str, broker: Broker, sink: Sink
) -> None:
    async with (
        cloned_database(postgres_server) as dsn,
        at_work(dsn, broker, runner=False) as bench,
        running_api(dsn) as api,
    ):
        zap = await bench.publish(ask(), WaitForStep("paid"), call(sink, "send"))
        async with bench.another_runner(alone=True) as first:
            run = await bench.request(zap, '{"total": 7}')
            url = await asked(bench, run)
            first.cancel()
        assert (await api.post(url, data={"decision": "approve"})).status_code == 200
        assert (await api.post(LINKS.callback_url(run, "paid"), json=1)).status_code == 200
        assert not sink.deliveries
        async with bench.another_runner(alone=True):
            done = StepSucceeded, StepSucceeded, StepSucceeded, RunCompleted
            await bench.has(run, ApprovalAsked, ApprovalAnswered, CallbackReceived, *done)
        assert sink.count == 1


async def test_a_serial_zap_asks_for_one_run_after_the_other(bench: Bench, api: httpx.AsyncClient) -> None:
    zap = await bench.publish(ask(), settings=ZapSettings(concurrency=Concurrency(mode="serial")))
    first, second = await bench.request(zap, '{"total": 1}'), await bench.request(zap, '{"total": 2}')
    url = await asked(bench, first)
    assert [type(event) for event in await bench.events(second)] == [RunRequested]
    await api.post(url, data={"decision": "approve"})
    await bench.has(first, ApprovalAsked, ApprovalAnswered, StepSucceeded, RunCompleted)
    await api.post(await asked(bench, second), data={"decision": "reject"})
    await bench.has(second, ApprovalAsked, ApprovalAnswered, StepSucceeded, RunCancelled)
