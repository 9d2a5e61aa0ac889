"""A run's steps as a tree: what happened to each, or why nothing did, and where a replay may begin."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from domain.flow.decisions import Filtered, Taken
from domain.flow.steps import Branch, DelayStep, FilterStep, PathsStep, Step, TryStep
from domain.log.errors import DomainError
from domain.log.event import Event
from domain.run.events import (
    Failure,
    RunCancelled,
    RunCompleted,
    RunFiltered,
    RunResumed,
    StepDecided,
    StepDelayed,
    StepFailed,
    StepSucceeded,
)
from domain.run.replay import replay
from domain.run.state import INITIAL, ActiveRun, EndedRun, RunState, evolve
from domain.zap.definition import Definition, Trigger
from projections.run_detail import RunDetail, fold
from projections.run_tree import place
from sql.process.clock import new_id
from tests.support.builders import a_run_requested
from tests.support.clock import START
from tests.support.flows import ALWAYS, Fates, action, carried_out, numbered, trees
from tests.support.projected import attempt_failed
from tests.unit.projections.test_run_detail import stored

STEPS = trees().map(lambda steps: numbered(steps, count()))


def detail(steps: tuple[Step, ...], *events: Event) -> RunDetail:
    found = fold(stored([a_run_requested(), *events]))
    place(found, Definition(Trigger("webhook.catch"), steps))
    return found


def done(step_id: str, output: object = None) -> StepSucceeded:
    return StepSucceeded(step_id=step_id, attempt=1, started_at=START, duration_ms=1.0, output=output)  # type: ignore[arg-type] # JSON


def broke(step_id: str) -> StepFailed:
    failure = Failure(code="http_404", message="gone")
    return StepFailed(step_id=step_id, attempt=1, started_at=START, duration_ms=1.0, failure=failure)


def test_branches_show_what_was_taken_and_why_others_were_not() -> None:
    route = PathsStep("route", (Branch("eu", ALWAYS, (action("vat"),)), Branch("us", ALWAYS, (action("tax"),))))
    decided = StepDecided(step_id="route", decision=Taken(taken=("eu",), reasons={"us": "country is 'DE'"}))
    shown = detail((route, action("last")), decided, done("vat", 7), done("last"), RunCompleted())
    not_taken = "us of route was not taken: country is 'DE'"
    assert [(s.id, s.kind, s.status, s.parent, s.branch, s.at, s.why) for s in shown.steps] == [
        ("route", "paths", "succeeded", "", "", "steps.0", ""),
        ("vat", "action", "succeeded", "route", "eu", "steps.0.paths.0.steps.0", ""),
        (
            "tax",
            "action",
            "skipped",
            "route",
            "us",
            "steps.0.paths.1.steps.0",
            not_taken,
        ),
        ("last", "action", "succeeded", "", "", "steps.1", ""),
    ]
    assert shown.steps[0].output == {"taken": ["eu"], "result": 7}


def test_a_filtered_run_says_why_the_rest_was_not_run() -> None:
    no = StepDecided(step_id="large", decision=Filtered(passes=False, reason="total is 5"))
    shown = detail((FilterStep("large", ALWAYS), action("bill")), no, RunFiltered(step_id="large", reason="total is 5"))
    assert [(s.id, s.status, s.why) for s in shown.steps] == [
        ("large", "filtered", ""),
        ("bill", "skipped", "large did not let the run through: total is 5"),
    ]
    assert [s.replayable for s in shown.steps] == [True, False]


def test_a_try_is_shown_though_it_leaves_no_event() -> None:
    steps = (TryStep("t", (action("a"), action("b"))), action("c"))
    shown = detail(steps, broke("a"), done("c"), RunCompleted())
    assert [(s.id, s.status) for s in shown.steps] == [
        ("t", "succeeded"), ("a", "failed"), ("b", "skipped"), ("c", "succeeded"),
    ]  # fmt: skip
    assert shown.steps[0].output == {"failed": True, "result": None}
    assert shown.steps[0].error is shown.steps[1].error
    assert [s.status for s in detail(steps).steps] == ["pending"] * 4
    assert [s.status for s in detail(steps, done("a")).steps] == ["running", "succeeded", "pending", "pending"]


def test_what_was_under_way_when_the_run_ended_is_cancelled() -> None:
    shown = detail((action("send"), action("next")), attempt_failed(), RunCancelled())
    assert [(s.id, s.status, len(s.attempts), s.why) for s in shown.steps] == [
        ("send", "cancelled", 1, "the run was cancelled"),
        ("next", "skipped", 0, "the run was cancelled"),
    ]
    assert (shown.steps[0].waits_until, shown.steps[0].finished_at) == (None, shown.finished_at)
    nap = TryStep("t", (DelayStep("nap", for_s=60), action("b")))
    delayed = StepDelayed(step_id="nap", until=START + timedelta(seconds=60))
    assert [s.status for s in detail((nap,), delayed).steps] == ["running", "waiting", "pending"]
    assert [s.status for s in detail((nap,), delayed, RunCancelled()).steps] == ["cancelled", "cancelled", "skipped"]


def test_how_long_a_run_was_queued_and_waited_is_told() -> None:
    """The events are recorded a second apart; the attempt began at the very moment of the request."""
    late = START + timedelta(hours=1)
    waited = StepDelayed(step_id="wait", until=late), RunResumed(timer_id=new_id()), done("wait"), RunCompleted()
    shown = detail((DelayStep("wait", for_s=1),), *waited)
    assert (shown.queued_ms, shown.waiting_ms, shown.duration_ms) == (1000.0, 1000.0, 4000.0)
    assert detail((DelayStep("wait", for_s=1),)).queued_ms is None


def test_a_step_that_the_version_does_not_have_is_shown_all_the_same() -> None:
    assert [s.id for s in detail((action("a"),), done("a"), done("ghost")).steps] == ["a", "ghost"]


def _may_replay(run: ActiveRun | EndedRun, definition: Definition, step_id: str) -> bool:
    try:
        replay(run, new_id(), definition, step_id)
    except DomainError:
        return False
    return True


@given(STEPS, st.integers(0, 10**6))
def test_a_replay_may_begin_where_the_tree_says(steps: tuple[Step, ...], seed: int) -> None:
    definition, state = Definition(Trigger("webhook.catch"), steps), evolve(INITIAL, a_run_requested())
    events: Sequence[Event] = carried_out(state, definition, Fates(seed))
    shown = detail(steps, *events)
    after: RunState = state
    for event in carried_out(state, definition, Fates(seed)):
        after = evolve(after, event)
    assert after is not None
    for step in shown.steps:
        assert step.replayable == _may_replay(after, definition, step.id), step.id
