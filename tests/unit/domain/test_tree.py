"""The tree of a run's steps: each has its place, and each that was passed by has a reason."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from domain.flow.approvals import Recipient
from domain.flow.course import Results
from domain.flow.decisions import Filtered, Taken
from domain.flow.steps import (
    ApprovalStep,
    Branch,
    ErrorPath,
    FilterStep,
    Otherwise,
    PathsStep,
    Rejected,
    SetStep,
    Step,
    StopStep,
    TryStep,
)  # fmt: skip
from domain.flow.tree import Node, tree
from domain.run.events import Failure
from domain.run.state import INITIAL, ActiveRun, EndedRun, RunState, evolve
from domain.zap.definition import Definition, Trigger
from tests.support.builders import a_run_requested
from tests.support.flows import ALWAYS, Fates, action, carried_out, numbered, trees

STEPS = trees().map(lambda steps: numbered(steps, count()))
FAILED = Failure(code="http_404", message="no such thing")
REQUESTED = a_run_requested()


def a_run(**results: object) -> ActiveRun:
    return ActiveRun(requested=REQUESTED, **results)  # type: ignore[arg-type] # outputs, errors and decisions


def nodes(steps: tuple[Step, ...], run: Results, ended: str = "") -> dict[str, Node]:
    return {node.step.id: node for node in tree(steps, run, ended)}


def whys(steps: tuple[Step, ...], run: Results, ended: str = "") -> dict[str, str]:
    return {step_id: node.why for step_id, node in nodes(steps, run, ended).items()}


ROUTE = PathsStep(
    "route",
    (Branch("eu", ALWAYS, (action("vat"),)), Branch("us", ALWAYS, (action("tax"),))),
    otherwise=Otherwise((action("halt"),)),
)


def test_each_step_has_its_place() -> None:
    found = nodes((ROUTE, TryStep("t", (action("a"),), ErrorPath((action("b"),)))), a_run())
    places = {step_id: (node.at, node.parent, node.branch) for step_id, node in found.items()}
    assert places == {
        "route": ("steps.0", "", ""),
        "vat": ("steps.0.paths.0.steps.0", "route", "eu"),
        "tax": ("steps.0.paths.1.steps.0", "route", "us"),
        "halt": ("steps.0.otherwise.steps.0", "route", "otherwise"),
        "t": ("steps.1", "", ""),
        "a": ("steps.1.steps.0", "t", "steps"),
        "b": ("steps.1.on_error.steps.0", "t", "on_error"),
    }


def test_nothing_is_passed_by_before_anything_is_decided() -> None:
    assert set(whys((ROUTE, action("last")), a_run()).values()) == {""}


def test_a_branch_that_was_not_taken_says_why() -> None:
    decided = Taken(taken=("us",), reasons={"eu": "trigger.body.country equals DE: is 'US'", "us": "it is"})
    found = whys((ROUTE, action("last")), a_run(decisions={"route": decided}))
    assert found == {
        "route": "",
        "vat": "eu of route was not taken: trigger.body.country equals DE: is 'US'",
        "tax": "",
        "halt": "otherwise of route was not taken: a path was taken",
        "last": "",
    }


def test_what_is_behind_a_filter_says_why_it_was_not_run() -> None:
    steps = (FilterStep("large", ALWAYS), action("bill"))
    found = whys(steps, a_run(decisions={"large": Filtered(passes=False, reason="total: is 5")}), "the run has ended")
    assert found == {"large": "", "bill": "large did not let the run through: total: is 5"}


def test_a_filter_in_a_branch_ends_that_branch_only() -> None:
    paths = PathsStep("p", (Branch("a", ALWAYS, (FilterStep("f", ALWAYS), action("x"))),))
    run = a_run(
        decisions={"p": Taken(taken=("a",), reasons={}), "f": Filtered(passes=False, reason="no")}, outputs={"y": 1}
    )
    assert whys((paths, action("y")), run) == {"p": "", "f": "", "x": "f did not let the run through: no", "y": ""}


def test_an_error_path_replaces_the_rest() -> None:
    steps = (action("a", ErrorPath((action("repair"),))), action("b"))
    assert whys(steps, a_run(errors={"a": FAILED}, outputs={"repair": 1})) == {
        "a": "",
        "repair": "",
        "b": "a failed: the steps of its on_error run instead",
    }
    assert whys(steps, a_run(outputs={"a": 1}))["repair"] == "a did not fail"


def test_the_rest_of_a_try_is_passed_by_and_the_steps_behind_are_not() -> None:
    steps = (TryStep("t", (action("a"), action("b")), ErrorPath((action("c"),))), action("d"))
    assert whys(steps, a_run(errors={"a": FAILED})) == {"t": "", "a": "", "b": "a failed", "c": "", "d": ""}


def test_a_stop_inside_ends_all_that_is_behind() -> None:
    both = PathsStep(
        "p", (Branch("a", ALWAYS, (StopStep("halt"),)), Branch("b", ALWAYS, (SetStep("s", {"n": 1}),))), "all"
    )
    run = a_run(decisions={"p": Taken(taken=("a", "b"), reasons={})}, outputs={"halt": {"as": "completed"}})
    assert whys((both, action("z")), run) == {"p": "", "halt": "", "s": "halt ended the run", "z": "halt ended the run"}


def test_what_a_cancelled_run_did_not_come_to_says_so() -> None:
    found = whys((action("a"), TryStep("t", (action("b"),))), a_run(outputs={"a": 1}), "the run was cancelled")
    assert found == {"a": "", "t": "the run was cancelled", "b": "the run was cancelled"}


@given(STEPS, st.integers(0, 10**6))
def test_a_step_was_done_or_has_a_reason_why_not(steps: tuple[Step, ...], seed: int) -> None:
    definition = Definition(Trigger("webhook.catch"), steps)
    state: RunState = evolve(INITIAL, REQUESTED)
    for event in carried_out(state, definition, Fates(seed)):
        state = evolve(state, event)
    assert isinstance(state, EndedRun)
    done = {*state.outputs, *state.errors, *state.decisions}
    for node in tree(steps, state, "the run has ended"):
        if not isinstance(node.step, TryStep):
            assert (node.step.id in done) == (not node.why), node
        assert node.why != "the run has ended", "every reason is a better one"


def test_what_follows_a_rejection_and_what_does_not_say_why() -> None:
    ask = ApprovalStep("ok", "Go on?", (Recipient(role="editor"),), rejected=Rejected((action("tell"),)))
    steps = (TryStep("t", (ask, action("inside"))), action("behind"))
    open_ = whys(steps, a_run())
    assert set(open_.values()) == {""}
    approved = whys(steps, a_run(outputs={"ok": {"decision": "approve"}}))
    assert {step_id for step_id, why in approved.items() if why} == {"tell"}
    assert approved["tell"] == "ok was not rejected"
    rejected = whys(steps, a_run(outputs={"ok": {"decision": "reject"}}))
    assert (rejected["tell"], rejected["inside"]) == ("", "ok was rejected")
    over = whys(steps, a_run(outputs={"ok": {"decision": "reject"}, "tell": 1}), "the run had completed")
    assert (over["tell"], over["inside"], over["behind"]) == ("", "ok was rejected", "ok ended the run")
