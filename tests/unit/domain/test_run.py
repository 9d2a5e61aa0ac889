"""The run: attempts, retries, and exactly one end."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.connector.outcome import Failed, Outcome, Postponed, Retry, Succeeded
from domain.flow.retry import FixedRetry
from domain.flow.steps import ActionStep, DelayStep, ErrorPath, OnError, OnUnknown, Step
from domain.hook.request import Request, request_body, trigger_data
from domain.language.template import TemplateError, render
from domain.log.errors import WrongStatus
from domain.run import commands
from domain.run import events as run
from domain.run.decide import decide
from domain.run.inputs import Input, Kept
from domain.run.replay import replay
from domain.run.state import (
    INITIAL,
    ActiveRun,
    EndedRun,
    RunState,
    evolve,
    idempotency_key,
    next_step,
    template_context,
)
from domain.zap.definition import Definition, Trigger
from tests.support.builders import ZAP, a_definition, a_run_requested
from tests.support.clock import START
from tests.support.given import given_run

SCHEDULE_S = (5.0, 30.0, 120.0, 600.0)
STEP = ActionStep("one", "http.request", retry=FixedRetry(delays_s=SCHEDULE_S))
DEFINITION = Definition(Trigger("webhook.catch"), (STEP, msgspec.structs.replace(STEP, id="two")))
REQUESTED = a_run_requested()
TIMER = UUID(int=7)
COMPLETED = run.RunCompleted(zap_id=ZAP)
BROKEN = Retry(code="http_500", message="the target answered 500")


def attempt(step_id: str = "one", number: int = 1, outcome: Outcome | None = None) -> commands.RecordAttempt:
    return commands.RecordAttempt(
        step_id=step_id,
        attempt=number,
        started_at=START,
        duration_ms=5.0,
        finished_at=START + timedelta(seconds=1),
        input=Input({"url": "https://example.com"}),
        outcome=outcome or Succeeded({"status": 200}),
        jitter=0.5,
    )


def given_input(number: int) -> dict[str, Any]:
    """The log holds the input of the first attempt."""
    return {"input": {"url": "https://example.com"}} if number == 1 else {"kept": Kept(attempt=1)}


def succeeded(step_id: str = "one", number: int = 1) -> run.StepSucceeded:
    return run.StepSucceeded(
        step_id=step_id,
        attempt=number,
        started_at=START,
        duration_ms=5.0,
        **given_input(number),
        output={"status": 200},
    )


def attempt_failed(number: int = 1) -> run.StepAttemptFailed:
    return run.StepAttemptFailed(
        step_id="one",
        attempt=number,
        started_at=START,
        duration_ms=5.0,
        **given_input(number),
        failure=run.Failure(code="http_500", message="the target answered 500"),
        retry_at=START + timedelta(seconds=1 + SCHEDULE_S[number - 1]),
    )


def step_failed(number: int, code: str, message: str) -> run.StepFailed:
    return run.StepFailed(
        step_id="one",
        attempt=number,
        started_at=START,
        duration_ms=5.0,
        **given_input(number),
        failure=run.Failure(code=code, message=message),
    )


def test_a_run_is_requested_once() -> None:
    command = commands.RequestRun(REQUESTED)
    given_run(DEFINITION).when(command).then(REQUESTED)
    given_run(DEFINITION, REQUESTED).when(command).then_nothing()


@pytest.mark.parametrize(
    "command", [attempt(), commands.FinishRun(), commands.ResumeRun(TIMER), commands.FailRun("", "x", "y")]
)
def test_nothing_happens_in_a_run_that_was_not_requested(command: commands.RunCommand) -> None:
    given_run(DEFINITION).when(command).then_raises(WrongStatus)


def test_a_step_succeeds_and_the_last_one_completes_the_run() -> None:
    given_run(DEFINITION, REQUESTED).when(attempt()).then(succeeded())
    given_run(DEFINITION, REQUESTED, succeeded()).when(attempt("two")).then(succeeded("two"), COMPLETED)


def test_an_outcome_that_is_already_recorded_stays() -> None:
    given_run(DEFINITION, REQUESTED, succeeded()).when(attempt(outcome=BROKEN)).then_nothing()
    given_run(DEFINITION, REQUESTED).when(attempt("two")).then_nothing()
    given_run(DEFINITION, REQUESTED, attempt_failed()).when(attempt(number=1)).then_nothing()
    given_run(DEFINITION, REQUESTED).when(attempt(number=2)).then_nothing()


def test_a_failure_that_may_heal_is_tried_again_by_schedule() -> None:
    given_run(DEFINITION, REQUESTED).when(attempt(outcome=BROKEN)).then(attempt_failed())
    waiting = given_run(DEFINITION, REQUESTED, attempt_failed()).state
    assert isinstance(waiting, ActiveRun)
    assert waiting.waits_until == START + timedelta(seconds=6)


def test_the_last_attempt_fails_the_run() -> None:
    resumed = run.RunResumed(timer_id=TIMER)
    past = [event for number in range(1, len(SCHEDULE_S) + 1) for event in (attempt_failed(number), resumed)]
    last = len(SCHEDULE_S) + 1
    given_run(DEFINITION, REQUESTED, *past).when(attempt(number=last, outcome=BROKEN)).then(
        step_failed(last, BROKEN.code, BROKEN.message),
        run.RunFailed(zap_id=ZAP, step_id="one", code=BROKEN.code, message=BROKEN.message),
    )


def test_a_failure_that_will_not_heal_fails_the_run_at_once() -> None:
    refused = Failed(code="http_404", message="no such thing")
    given_run(DEFINITION, REQUESTED).when(attempt(outcome=refused)).then(
        step_failed(1, refused.code, refused.message),
        run.RunFailed(zap_id=ZAP, step_id="one", code=refused.code, message=refused.message),
    )


def test_attempts_count_from_one_for_each_step() -> None:
    past = (REQUESTED, attempt_failed(), run.RunResumed(timer_id=TIMER), succeeded(number=2))
    given_run(DEFINITION, *past).when(attempt("two", 1)).then(succeeded("two"), COMPLETED)


def test_a_waiting_run_is_resumed_once() -> None:
    waiting = (REQUESTED, attempt_failed())
    given_run(DEFINITION, *waiting).when(commands.ResumeRun(TIMER)).then(run.RunResumed(timer_id=TIMER))
    given_run(DEFINITION, *waiting, run.RunResumed(timer_id=TIMER)).when(commands.ResumeRun(TIMER)).then_nothing()
    given_run(DEFINITION, REQUESTED).when(commands.ResumeRun(TIMER)).then_nothing()


def test_a_run_is_cancelled_whatever_it_waits_for_and_stays_so() -> None:
    given_run(DEFINITION, REQUESTED).when(commands.CancelRun()).then(run.RunCancelled())
    given_run(DEFINITION, REQUESTED, attempt_failed()).when(commands.CancelRun()).then(run.RunCancelled())
    for command in (commands.CancelRun(), attempt(), commands.ResumeRun(TIMER)):
        given_run(DEFINITION, REQUESTED, attempt_failed(), run.RunCancelled()).when(command).then_nothing()
    given_run(DEFINITION, REQUESTED, succeeded(), succeeded("two"), run.RunCompleted()).when(
        commands.CancelRun()
    ).then_nothing()


def test_ends_say_whose_run_it_was_and_whether_it_told_of_failures() -> None:
    failed = commands.FailRun("one", "x", "y")
    ends = {"zap_id": ZAP, "step_id": "one", "code": "x", "message": "y"}
    given_run(DEFINITION, REQUESTED).when(failed).then(run.RunFailed(**ends))  # type: ignore[arg-type]
    told = msgspec.structs.replace(REQUESTED, source="alert")
    given_run(DEFINITION, told).when(failed).then(run.RunFailed(**ends, of_alert=True))  # type: ignore[arg-type]


def test_a_run_without_steps_is_finished() -> None:
    given_run(a_definition(), REQUESTED).when(commands.FinishRun()).then(COMPLETED)
    given_run(DEFINITION, REQUESTED).when(commands.FinishRun()).then_nothing()


def definition(*steps: Step) -> Definition:
    return Definition(Trigger("webhook.catch"), steps)


def action(step_id: str, on_error: OnError = "fail") -> ActionStep:
    return ActionStep(step_id, "http.request", retry=FixedRetry(), on_error=on_error)


REFUSED = Failed(code="http_404", message="no such thing", output={"status": 404})


def test_a_failure_that_is_passed_over_is_seen_by_later_steps() -> None:
    zap = definition(action("one", "continue"), action("two"))
    failed = run.StepFailed(
        step_id="one",
        attempt=1,
        started_at=START,
        duration_ms=5.0,
        **given_input(1),
        failure=run.Failure(code=REFUSED.code, message=REFUSED.message, output=REFUSED.output),
    )
    given_run(zap, REQUESTED).when(attempt(outcome=REFUSED)).then(failed)
    given = given_run(zap, REQUESTED, failed)
    assert isinstance(given.state, ActiveRun)
    assert template_context(UUID(int=1), given.state)["steps"] == {
        "one": {"output": None, "error": {"code": "http_404", "message": "no such thing", "output": {"status": 404}}}
    }
    given.when(attempt("two")).then(succeeded("two"), COMPLETED)


def test_the_last_step_may_fail_and_be_passed_over() -> None:
    zap = definition(action("one", "continue"))
    assert [type(e) for e in decide(attempt(outcome=REFUSED), evolve(INITIAL, REQUESTED), zap)] == [
        run.StepFailed,
        run.RunCompleted,
    ]


def test_an_error_path_takes_the_place_of_the_remaining_steps() -> None:
    path = ErrorPath((action("tell"), action("undo")))
    zap = definition(action("one", path), action("two"))
    state: RunState = folded(
        evolve(INITIAL, REQUESTED), decide(attempt(outcome=REFUSED), evolve(INITIAL, REQUESTED), zap)
    )
    done: list[str] = []
    while isinstance(state, ActiveRun) and (step := next_step(state, zap)):
        done.append(step.id)
        state = folded(state, decide(attempt(step.id), state, zap))
    assert done == ["tell", "undo"]
    assert isinstance(state, EndedRun)
    assert state.status == "completed"


def test_a_failure_within_an_error_path_fails_the_run() -> None:
    zap = definition(action("one", ErrorPath((action("tell"),))), action("two"))
    state = folded(evolve(INITIAL, REQUESTED), decide(attempt(outcome=REFUSED), evolve(INITIAL, REQUESTED), zap))
    assert [type(e) for e in decide(attempt("tell", outcome=REFUSED), state, zap)] == [run.StepFailed, run.RunFailed]


def test_without_a_failure_the_error_path_is_left_alone() -> None:
    zap = definition(action("one", ErrorPath((action("tell"),))))
    given_run(zap, REQUESTED).when(attempt()).then(succeeded(), COMPLETED)


def test_what_was_put_off_is_no_attempt_and_waits_for_its_timer() -> None:
    busy = Postponed(code="circuit_open", message="the target is down", after_s=30)
    at = START + timedelta(seconds=1)
    postponed = run.StepPostponed(
        step_id="one", code=busy.code, message=busy.message, at=at, until=at + timedelta(seconds=30)
    )
    given_run(DEFINITION, REQUESTED).when(attempt(outcome=busy)).then(postponed)
    given = given_run(DEFINITION, REQUESTED, postponed)
    given.when(attempt()).then_nothing()
    given.when(commands.ResumeRun(TIMER)).then(run.RunResumed(timer_id=TIMER))
    given_run(DEFINITION, REQUESTED, postponed, run.RunResumed(timer_id=TIMER)).when(attempt()).then(succeeded())


def test_a_step_is_not_put_off_beyond_its_time() -> None:
    long_ago = START - timedelta(hours=24)
    postponed = run.StepPostponed(step_id="one", code="busy", message="", at=long_ago, until=START)
    past = (REQUESTED, postponed, run.RunResumed(timer_id=TIMER))
    state = folded(INITIAL, list(past))
    happened = decide(attempt(outcome=Postponed(code="busy", message="too much", after_s=30)), state, DEFINITION)
    assert [type(event) for event in happened] == [run.StepFailed, run.RunFailed]
    assert isinstance(happened[1], run.RunFailed)
    assert happened[1].code == "busy"


def test_all_retries_together_stay_within_the_total() -> None:
    zap = definition(ActionStep("one", "http.request", retry=FixedRetry(delays_s=(5.0, 5.0, 5.0), max_total_s=12)))
    first = msgspec.structs.replace(attempt_failed(), started_at=START - timedelta(seconds=10))
    state = folded(INITIAL, [REQUESTED, first, run.RunResumed(timer_id=TIMER)])
    assert [type(e) for e in decide(attempt(number=2, outcome=BROKEN), state, zap)] == [run.StepFailed, run.RunFailed]


BEGIN = commands.BeginAttempt(step_id="one", attempt=1, started_at=START, input=Input({"n": 1}))
STARTED = run.StepStarted(step_id="one", attempt=1, started_at=START, input={"n": 1})


def test_an_attempt_is_announced_once_and_its_outcome_ends_the_doubt() -> None:
    given_run(DEFINITION, REQUESTED).when(BEGIN).then(STARTED)
    given_run(DEFINITION, REQUESTED, STARTED).when(BEGIN).then_nothing()
    given_run(DEFINITION, REQUESTED, STARTED).when(attempt()).then(succeeded())
    given_run(DEFINITION, REQUESTED, STARTED, succeeded()).when(
        commands.SettleUnknown(at=START, jitter=0.5, on_unknown="fail")
    ).then_nothing()


@pytest.mark.parametrize(
    ("on_unknown", "expected"), [("fail", [run.StepFailed, run.RunFailed]), ("retry", [run.StepAttemptFailed])]
)
def test_an_attempt_whose_outcome_nobody_knows_is_surfaced(on_unknown: OnUnknown, expected: list[type]) -> None:
    state = folded(INITIAL, [REQUESTED, STARTED])
    later = START + timedelta(seconds=2)
    happened = decide(commands.SettleUnknown(at=later, jitter=0.5, on_unknown=on_unknown), state, DEFINITION)
    assert [type(event) for event in happened] == expected
    first = happened[0]
    assert isinstance(first, run.StepFailed | run.StepAttemptFailed)
    assert (first.failure.code, first.attempt, first.duration_ms, first.kept) == (
        "unknown_outcome",
        1,
        2000,
        Kept(attempt=1),
    )


@pytest.mark.parametrize(
    ("code", "on_unknown", "expected", "recorded"),
    [
        ("timeout", "fail", run.StepFailed, "unknown_outcome"),
        ("broken", "fail", run.StepFailed, "unknown_outcome"),
        ("crashed", "fail", run.StepFailed, "unknown_outcome"),
        ("connect", "fail", run.StepAttemptFailed, "connect"),
        ("http_503", "fail", run.StepAttemptFailed, "http_503"),
        ("timeout", "retry", run.StepAttemptFailed, "timeout"),
    ],
)
def test_what_may_have_had_its_effect_is_not_repeated_blindly(
    code: str, on_unknown: OnUnknown, expected: type, recorded: str
) -> None:
    command = msgspec.structs.replace(attempt(outcome=Retry(code=code, message="x")), on_unknown=on_unknown)
    first = decide(command, evolve(INITIAL, REQUESTED), DEFINITION)[0]
    assert isinstance(first, run.StepFailed | run.StepAttemptFailed)
    assert (type(first), first.failure.code) == (expected, recorded)


def test_a_delay_begins_once_and_is_over_after_its_timer() -> None:
    zap = definition(DelayStep("wait", for_s=60), action("one"))
    until = START + timedelta(seconds=60)
    delayed = run.StepDelayed(step_id="wait", until=until)
    given_run(zap, REQUESTED).when(commands.DelayRun("wait", until)).then(delayed)
    given_run(zap, REQUESTED, delayed).when(commands.DelayRun("wait", until)).then_nothing()
    given_run(zap, REQUESTED, delayed).when(attempt("wait")).then_nothing()
    over = (REQUESTED, delayed, run.RunResumed(timer_id=TIMER))
    given_run(zap, *over).when(commands.DelayRun("wait", until)).then_nothing()
    given_run(zap, *over).when(attempt("wait")).then(succeeded("wait"))


def test_a_deadline_ends_a_run_whatever_it_waits_for_and_says_where_it_was() -> None:
    requested = msgspec.structs.replace(REQUESTED, deadline=START)
    message = f"the run had not ended by its deadline, {START.isoformat()}"
    given_run(DEFINITION, requested, succeeded()).when(commands.TimeOutRun()).then(
        run.RunTimedOut(zap_id=ZAP, step_id="two", message=message)
    )
    given_run(DEFINITION, requested, attempt_failed()).when(commands.TimeOutRun()).then(
        run.RunTimedOut(zap_id=ZAP, step_id="one", message=message)
    )
    ended = (requested, attempt_failed(), run.RunTimedOut(zap_id=ZAP, step_id="one", message=message))
    for command in (commands.TimeOutRun(), commands.ResumeRun(TIMER), attempt(number=2), commands.CancelRun()):
        given_run(DEFINITION, *ended).when(command).then_nothing()


@pytest.mark.parametrize(
    ("on_error", "gone_for"), [("continue", ZAP), (ErrorPath((action("undo"),)), ZAP), ("fail", None)]
)
def test_a_target_that_is_gone_is_told_of_where_the_run_goes_on(on_error: OnError, gone_for: UUID | None) -> None:
    """A run that fails is told of as a dead letter."""
    zap = definition(action("one", on_error), action("two"))
    gone = attempt(outcome=Failed(code="http_410", message="gone"))
    failed = decide(gone, evolve(INITIAL, REQUESTED), zap)[0]
    assert isinstance(failed, run.StepFailed)
    assert failed.gone_for == gone_for
    other = decide(attempt(outcome=Failed(code="http_400", message="no")), evolve(INITIAL, REQUESTED), zap)[0]
    assert isinstance(other, run.StepFailed)
    assert other.gone_for is None


def test_a_replay_from_within_an_error_path_takes_over_what_led_there() -> None:
    zap = definition(action("zero"), action("one", ErrorPath((action("tell"), action("undo")))), action("two"))
    state = folded(INITIAL, [REQUESTED, succeeded("zero")])
    for step_id, outcome in (("one", REFUSED), ("tell", Succeeded(1)), ("undo", REFUSED)):
        state = folded(state, decide(attempt(step_id, outcome=outcome), state, zap))
    assert isinstance(state, EndedRun)
    wanted = replay(state, UUID(int=9), zap, "undo")
    assert (set(wanted.outputs), set(wanted.errors)) == ({"zero", "tell"}, {"one"})
    new = folded(INITIAL, [wanted])
    assert isinstance(new, ActiveRun)
    assert next_step(new, zap) == action("undo")
    with pytest.raises(WrongStatus, match="undo"):
        replay(state, UUID(int=9), definition(*zap.steps[:1], action("undo"), action("two")), "two")


def test_templates_see_the_trigger_and_earlier_outputs() -> None:
    state = given_run(DEFINITION, a_run_requested('{"order": 7}'), succeeded()).state
    assert isinstance(state, ActiveRun)
    context = template_context(UUID(int=1), state)
    assert context["steps"] == {"one": {"output": {"status": 200}}}
    trigger = context["trigger"]
    assert isinstance(trigger, dict)
    assert trigger["body"] == {"order": 7}


@pytest.mark.parametrize(
    ("body", "seen"), [("", None), ("{", "{"), ("[" * 100, "[" * 100), ("\ufeff{}", {}), ("7", "7")]
)
def test_a_body_that_is_not_json_is_its_text(body: str, seen: object) -> None:
    assert trigger_data(Request(body=body))["body"] == seen


@pytest.mark.parametrize(
    ("content_type", "body", "why"),
    [
        ("Application/XML; charset=utf-8", "<a>", "is application/xml, but it cannot be read: no element found"),
        ("text/xml", "<!DOCTYPE a><a/>", "is text/xml, but it cannot be read: XML with a document type is not taken"),
        ("multipart/form-data", "ab", "is multipart/form-data, but it cannot be read: no boundary is named"),
        ("application/json", '{"a":', "is application/json, but it cannot be read: it ends too early"),
    ],
)
def test_a_trigger_says_why_its_body_is_only_text(content_type: str, body: str, why: str) -> None:
    data = trigger_data(Request(headers={"content-type": content_type}, body=body))
    assert data["body"] == body
    assert f"its content type {why}" in str(data["why_text"])
    with pytest.raises(TemplateError) as caught:
        render("{{ trigger.body.id }}", {"trigger": data})
    assert caught.value.message.endswith(f"trigger.body is text of {len(body)} bytes; {data['why_text']}")
    assert render("{{ trigger.why_text }}", {"trigger": data}) == data["why_text"]


@pytest.mark.parametrize(
    "request_",
    [
        Request(headers={"content-type": "application/json"}, body="{}"),
        Request(headers={"content-type": "application/json"}),
        Request(headers={"content-type": "application/json"}, body="{", raw=True),
        Request(headers={"content-type": "text/plain"}, body="{"),
        Request(headers={"content-type": "image/png"}, body="AAAA", encoding="base64"),
        Request(body="{"),
    ],
)
def test_there_is_no_reason_where_a_body_is_what_it_says(request_: Request) -> None:
    assert "why_text" not in trigger_data(request_)


def test_headers_and_queries_are_read_as_their_senders_write() -> None:
    sent = {"x-utf": "García".encode().decode("latin-1"), "x-latin": "García", "x-wide": "日本"}
    data = trigger_data(Request(headers=sent, query="a=Garc%C3%ADa&b=Garc%EDa&c=1&c=2&d="))
    assert data["headers"] == {"x-utf": "García", "x-latin": "García", "x-wide": "日本"}
    assert data["query"] == {"a": "García", "b": "García", "c": ["1", "2"], "d": ""}


def test_the_idempotency_key_names_run_and_step() -> None:
    keys = {idempotency_key(UUID(int=number), step) for number in (1, 2) for step in ("a", "b")}
    assert len(keys) == 4


@given(st.binary())
def test_a_body_is_kept_byte_for_byte(raw: bytes) -> None:
    body, encoding = request_body(raw)
    assert Request(body=body, encoding=encoding).raw_body() == raw


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
step_ids = st.sampled_from(["one", "two", "three"])
outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Succeeded, json_values),
    st.builds(Retry, code=st.just("x"), message=st.text(max_size=5), after_s=st.none() | st.floats()),
    st.builds(Failed, code=st.sampled_from(["x", "timeout", "http_404"]), message=st.text(max_size=5)),
    st.builds(Postponed, code=st.just("busy"), message=st.just(""), after_s=st.floats(0, 100_000)),
)
attempts = st.builds(
    commands.RecordAttempt,
    step_id=step_ids,
    attempt=st.integers(0, 6),
    started_at=st.just(START),
    duration_ms=st.just(1.0),
    finished_at=st.just(START),
    input=st.builds(Input, json_values),
    outcome=outcomes,
    jitter=st.floats(0, 1),
    on_unknown=st.sampled_from(["retry", "fail"]),
)
begun = st.builds(
    commands.BeginAttempt,
    step_id=step_ids,
    attempt=st.integers(0, 6),
    started_at=st.just(START),
    input=st.builds(Input, json_values),
)
others: st.SearchStrategy[commands.RunCommand] = st.sampled_from(
    [
        commands.RequestRun(REQUESTED),
        commands.FinishRun(),
        commands.ResumeRun(TIMER),
        commands.CancelRun(),
        commands.TimeOutRun(),
        commands.FailRun("", "definition_missing", "gone"),
        commands.SettleUnknown(at=START, jitter=0.5, on_unknown="retry"),
        commands.SettleUnknown(at=START, jitter=0.5, on_unknown="fail"),
        commands.DelayRun("one", START),
        commands.DelayRun("three", START),
    ]
)
any_commands: st.SearchStrategy[commands.RunCommand] = st.one_of(attempts, begun, others)
shared = {
    "step_id": step_ids,
    "attempt": st.integers(-1, 9),
    "started_at": st.just(START),
    "duration_ms": st.just(1.0),
}
moments = st.just(START)
failures = st.just(run.Failure(code="x", message="y"))
events: st.SearchStrategy[run.RunEvent] = st.one_of(
    st.builds(run.StepSucceeded, **shared, output=json_values),
    st.builds(run.StepAttemptFailed, **shared, failure=failures, retry_at=st.just(START)),
    st.builds(run.StepFailed, **shared, failure=failures),
    st.builds(
        run.StepPostponed, step_id=step_ids, code=st.just("busy"), message=st.just(""), at=moments, until=moments
    ),
    st.builds(run.StepDelayed, step_id=step_ids, until=moments),
    st.builds(run.StepStarted, step_id=step_ids, attempt=st.integers(-1, 9), started_at=moments),
    st.sampled_from(
        [
            run.RunResumed(timer_id=TIMER),
            run.RunCompleted(),
            run.RunCancelled(),
            run.RunFailed(step_id="", code="", message=""),
            run.RunTimedOut(step_id="", message=""),
        ]
    ),
    st.just(REQUESTED),
)


def decided(command: commands.RunCommand, state: RunState) -> list[run.RunEvent]:
    try:
        return decide(command, state, DEFINITION)
    except WrongStatus:
        return []


def folded(state: RunState, happened: list[run.RunEvent]) -> RunState:
    for event in happened:
        state = evolve(state, event)
    return state


@given(st.lists(any_commands, max_size=12), any_commands)
def test_deciding_twice_yields_nothing_new(past: list[commands.RunCommand], command: commands.RunCommand) -> None:
    state: RunState = folded(INITIAL, [REQUESTED])
    for earlier in past:
        state = folded(state, decided(earlier, state))
    state = folded(state, decided(command, state))
    assert decided(command, state) == []


@given(st.lists(events, max_size=12))
def test_evolve_takes_any_events_in_any_order(happened: list[run.RunEvent]) -> None:
    folded(INITIAL, happened)


class RunMachine(RuleBasedStateMachine):
    """Any runner, however confused: commands come in any order, repeated, late, for the wrong step."""

    def __init__(self) -> None:
        super().__init__()
        self.state: RunState = INITIAL
        self.log: list[run.RunEvent] = []

    def take(self, command: commands.RunCommand) -> None:
        happened = decided(command, self.state)
        self.state = folded(self.state, happened)
        self.log += happened

    @initialize()
    def requested(self) -> None:
        self.take(commands.RequestRun(REQUESTED))

    @rule(command=any_commands)
    def any_command(self, command: commands.RunCommand) -> None:
        self.take(command)

    @precondition(lambda self: isinstance(self.state, ActiveRun))
    @rule(outcome=outcomes)
    def the_right_attempt(self, outcome: Outcome) -> None:
        assert isinstance(self.state, ActiveRun)
        step = next_step(self.state, DEFINITION)
        assert step, "an active run has a step to do"
        self.take(attempt(step.id, self.state.attempts + 1, outcome))

    @rule()
    def a_timer_fires(self) -> None:
        self.take(commands.ResumeRun(TIMER))

    @invariant()
    def ends_once_and_nothing_follows(self) -> None:
        ends = [
            number
            for number, event in enumerate(self.log)
            if isinstance(event, run.RunCompleted | run.RunFailed | run.RunTimedOut | run.RunCancelled)
        ]
        assert ends in ([], [len(self.log) - 1])
        assert isinstance(self.state, EndedRun) == bool(ends)
        assert self.state is not None or not self.log

    @invariant()
    def attempts_are_numbered_without_holes(self) -> None:
        for step in DEFINITION.steps:
            numbers = [
                event.attempt
                for event in self.log
                if isinstance(event, run.StepSucceeded | run.StepAttemptFailed | run.StepFailed)
                and event.step_id == step.id
            ]
            assert numbers == list(range(1, len(numbers) + 1))
            assert len(numbers) <= len(SCHEDULE_S) + 1

    @invariant()
    def each_step_has_at_most_one_outcome(self) -> None:
        final = [event.step_id for event in self.log if isinstance(event, run.StepSucceeded | run.StepFailed)]
        assert len(final) == len(set(final))

    @invariant()
    def the_request_stands_first_and_alone(self) -> None:
        requests = [number for number, event in enumerate(self.log) if isinstance(event, run.RunRequested)]
        assert requests in ([], [0])

    def teardown(self) -> None:
        """A runner that keeps trying ends any run."""
        for _ in range(len(DEFINITION.steps) * (len(SCHEDULE_S) + 1)):
            if isinstance(self.state, ActiveRun):
                self.take(commands.ResumeRun(TIMER))
                self.the_right_attempt(BROKEN)
        assert self.state is None or isinstance(self.state, EndedRun)


RunMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestRunMachine = RunMachine.TestCase
