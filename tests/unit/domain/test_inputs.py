"""What the log keeps of inputs: all of them once, and no large value that stands in the run already."""

import time
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.connector.outcome import Outcome, Retry, Succeeded
from domain.flow.retry import FixedRetry
from domain.flow.steps import ActionStep
from domain.registry import decode, encode, event_type
from domain.run.commands import RecordAttempt
from domain.run.decide import decide
from domain.run.events import RunResumed, StepAttempt
from domain.run.inputs import LARGE, REPLY, ROOM, WHOLE, Input, _exceeds, is_large, keep, put, shortened
from domain.run.state import ActiveRun, RunState, evolve
from domain.values.json import Json
from domain.values.path import look_up, parse_path
from domain.zap.definition import Definition, Trigger
from tests.support.builders import a_run_requested
from tests.support.clock import START

BODY = "x" * 1_000_000
RETRY = FixedRetry(delays_s=(1.0,) * 12)


def attempt(step_id: str, number: int, given: Input, outcome: Outcome) -> RecordAttempt:
    return RecordAttempt(
        step_id=step_id,
        attempt=number,
        started_at=START,
        duration_ms=1.0,
        finished_at=START + timedelta(seconds=1),
        input=given,
        outcome=outcome,
        jitter=0.5,
    )


def recorded(state: RunState, command: RecordAttempt, zap: Definition) -> tuple[RunState, int]:
    """The run after an attempt, as it would be read back, and the bytes that it takes in the log."""
    size = 0
    for event in decide(command, state, zap):
        raw = encode(event)
        size += len(raw)
        kind = event_type(event)
        read: Any = decode(kind.name, kind.schema_version, raw)
        assert read == event
        state = evolve(state, read)
    return state, size


@given(
    st.recursive(
        st.none() | st.integers(-(2**63), 2**64 - 1) | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
    )
)
def test_what_seems_too_large_at_a_glance_is(value: Any) -> None:
    assert not _exceeds(value, len(msgspec.json.encode(value)))


@pytest.mark.parametrize("body", ["x" * 9_300_000, {"in": {"in": ["x" * 9_300_000]}}, [{"n": 1}] * 1_000_000])
def test_megabytes_are_not_encoded_to_learn_that_they_are_many(body: Json) -> None:
    """To encode them takes ten milliseconds and more, for each step of a run."""
    config: Json = {"url": "http://h/", "body": body}

    def took_s() -> float:
        began = time.process_time()
        assert is_large(config)
        return time.process_time() - began

    assert min(took_s() for _ in range(5)) < 0.002


def test_thirteen_attempts_of_one_body_store_it_once_and_brief_replies() -> None:
    zap = Definition(Trigger("webhook.catch"), (ActionStep("send", "http.request", retry=RETRY),))
    state: RunState = evolve(None, a_run_requested())
    reply = Retry(code="http_503", message="no", output={"status": 503, "headers": {}, "body": "y" * 250_000})
    total = 0
    for number in range(1, 14):
        assert isinstance(state, ActiveRun)
        given = keep({"url": "http://x", "body": BODY}, {}, state.room_for_input)
        state, size = recorded(state, attempt("send", number, given, reply), zap)
        total += size
        state = evolve(state, RunResumed(timer_id=a_run_requested().zap_id))
    assert total < len(BODY) + 250_000 + 12 * (REPLY + 1_000)


def test_forty_steps_that_send_the_trigger_on_store_it_in_none() -> None:
    steps = tuple(ActionStep(f"s{number}", "http.request") for number in range(40))
    zap = Definition(Trigger("webhook.catch"), steps)
    state: RunState = evolve(None, a_run_requested())
    body: Json = {"items": [{"n": number, "text": "x" * 90} for number in range(90_000)]}
    total = 0
    for step in steps:
        assert isinstance(state, ActiveRun)
        given = keep({"url": "http://x", "body": body}, {"trigger": {"body": body}}, state.room_for_input)
        state, size = recorded(state, attempt(step.id, 1, given, Succeeded({"status": 200})), zap)
        total += size
    assert total < 40 * 1_000


def test_a_run_keeps_only_so_much_of_large_inputs() -> None:
    steps = tuple(ActionStep(f"s{number}", "http.request") for number in range(20))
    zap = Definition(Trigger("webhook.catch"), steps)
    state: RunState = evolve(None, a_run_requested())
    total = 0
    for number, step in enumerate(steps):
        assert isinstance(state, ActiveRun)
        given = keep({"body": f"{number}{BODY}"}, {}, state.room_for_input)
        state, size = recorded(state, attempt(step.id, 1, given, Succeeded({})), zap)
        total += size
    assert ROOM - len(BODY) - 10 < total < ROOM + 20 * 2_500


def test_another_input_is_kept_with_its_attempt() -> None:
    zap = Definition(Trigger("webhook.catch"), (ActionStep("send", "http.request", retry=RETRY),))
    state: RunState = evolve(None, a_run_requested())
    found: list[Json] = []
    for number, url in enumerate(["a", "a", "b", "b", "a"], 1):
        (event, *_) = decide(attempt("send", number, Input({"url": url}), Retry(code="x", message="")), state, zap)
        assert isinstance(event, StepAttempt)
        found.append(event.kept.attempt if event.kept else event.input)
        state = evolve(evolve(state, event), RunResumed(timer_id=a_run_requested().zap_id))
    assert found == [{"url": "a"}, 1, {"url": "b"}, 3, {"url": "a"}]


@pytest.mark.parametrize("size", [0, 100, WHOLE - 100])
def test_what_is_not_large_is_kept_as_it_is(size: int) -> None:
    assert not is_large({"body": "x" * size})


LARGE_VALUES = st.recursive(
    st.integers() | st.none() | st.text(max_size=5) | st.integers(1, 3).map(lambda n: "é" * (n * LARGE)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(LARGE_VALUES, LARGE_VALUES, st.sampled_from([0, 10_000, ROOM]))
def test_what_is_omitted_is_where_it_says_or_is_said_to_be_cut(body: Json, output: Json, room: int) -> None:
    context: dict[str, Json] = {"trigger": {"body": body}, "steps": {"a": {"output": output}}}
    config: Json = {"url": "http://x", "body": {"t": body, "o": [output]}, "text": "z" * LARGE}
    given_input = keep(config, context, room)
    assert given_input.kept is not None
    assert given_input.kept.size <= room
    restored = given_input.value
    for pointer, omitted in given_input.kept.omitted.items():
        if omitted.at:
            restored = put(restored, pointer, look_up(context, parse_path(omitted.at)))
    if all(omitted.at for omitted in given_input.kept.omitted.values()):
        assert restored == config
    else:
        assert room < ROOM


@given(LARGE_VALUES)
def test_a_reply_is_shortened_to_about_its_limit(reply: Json) -> None:
    short = shortened(reply)
    size = len(msgspec.json.encode(reply))
    if size <= REPLY:
        assert short == reply
    else:
        assert len(msgspec.json.encode(short)) < 2 * REPLY
