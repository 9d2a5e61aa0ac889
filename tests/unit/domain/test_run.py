"""The run: attempts, retries, and exactly one end."""

from datetime import timedelta
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.connector import Failed, Outcome, Retry, Succeeded
from domain.errors import WrongStatus
from domain.request import Request, request_body, trigger_data
from domain.retry import SCHEDULE_S
from domain.run import (
    INITIAL,
    ActiveRun,
    CancelRun,
    EndedRun,
    FailRun,
    Failure,
    FinishRun,
    NoRun,
    RecordAttempt,
    RequestRun,
    ResumeRun,
    RunCancelled,
    RunCommand,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunRequested,
    RunResumed,
    RunState,
    StepAttemptFailed,
    StepFailed,
    StepSucceeded,
    decide,
    evolve,
    idempotency_key,
    next_step,
    template_context,
)
from tests.support.builders import ZAP, a_definition, a_run_requested
from tests.support.clock import START
from tests.support.given import given_run

DEFINITION = a_definition("one", "two")
REQUESTED = a_run_requested()
TIMER = UUID(int=7)
COMPLETED = RunCompleted(zap_id=ZAP)
BROKEN = Retry(code="http_500", message="the target answered 500")


def attempt(step_id: str = "one", number: int = 1, outcome: Outcome | None = None) -> RecordAttempt:
    return RecordAttempt(
        step_id=step_id,
        attempt=number,
        started_at=START,
        duration_ms=5.0,
        finished_at=START + timedelta(seconds=1),
        input={"url": "https://example.com"},
        outcome=outcome or Succeeded({"status": 200}),
        jitter=0.5,
    )


def succeeded(step_id: str = "one", number: int = 1) -> StepSucceeded:
    return StepSucceeded(
        step_id=step_id,
        attempt=number,
        started_at=START,
        duration_ms=5.0,
        input={"url": "https://example.com"},
        output={"status": 200},
    )


def attempt_failed(number: int = 1) -> StepAttemptFailed:
    return StepAttemptFailed(
        step_id="one",
        attempt=number,
        started_at=START,
        duration_ms=5.0,
        input={"url": "https://example.com"},
        failure=Failure(code="http_500", message="the target answered 500"),
        retry_at=START + timedelta(seconds=1 + SCHEDULE_S[number - 1]),
    )


def step_failed(number: int, code: str, message: str) -> StepFailed:
    return StepFailed(
        step_id="one",
        attempt=number,
        started_at=START,
        duration_ms=5.0,
        input={"url": "https://example.com"},
        failure=Failure(code=code, message=message),
    )


def test_a_run_is_requested_once() -> None:
    command = RequestRun(ZAP, 1, "webhook", Request(body="{}"))
    given_run(DEFINITION).when(command).then(REQUESTED)
    given_run(DEFINITION, REQUESTED).when(command).then_nothing()


@pytest.mark.parametrize("command", [attempt(), FinishRun(), ResumeRun(TIMER), FailRun("", "x", "y")])
def test_nothing_happens_in_a_run_that_was_not_requested(command: RunCommand) -> None:
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
    assert waiting.retry_at == START + timedelta(seconds=6)


def test_the_last_attempt_fails_the_run() -> None:
    past = [attempt_failed(number) for number in range(1, len(SCHEDULE_S) + 1)]
    last = len(SCHEDULE_S) + 1
    given_run(DEFINITION, REQUESTED, *past).when(attempt(number=last, outcome=BROKEN)).then(
        step_failed(last, BROKEN.code, BROKEN.message),
        RunFailed(zap_id=ZAP, step_id="one", code=BROKEN.code, message=BROKEN.message),
    )


def test_a_failure_that_will_not_heal_fails_the_run_at_once() -> None:
    refused = Failed(code="http_404", message="no such thing")
    given_run(DEFINITION, REQUESTED).when(attempt(outcome=refused)).then(
        step_failed(1, refused.code, refused.message),
        RunFailed(zap_id=ZAP, step_id="one", code=refused.code, message=refused.message),
    )


