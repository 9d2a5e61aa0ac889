"""A rehearsal does what a run does, with answers instead of targets, in no time, and leaves nothing behind."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.connectors import catalog
from consumers.rehearsal import record as records
from consumers.rehearsal.answers import Answers, recorded
from consumers.rehearsal.record import Record
from consumers.rehearsal.rehearsal import Rehearsal, Rehearsed
from consumers.rehearsal.wish import Wish
from consumers.rendering.rendering import Rendering
from consumers.runner.shares.slots import Slots
from domain.connector.catalog import Catalog
from domain.connector.descriptor import ActionContext, ActionDescriptor
from domain.connector.http_client import HttpRequest
from domain.connector.outcome import Failed, Outcome, Succeeded
from domain.flow.retry import FixedRetry
from domain.flow.steps import ActionStep, DelayStep, ForEachStep, SetStep, Step
from domain.hook.request import json_request
from domain.log.event import Event
from domain.log.ports import AppendRefused
from domain.registry import decode
from domain.run.events import (
    RunCompleted,
    RunFailed,
    RunRequested,
    RunTimedOut,
    StepAttemptFailed,
    StepFailed,
    StepSucceeded,
)
from domain.run.state import ActiveRun, idempotency_key
from domain.values.json import JsonObject
from domain.zap.definition import Definition, Trigger
from domain.zap.settings import ZapSettings
from sql.process.clock import new_id
from tests.support.builders import ZAP, a_run_requested, an_append
from tests.support.clock import FixedClock

TENANT = new_id()
THEN = datetime(2025, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
async def rehearsal() -> AsyncIterator[Rehearsal]:
    rendering = Rendering()
    yield Rehearsal(catalog(), rendering, clock=FixedClock(), new_id=new_id, slots=Slots(2, 2))
    await rendering.aclose()


def send(step_id: str, body: str = "{{ trigger.body.n }}", **more: Any) -> ActionStep:
    return ActionStep(step_id, "http.request", {"method": "POST", "url": "http://x.test/", "body": body}, **more)


def wish(*steps: Step, **more: Any) -> Wish:
    definition = Definition(Trigger("manual"), steps, more.pop("settings", ZapSettings()))
    fields = {"run_id": new_id(), "tenant_id": TENANT, "zap_id": ZAP, "number": 1, "limit_s": 20.0}
    return Wish(**{"definition": definition, "request": json_request({"n": 1}), **fields, **more})


def events(rehearsed: Rehearsed) -> list[Event]:
    return [decode(stored.type, stored.schema_version, stored.data) for stored in rehearsed.events]


async def test_it_leaves_the_events_that_a_run_leaves(rehearsal: Rehearsal) -> None:
    found = await rehearsal.of(wish(send("a"), SetStep("b", {"of": "{{ steps.a.output.status }}"})))
    requested, first, second, end = events(found)
    assert isinstance(requested, RunRequested)
    assert isinstance(first, StepSucceeded)
    sent = {"method": "POST", "url": "http://x.test/", "body": 1, "body_type": "json"}
    assert (first.input, first.attempt) == (sent, 1)
    assert isinstance(second, StepSucceeded)
    assert second.output == {"of": 200}
    assert end == RunCompleted(zap_id=ZAP)
    assert found.answered == {idempotency_key(found.events[0].stream_id, "a"): "sample"}


async def test_without_targets_nothing_is_sent_even_if_that_is_wished_for(rehearsal: Rehearsal) -> None:
    found = await rehearsal.of(wish(send("a"), real=True))
    assert found.answered == {idempotency_key(found.events[0].stream_id, "a"): "sample"}


async def test_an_action_that_reaches_out_all_the_same_finds_no_way() -> None:
    async def sly(_config: JsonObject, context: ActionContext) -> Outcome:
        await context.http.request(HttpRequest(method="GET", url="http://x.test", timeout_s=1))
        return Succeeded(None)

    class Forgetful(Answers):
        def catalog(self, *, real: bool) -> Catalog:
            return self._catalog

    sneaky = ActionDescriptor(type="t", name="", description="", icon="", run=sly)
    rendering = Rendering()
    rehearsal = Rehearsal(Catalog({}, {"t": sneaky}), rendering, clock=FixedClock(), new_id=new_id, slots=Slots(2, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("consumers.rehearsal.rehearsal.Answers", Forgetful)
        found = events(await rehearsal.of(wish(ActionStep("a", "t"))))
    failed = found[-1]
    assert isinstance(failed, StepAttemptFailed)
    assert failed.failure.code == "crashed"
    await rendering.aclose()


async def test_a_delay_is_over_at_once_and_its_time_counts(rehearsal: Rehearsal) -> None:
    month = DelayStep("wait", for_s=30 * 24 * 3600)
    found = events(await rehearsal.of(wish(month, SetStep("s", {"at": "{{ now }}"}), at=THEN)))
    settled = found[-2]
    assert isinstance(settled, StepSucceeded)
    assert settled.output == {"at": (THEN + timedelta(days=30)).isoformat()}
    late = events(await rehearsal.of(wish(month, send("a"), settings=ZapSettings(deadline_s=3600))))
    assert isinstance(late[-1], RunTimedOut)


async def test_a_patient_one_makes_all_attempts(rehearsal: Rehearsal) -> None:
    retried = send("a", retry=FixedRetry(delays_s=(60, 3600), on=("5xx",)))
    answers = {"a": Failed(code="http_503", message="no")}
    once = events(await rehearsal.of(wish(retried, given=answers)))
    assert isinstance(once[-1], StepAttemptFailed)
    often = events(await rehearsal.of(wish(retried, given=answers, patient=True)))
    assert len([event for event in often if isinstance(event, StepAttemptFailed)]) == 2
    assert isinstance(often[-1], RunFailed)


async def test_steps_begin_when_they_are_said_to(rehearsal: Rehearsal) -> None:
    began = {"a": THEN + timedelta(seconds=5)}
    found = events(await rehearsal.of(wish(send("a", "{{ now }}"), at=THEN, began=began)))
    assert isinstance(found[1], StepSucceeded)
    assert found[1].started_at == began["a"]


async def test_what_is_too_large_to_be_kept_fails_the_run(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MAX_BYTES", 100_000)
    large = {"a": Succeeded("x" * 200_000)}
    found = events(await rehearsal.of(wish(send("a"), given=large)))
    assert isinstance(found[-1], RunFailed)
    assert found[-1].code == "unrecordable"


async def test_items_that_are_too_large_to_be_kept_fail_their_loop(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MAX_BYTES", 100_000)
    loop = ForEachStep("each", ["{{ trigger.body.n }}"] * 5, (SetStep("s", {"a": 1}),))
    found = events(await rehearsal.of(wish(loop, loops=True, request=json_request({"n": "x" * 50_000}))))
    (failed,) = [event for event in found if isinstance(event, StepFailed)]
    assert failed.failure.code == "unrecordable"
    assert isinstance(found[-1], RunFailed)


async def test_a_record_keeps_within_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_BYTES", 1_000)
    record = Record(FixedClock())

    async def fill() -> None:
        for _ in range(1_000):
            await record.append(an_append(a_run_requested("x" * 500), stream_id=new_id()))

    with pytest.raises(AppendRefused):
        await fill()
    assert await record.head() < 200


def test_only_the_same_kind_of_step_answers_for_another() -> None:
    run = ActiveRun(requested=a_run_requested(), outputs={"a": 1, "b": 2, "c": 3})
    original = Definition(Trigger("manual"), (send("a"), ActionStep("b", "mail.send"), SetStep("c", {"x": 1})))
    draft = Definition(Trigger("manual"), (send("a"), send("b"), send("c")))
    assert recorded(run, original, draft) == {"a": Succeeded(1)}


@given(st.integers(0, 3), st.integers(1, 4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
async def test_of_some_steps_only_those_are_done(rehearsal: Rehearsal, first: int, count: int) -> None:
    steps = [send(f"s{index}") for index in range(8)]
    only = frozenset(step.id for step in steps[first : first + count])
    found = events(await rehearsal.of(wish(*steps, only=only)))
    done = {event.step_id for event in found if isinstance(event, StepSucceeded)}
    assert done == only


async def test_what_only_computes_is_computed_and_not_answered(rehearsal: Rehearsal) -> None:
    split = ActionStep("a", "data.split", {"value": "{{ trigger.body.n }}-2", "separator": "-"})
    shown = SetStep("s", {"of": "{{ steps.a.output.items }}"})
    found = await rehearsal.of(wish(split, shown, recorded={"a": Succeeded("of before")}))
    settled = events(found)[-2]
    assert isinstance(settled, StepSucceeded)
    assert settled.output == {"of": ["1", "2"]}
    assert found.answered == {}
    given = await rehearsal.of(wish(split, shown, given={"a": Succeeded({"items": 3})}))
    assert list(given.answered.values()) == ["stub"]


async def test_data_that_does_not_fit_fails_the_step_and_says_where(rehearsal: Rehearsal) -> None:
    found = events(await rehearsal.of(wish(ActionStep("a", "data.sort", {"items": "{{ trigger.body.n }}"}))))
    failed = found[1]
    assert isinstance(failed, StepFailed)
    assert (failed.failure.code, failed.failure.message) == ("unfit", "items: expected array, got int")
