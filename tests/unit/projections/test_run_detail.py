"""The run detail is the fold of its stream, and nobody else's."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec import UNSET

from domain.hook.request import Request
from domain.log.event import Event, StoredEvent, StreamKind
from domain.registry import encode, event_type
from domain.run.events import RunCompleted, RunRequested, StepStarted, StepSucceeded
from domain.run.inputs import Kept, Omitted, keep
from domain.values.path import MISSING, look_up, parse_path
from projections import run_reading, run_values
from projections.run_detail import NotARun, bounded, fold, values_of
from sql.process.clock import new_id
from tests.support.clock import START
from tests.support.memory_store import MemoryStore
from tests.support.projected import append, attempt_failed, failed, requested, resumed, succeeded

RUN, ZAP, TENANT = new_id(), new_id(), new_id()


def stored(events: Sequence[Event]) -> list[StoredEvent]:
    """The events as a stream of which each was recorded a second after the one before."""
    rows = []
    for number, event in enumerate(events):
        kind = event_type(event)
        rows.append(
            StoredEvent(
                100 + number,
                StreamKind.RUN,
                RUN,
                number + 1,
                TENANT,
                ZAP,
                new_id(),
                kind.name,
                kind.schema_version,
                START + timedelta(seconds=number),
                b"{}",
                encode(event),
            )
        )
    return rows


def test_a_run_that_was_only_asked_for_is_queued() -> None:
    detail = fold(stored([requested(ZAP)]))
    assert (detail.id, detail.zap_id, detail.status, detail.source, detail.steps) == (RUN, ZAP, "queued", "webhook", [])
    assert detail.trigger["body"] == {}
    assert (detail.started_at, detail.finished_at, detail.duration_ms, detail.position) == (START, None, None, 100)


def test_a_completed_run_has_its_output_and_times() -> None:
    detail = fold(stored([requested(ZAP), succeeded(), RunCompleted()]))
    assert (detail.status, detail.duration_ms, detail.error, detail.position) == ("completed", 2000.0, None, 102)
    (step,) = detail.steps
    assert (step.id, step.status, step.output, step.duration_ms) == ("send", "succeeded", {"ok": True}, 1000.0)


def test_a_waiting_run_shows_its_attempts_and_when_the_next_is_due() -> None:
    detail = fold(stored([requested(ZAP), attempt_failed()]))
    assert detail.status == "waiting"
    (step,) = detail.steps
    assert (step.status, step.finished_at) == ("waiting", None)
    (attempt,) = step.attempts
    assert attempt.error is not None
    assert (attempt.attempt, attempt.error.code, attempt.retry_at) == (1, "http_503", START + timedelta(seconds=5))


def test_a_resumed_run_is_running_and_its_late_success_clears_the_error_of_the_step() -> None:
    events = stored([requested(ZAP), attempt_failed(), resumed(), succeeded(2), RunCompleted()])
    assert fold(events[:3]).status == "running"
    (step,) = fold(events).steps
    assert (step.status, step.error, [attempt.attempt for attempt in step.attempts]) == ("succeeded", None, [1, 2])


def test_a_failed_run_says_why() -> None:
    detail = fold(stored([requested(ZAP), *failed()]))
    assert detail.status == "failed"
    assert detail.error is not None
    assert (detail.error.code, detail.steps[0].status, detail.steps[0].output) == ("http_503", "failed", None)


@pytest.mark.parametrize("events", [[], [succeeded()]])
def test_what_does_not_start_with_a_request_is_not_a_run(events: list[Event]) -> None:
    with pytest.raises(NotARun):
        fold(stored(events))


async def test_only_the_runs_own_tenant_gets_it() -> None:
    store = MemoryStore()
    await append(store, RUN, requested(ZAP), tenant_id=TENANT, key=ZAP)
    found = await run_reading.get(store, TENANT, RUN)
    assert found is not None
    assert found.id == RUN
    assert await run_reading.get(store, new_id(), RUN) is None
    assert await run_reading.get(store, TENANT, UUID(int=1)) is None


def done(number: int, step_id: str = "send", **fields: Any) -> StepSucceeded:
    return StepSucceeded(step_id=step_id, attempt=number, started_at=START, duration_ms=1.0, **fields)


def test_every_attempt_has_its_input_however_it_was_kept() -> None:
    first, second = ({"input": {"url": url}} for url in ("a", "b"))
    tries = [attempt_failed(1, **first), attempt_failed(2, kept=Kept(attempt=1)), attempt_failed(3, **second)]
    detail = fold(stored([requested(ZAP), *tries, done(4, kept=Kept(attempt=3))]))
    (step,) = detail.steps
    assert step.input == {"url": "b"}
    assert [step.input if attempt.input is UNSET else attempt.input for attempt in step.attempts] == [
        {"url": "a"},
        {"url": "a"},
        {"url": "b"},
        {"url": "b"},
    ]


def test_an_announced_attempt_has_the_input_that_was_announced() -> None:
    begun = StepStarted(step_id="send", attempt=1, started_at=START, input={"url": "a"})
    (step,) = fold(stored([requested(ZAP), begun, done(1, kept=Kept(attempt=1))])).steps
    assert (step.input, [attempt.input for attempt in step.attempts]) == ({"url": "a"}, [UNSET])


def run_with(body: str) -> RunRequested:
    return msgspec.structs.replace(requested(ZAP), request=Request(headers={"content-type": "text/plain"}, body=body))


def test_what_stands_elsewhere_in_the_run_is_put_back() -> None:
    text = "x" * 50_000
    output: dict[str, Any] = {"body": {"rows": ["y" * 50_000]}}
    given = keep(
        {"a": text, "b": [output["body"]]}, {"trigger": {"body": text}, "steps": {"one": {"output": output}}}, 0
    )
    assert given.kept is not None
    assert {omitted.at for omitted in given.kept.omitted.values()} == {"trigger.body", "steps.one.output.body"}
    events = [run_with(text), done(1, "one", output=output), done(1, "two", input=given.value, kept=given.kept)]
    detail = fold(stored(events))
    assert detail.steps[1].input == {"a": text, "b": [output["body"]]}
    assert detail.steps[1].not_kept == {}


def test_what_was_not_kept_is_told() -> None:
    left = Omitted(size=9_000_000, sha256="00")
    given = done(1, input={"body": "beginning"}, kept=Kept(omitted={"/body": left}))
    (step,) = fold(stored([requested(ZAP), given])).steps
    assert (step.input, step.not_kept) == ({"body": "beginning"}, {"/body": left})


def test_large_values_are_left_out_and_found_by_their_path() -> None:
    text = "x" * 9_300_000
    kept = Kept(omitted={"/body": Omitted(size=len(text), at="trigger.body")})
    steps = [
        done(1, f"s{number}", input={"url": "u", "body": None}, kept=kept, output={"status": 200})
        for number in range(40)
    ]
    events = stored([run_with(text), *steps, RunCompleted()])
    shown = bounded(fold(events))
    raw = msgspec.json.encode(shown)
    assert len(raw) < 200_000
    values = values_of(fold(events))
    body: Any = shown.steps[39].input
    trigger: Any = shown.trigger
    assert body["url"] == "u"
    assert body["body"]["$large"]["path"] == "steps.s39.input.body"
    for path in (body["body"]["$large"]["path"], trigger["body"]["$large"]["path"]):
        assert look_up(values, parse_path(path)) == text
    assert look_up(values, parse_path("steps.nope.output")) is MISSING


def test_a_run_of_ordinary_size_is_shown_whole() -> None:
    events = stored([run_with("x" * 500_000), done(1, output={"body": "y" * 1_500_000}), RunCompleted()])
    assert bounded(fold(events)) == fold(events)


def test_a_large_value_in_many_places_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten megabytes that forty steps send on took two seconds, in which the API answered nobody."""
    sizes: list[int] = []

    def encode(value: object) -> bytes:
        sizes.append(len(encoded := encode_json(value)))
        return encoded

    encode_json = msgspec.json.encode
    monkeypatch.setattr(msgspec.json, "encode", encode)
    shown = run_values.Shown(1_000)
    large: Any = [{"n": number} for number in range(2_000)]
    found = [shown.value({"body": large}, f"steps.s{number}.input") for number in range(40)]
    assert all(isinstance(one, dict) and "$large" in str(one["body"]) for one in found)
    assert len([size for size in sizes if size > 1_000]) == 1