def test_attempts_count_from_one_for_each_step() -> None:
    past = (REQUESTED, attempt_failed(), RunResumed(timer_id=TIMER), succeeded(number=2))
    given_run(DEFINITION, *past).when(attempt("two", 1)).then(succeeded("two"), COMPLETED)


def test_a_waiting_run_is_resumed_once() -> None:
    waiting = (REQUESTED, attempt_failed())
    given_run(DEFINITION, *waiting).when(ResumeRun(TIMER)).then(RunResumed(timer_id=TIMER))
    given_run(DEFINITION, *waiting, RunResumed(timer_id=TIMER)).when(ResumeRun(TIMER)).then_nothing()
    given_run(DEFINITION, REQUESTED).when(ResumeRun(TIMER)).then_nothing()


def test_a_run_is_cancelled_whatever_it_waits_for_and_stays_so() -> None:
    given_run(DEFINITION, REQUESTED).when(CancelRun()).then(RunCancelled())
    given_run(DEFINITION, REQUESTED, attempt_failed()).when(CancelRun()).then(RunCancelled())
    for command in (CancelRun(), attempt(), ResumeRun(TIMER)):
        given_run(DEFINITION, REQUESTED, attempt_failed(), RunCancelled()).when(command).then_nothing()
    given_run(DEFINITION, REQUESTED, succeeded(), succeeded("two"), RunCompleted()).when(CancelRun()).then_nothing()


def test_ends_say_whose_run_it_was_and_whether_it_told_of_failures() -> None:
    failed = FailRun("one", "x", "y")
    ends = {"zap_id": ZAP, "step_id": "one", "code": "x", "message": "y"}
    given_run(DEFINITION, REQUESTED).when(failed).then(RunFailed(**ends))  # type: ignore[arg-type]
    told = msgspec.structs.replace(REQUESTED, source="alert")
    given_run(DEFINITION, told).when(failed).then(RunFailed(**ends, of_alert=True))  # type: ignore[arg-type]


def test_a_run_without_steps_is_finished() -> None:
    given_run(a_definition(), REQUESTED).when(FinishRun()).then(COMPLETED)
    given_run(DEFINITION, REQUESTED).when(FinishRun()).then_nothing()


def test_templates_see_the_trigger_and_earlier_outputs() -> None:
    run = given_run(DEFINITION, a_run_requested('{"order": 7}'), succeeded()).state
    assert isinstance(run, ActiveRun)
    context = template_context(UUID(int=1), run)
    assert context["steps"] == {"one": {"output": {"status": 200}}}
    trigger = context["trigger"]
    assert isinstance(trigger, dict)
    assert trigger["body"] == {"order": 7}


@pytest.mark.parametrize(
    ("body", "seen"), [("", None), ("{", "{"), ("[" * 100, "[" * 100), ("\ufeff{}", {}), ("7", "7")]
)
def test_a_body_that_is_not_json_is_its_text(body: str, seen: object) -> None:
    assert trigger_data(Request(body=body))["body"] == seen


def test_the_idempotency_key_names_run_and_step() -> None:
    keys = {idempotency_key(UUID(int=run), step) for run in (1, 2) for step in ("a", "b")}
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
    st.builds(Failed, code=st.just("x"), message=st.text(max_size=5)),
)
attempts = st.builds(
    RecordAttempt,
    step_id=step_ids,
    attempt=st.integers(0, 6),
    started_at=st.just(START),
    duration_ms=st.just(1.0),
    finished_at=st.just(START),
    input=json_values,
    outcome=outcomes,
    jitter=st.floats(0, 1),
)
others: st.SearchStrategy[RunCommand] = st.sampled_from(
    [
        RequestRun(ZAP, 1, "webhook", Request()),
        FinishRun(),
        ResumeRun(TIMER),
        CancelRun(),
        FailRun("", "definition_missing", "gone"),
    ]
)
commands: st.SearchStrategy[RunCommand] = st.one_of(attempts, others)
shared = {
    "step_id": step_ids,
    "attempt": st.integers(-1, 9),
    "started_at": st.just(START),
    "duration_ms": st.just(1.0),
}
failures = st.just(Failure(code="x", message="y"))
events: st.SearchStrategy[RunEvent] = st.one_of(
    st.builds(StepSucceeded, **shared, output=json_values),
    st.builds(StepAttemptFailed, **shared, failure=failures, retry_at=st.just(START)),
    st.builds(StepFailed, **shared, failure=failures),
    st.sampled_from(
        [RunResumed(timer_id=TIMER), RunCompleted(), RunCancelled(), RunFailed(step_id="", code="", message="")]
    ),
    st.just(REQUESTED),
)


def decided(command: RunCommand, state: RunState) -> list[RunEvent]:
    try:
        return decide(command, state, DEFINITION)
    except WrongStatus:
        return []


def folded(state: RunState, happened: list[RunEvent]) -> RunState:
    for event in happened:
        state = evolve(state, event)
    return state


@given(st.lists(commands, max_size=12), commands)
def test_deciding_twice_yields_nothing_new(past: list[RunCommand], command: RunCommand) -> None:
    state: RunState = folded(INITIAL, [REQUESTED])
    for earlier in past:
        state = folded(state, decided(earlier, state))
    state = folded(state, decided(command, state))
    assert decided(command, state) == []


@given(st.lists(events, max_size=12))
def test_evolve_takes_any_events_in_any_order(happened: list[RunEvent]) -> None:
    folded(INITIAL, happened)


class RunMachine(RuleBasedStateMachine):
    """Any runner, however confused: commands come in any order, repeated, late, for the wrong step."""

    def __init__(self) -> None:
        super().__init__()
        self.state: RunState = INITIAL
        self.log: list[RunEvent] = []

    def take(self, command: RunCommand) -> None:
        happened = decided(command, self.state)
        self.state = folded(self.state, happened)
        self.log += happened

    @initialize()
    def requested(self) -> None:
        self.take(RequestRun(ZAP, 1, "webhook", Request()))

    @rule(command=commands)
    def any_command(self, command: RunCommand) -> None:
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
        self.take(ResumeRun(TIMER))

    @invariant()
    def ends_once_and_nothing_follows(self) -> None:
        ends = [
            number
            for number, event in enumerate(self.log)
            if isinstance(event, RunCompleted | RunFailed | RunCancelled)
        ]
        assert ends in ([], [len(self.log) - 1])
        assert isinstance(self.state, EndedRun) == bool(ends)
        assert not isinstance(self.state, NoRun) or not self.log

    @invariant()
    def attempts_are_numbered_without_holes(self) -> None:
        for step in DEFINITION.steps:
            numbers = [
                event.attempt
                for event in self.log
                if isinstance(event, StepSucceeded | StepAttemptFailed | StepFailed) and event.step_id == step.id
            ]
            assert numbers == list(range(1, len(numbers) + 1))
            assert len(numbers) <= len(SCHEDULE_S) + 1

    @invariant()
    def each_step_has_at_most_one_outcome(self) -> None:
        final = [event.step_id for event in self.log if isinstance(event, StepSucceeded | StepFailed)]
        assert len(final) == len(set(final))

    @invariant()
    def the_request_stands_first_and_alone(self) -> None:
        requests = [number for number, event in enumerate(self.log) if isinstance(event, RunRequested)]
        assert requests in ([], [0])

    def teardown(self) -> None:
        """A runner that keeps trying ends any run."""
        for _ in range(len(DEFINITION.steps) * (len(SCHEDULE_S) + 1)):
            if isinstance(self.state, ActiveRun):
                self.take(ResumeRun(TIMER))
                self.the_right_attempt(BROKEN)
        assert isinstance(self.state, EndedRun | NoRun)


RunMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestRunMachine = RunMachine.TestCase
