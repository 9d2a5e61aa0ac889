"""Filters, paths, try, set, stop and return: which steps of a run are done, and how it ends."""

from collections.abc import Mapping, Sequence
from itertools import count
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.connector.outcome import Succeeded
from domain.flow.approvals import Recipient
from domain.flow.decisions import Filtered, Taken, taken
from domain.flow.steps import (
    ApprovalStep,
    Branch,
    ErrorPath,
    FilterStep,
    ForEachStep,
    Otherwise,
    PathsStep,
    Rejected,
    ReturnStep,
    SetStep,
    Step,
    StopStep,
    TryStep,
)
from domain.language import condition
from domain.log.errors import NotFound, WrongStatus
from domain.run.commands import RecordAttempt, RecordDecision, RunCommand
from domain.run.decide import decide
from domain.run.events import (
    End,
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunFiltered,
    RunResumed,
    StepDecided,
    StepFailed,
    StepSucceeded,
)
from domain.run.replay import replay
from domain.run.state import INITIAL, ActiveRun, EndedRun, RunState, evolve, next_step, stands, template_context
from domain.values.json import Json
from domain.zap.definition import Definition, Trigger
from tests.support.builders import ZAP, a_run_requested
from tests.support.clock import START
from tests.support.flows import (
    ALWAYS,
    FAILURE,
    Fates,
    Plain,
    action,
    called_early,
    carried_out,
    from_outside,
    next_command,
    numbered,
    trees,
)  # fmt: skip

REQUESTED = a_run_requested()


def zap(*steps: Step) -> Definition:
    return Definition(Trigger("webhook.catch"), steps)


class Played:
    """A run that is played step by step."""

    def __init__(self, *steps: Step) -> None:
        self.definition = zap(*steps)
        self.state: RunState = evolve(INITIAL, REQUESTED)
        self.last: Sequence[RunEvent] = ()

    def decides(self, step_id: str, decision: Filtered | Taken) -> "Played":
        return self._record(step_id, RecordDecision(step_id, decision))

    def takes(self, step_id: str, *branches: str) -> "Played":
        return self.decides(step_id, Taken(taken=branches, reasons={}))

    def passes(self, step_id: str, passes: bool = True) -> "Played":
        return self.decides(step_id, Filtered(passes=passes, reason="is 5"))

    def succeeds(self, step_id: str, output: Json = None) -> "Played":
        return self._record(step_id, self._attempt(step_id, Succeeded(output)))

    def fails(self, step_id: str) -> "Played":
        return self._record(step_id, self._attempt(step_id, FAILURE))

    def asks(self, step_id: str) -> "Played":
        """The approval that is next was asked for, and its wait is over."""
        self._record(step_id, next_command(evolve_to_active(self.state), self.definition, Fates(0)))
        self.state = evolve(self.state, RunResumed(timer_id=UUID(int=1)))
        return self

    def sees(self) -> Mapping[str, Json]:
        """What later templates see as `steps`."""
        assert isinstance(self.state, ActiveRun)
        steps = template_context(UUID(int=1), self.state, {}, stands(self.state, self.definition))["steps"]
        assert isinstance(steps, dict)
        return steps

    def is_at(self, step_id: str) -> "Played":
        assert isinstance(self.state, ActiveRun)
        step = next_step(self.state, self.definition)
        assert step is not None
        assert step.id == step_id
        return self

    @property
    def end(self) -> RunEvent:
        """The end of the run, which the last step brought about."""
        assert isinstance(self.state, EndedRun), "the run goes on"
        return self.last[-1]

    def _attempt(self, step_id: str, outcome: Succeeded | type(FAILURE)) -> RecordAttempt:  # type: ignore[valid-type]
        made = next_command(evolve_to_active(self.state), self.definition, Fates(0))
        assert isinstance(made, RecordAttempt)
        assert made.step_id == step_id, f"{made.step_id} is next"
        return RecordAttempt(
            step_id=step_id, attempt=made.attempt, started_at=START, duration_ms=1.0, finished_at=START,
            input=made.input, outcome=outcome, jitter=0.5,
        )  # fmt: skip

    def _record(self, step_id: str, command: RunCommand) -> "Played":
        self.is_at(step_id)
        self.last = decide(command, self.state, self.definition)
        assert self.last, "nothing came of it"
        for event in self.last:
            self.state = evolve(self.state, event)
        return self


def evolve_to_active(state: RunState) -> ActiveRun:
    assert isinstance(state, ActiveRun)
    return state


def route(*paths: Branch, **fields: object) -> PathsStep:
    return PathsStep("route", paths, **fields)  # type: ignore[arg-type]


VIP = Branch("vip", ALWAYS, (action("greet"),))
OTHER = Branch("eu", ALWAYS, (action("ship"), action("bill")))


class TestFilter:
    def test_a_run_that_is_let_through_goes_on(self) -> None:
        run = Played(FilterStep("big", ALWAYS), action("send"))
        run.passes("big").is_at("send")
        assert run.succeeds("send").end == RunCompleted(zap_id=ZAP)

    def test_a_run_that_is_not_is_filtered_with_the_reason(self) -> None:
        run = Played(FilterStep("big", ALWAYS), action("send")).passes("big", passes=False)
        assert run.end == RunFiltered(zap_id=ZAP, step_id="big", reason="is 5")

    def test_in_a_branch_it_ends_the_branch_only(self) -> None:
        branch = Branch("vip", ALWAYS, (FilterStep("big", ALWAYS), action("greet")))
        run = Played(route(branch), action("after")).takes("route", "vip").passes("big", passes=False)
        run.is_at("after")
        assert run.sees()["route"] == {"output": {"taken": ["vip"], "result": None}}

    def test_as_the_last_step_it_completes_the_run(self) -> None:
        assert Played(FilterStep("big", ALWAYS)).passes("big").end == RunCompleted(zap_id=ZAP)


class TestPaths:
    def test_the_branch_that_is_taken_joins_the_steps_behind(self) -> None:
        run = Played(route(VIP, OTHER), action("after")).takes("route", "eu")
        run.succeeds("ship", 1).succeeds("bill", {"no": 7}).is_at("after")
        assert run.sees()["route"] == {"output": {"taken": ["eu"], "result": {"no": 7}}}
        assert run.succeeds("after").end == RunCompleted(zap_id=ZAP)

    def test_all_that_are_taken_run_in_their_order(self) -> None:
        run = Played(route(VIP, OTHER, mode="all")).takes("route", "vip", "eu")
        assert run.succeeds("greet").succeeds("ship").succeeds("bill").end == RunCompleted(zap_id=ZAP)

    def test_where_none_is_taken_the_run_goes_on(self) -> None:
        Played(route(VIP), action("after")).takes("route").is_at("after")

    def test_a_failure_inside_ends_the_run(self) -> None:
        run = Played(route(VIP), action("after")).takes("route", "vip").fails("greet")
        assert run.end == RunFailed(zap_id=ZAP, step_id="greet", code=FAILURE.code, message=FAILURE.message)

    def test_a_failure_inside_is_passed_over_where_the_step_says_so(self) -> None:
        run = Played(route(VIP, on_error="continue"), action("after")).takes("route", "vip").fails("greet")
        run.is_at("after")
        error = {"code": FAILURE.code, "message": FAILURE.message}
        assert run.sees()["route"] == {"output": None, "error": error}
        assert run.sees()["greet"] == {"output": None, "error": error}

    def test_its_error_path_replaces_the_steps_behind(self) -> None:
        path = ErrorPath((action("undo"),))
        run = Played(route(VIP, on_error=path), action("after")).takes("route", "vip").fails("greet")
        assert run.succeeds("undo").end == RunCompleted(zap_id=ZAP)

    def test_an_error_path_in_a_branch_replaces_the_rest_of_the_branch(self) -> None:
        branch = Branch("eu", ALWAYS, (action("ship", ErrorPath((action("tell"),))), action("bill")))
        run = Played(route(branch), action("after")).takes("route", "eu").fails("ship").succeeds("tell")
        run.is_at("after")

    def test_a_decision_is_made_once(self) -> None:
        run = Played(route(VIP, OTHER)).takes("route", "vip")
        again = RecordDecision("route", Taken(taken=("eu",), reasons={}))
        assert decide(again, run.state, run.definition) == []

    def test_the_first_that_holds_is_taken_and_each_has_its_reason(self) -> None:
        decided = [condition.Decision(False, "", "is DE"), condition.Decision(True, "", "is US")]
        three = route(Branch("de", ALWAYS), Branch("us", ALWAYS), Branch("fr", ALWAYS))
        assert taken(three, decided) == Taken(
            taken=("us",), reasons={"de": "is DE", "us": "is US", "fr": "an earlier path was taken"}
        )

    def test_otherwise_is_taken_where_no_other_is(self) -> None:
        one = route(Branch("de", ALWAYS), otherwise=Otherwise((action("halt"),)))
        decided = taken(one, [condition.Decision(False, "", "is US")])
        assert decided.taken == ("otherwise",)
        Played(one).decides("route", decided).is_at("halt")


class TestTry:
    def test_the_steps_behind_go_on_after_its_error_path(self) -> None:
        attempt = TryStep("safe", (action("one"), action("two")), ErrorPath((action("tell"),)))
        run = Played(attempt, action("after")).fails("one").succeeds("tell", "told")
        run.is_at("after")
        assert run.sees()["safe"] == {
            "output": {"failed": True, "result": "told"},
            "error": {"code": FAILURE.code, "message": FAILURE.message},
        }

    def test_without_a_failure_it_is_as_if_it_were_not_there(self) -> None:
        run = Played(TryStep("safe", (action("one"),), ErrorPath((action("tell"),))), action("after")).succeeds(
            "one", 1
        )
        run.is_at("after")
        assert run.sees()["safe"] == {"output": {"failed": False, "result": 1}}

    def test_a_failure_in_its_error_path_goes_further_out(self) -> None:
        run = Played(TryStep("safe", (action("one"),), ErrorPath((action("tell"),)))).fails("one").fails("tell")
        assert isinstance(run.end, RunFailed)
        assert run.end.step_id == "tell"

    def test_an_actions_own_error_path_replaces_the_rest_of_the_try(self) -> None:
        inner = TryStep(
            "safe", (action("one", ErrorPath((action("own"),))), action("two")), ErrorPath((action("tell"),))
        )
        Played(inner, action("after")).fails("one").succeeds("own").is_at("after")


class TestEnds:
    @pytest.mark.parametrize(
        ("kind", "end"),
        [
            ("completed", RunCompleted(zap_id=ZAP, step_id="halt")),
            ("failed", RunFailed(zap_id=ZAP, step_id="halt", code="stopped", message="no route")),
            ("cancelled", RunCancelled(step_id="halt", code="stopped", message="no route")),
        ],
    )
    def test_a_stop_ends_the_whole_run_also_from_inside(self, kind: str, end: End) -> None:
        branch = Branch("eu", ALWAYS, (StopStep("halt", kind), action("never")))  # type: ignore[arg-type]
        run = Played(TryStep("safe", (route(branch),)), action("after")).takes("route", "eu")
        assert run.succeeds("halt", {"as": kind, "message": "no route"}).end == end

    def test_a_return_completes_the_run_with_its_value(self) -> None:
        run = Played(ReturnStep("answer", {"n": 1}), action("never")).succeeds("answer", {"n": 1})
        assert run.end == RunCompleted(zap_id=ZAP, step_id="answer", returned=True)

    def test_values_that_are_set_are_the_output(self) -> None:
        run = Played(SetStep("v", {"a": 1}), action("send")).succeeds("v", {"a": 1})
        assert run.sees()["v"] == {"output": {"a": 1}}


YES: Json = {"decision": "approve"}
NO: Json = {"decision": "reject", "by": "Ada", "comment": "no"}
TO = (Recipient(role="editor"),)


class TestApproval:
    def test_a_rejection_without_steps_cancels_the_run_wherever_it_is(self) -> None:
        ask = ApprovalStep("ok", "?", TO, on_error="continue")
        run = Played(TryStep("safe", (ask,), ErrorPath((action("undo"),))), action("never")).asks("ok")
        assert run.succeeds("ok", NO).end == RunCancelled(step_id="ok", code="rejected", message="rejected by Ada: no")

    def test_with_steps_these_run_and_complete_it(self) -> None:
        ask = ApprovalStep("ok", "?", TO, rejected=Rejected((action("tell"),)))
        run = Played(TryStep("safe", (ask, action("never"))), action("never2")).asks("ok").succeeds("ok", NO)
        assert run.succeeds("tell").end == RunCompleted(zap_id=ZAP, step_id="ok")

    def test_a_failure_after_a_rejection_leads_to_no_step_that_was_not_approved(self) -> None:
        ask = ApprovalStep("ok", "?", TO, rejected=Rejected((action("tell"),)), on_error="continue")
        run = Played(TryStep("safe", (ask,), ErrorPath((action("undo"),))), action("never")).asks("ok")
        run.succeeds("ok", NO).fails("tell")
        assert run.end == RunFailed(zap_id=ZAP, step_id="tell", code=FAILURE.code, message=FAILURE.message)

    def test_a_filter_after_a_rejection_lets_nothing_through_either(self) -> None:
        ask = ApprovalStep("ok", "?", TO, rejected=Rejected((FilterStep("big", ALWAYS), action("tell"))))
        run = Played(ask, action("never")).asks("ok").succeeds("ok", NO).passes("big", passes=False)
        assert run.end == RunCompleted(zap_id=ZAP, step_id="ok")

    def test_what_was_approved_goes_on(self) -> None:
        ask = ApprovalStep("ok", "?", TO, rejected=Rejected((action("tell"),)))
        run = Played(ask, action("send")).asks("ok").succeeds("ok", YES)
        run.is_at("send")
        assert run.sees()["ok"] == {"output": YES}

    def test_a_replay_takes_the_answer_over_also_from_inside(self) -> None:
        steps = ApprovalStep("ok", "?", TO, rejected=Rejected((action("tell"), action("log")))), action("send")
        run = Played(*steps).asks("ok").succeeds("ok", NO).succeeds("tell", 1).fails("log")
        assert isinstance(run.state, EndedRun)
        taken = replay(run.state, UUID(int=9), zap(*steps), "log")
        assert taken.outputs == {"ok": NO, "tell": 1}
        assert replay(run.state, UUID(int=9), zap(*steps), "ok").outputs == {}
        with pytest.raises(WrongStatus):
            replay(run.state, UUID(int=9), zap(*steps), "send")


class TestReplay:
    STEPS = (action("first"), route(VIP, OTHER), action("after"))

    def ended(self) -> EndedRun:
        run = Played(*self.STEPS).succeeds("first", 1).takes("route", "eu").succeeds("ship", 2).fails("bill")
        assert isinstance(run.state, EndedRun)
        return run.state

    def test_from_inside_a_branch_it_takes_over_decision_and_outputs(self) -> None:
        command = replay(self.ended(), UUID(int=9), zap(*self.STEPS), "bill")
        assert command.outputs == {"first": 1, "ship": 2}
        assert command.errors == {}
        assert command.decisions == {"route": Taken(taken=("eu",), reasons={})}

    def test_from_a_try_it_begins_with_the_first_step_inside(self) -> None:
        steps = action("first"), TryStep("safe", (action("a"), action("b"))), action("last")
        run = Played(*steps).succeeds("first", 1).succeeds("a", 2).fails("b").succeeds("last", 3)
        assert isinstance(run.state, ActiveRun | EndedRun)
        taken = replay(run.state, UUID(int=9), zap(*steps), "safe")
        assert (taken.outputs, taken.errors) == ({"first": 1}, {})

    def test_the_reason_names_what_the_run_did_not_do(self) -> None:
        loop = ForEachStep("each", [1], (action("one"),))
        steps = route(VIP, OTHER), loop
        run = Played(*steps).takes("route", "eu").succeeds("ship", 2).succeeds("bill")
        assert isinstance(run.state, ActiveRun | EndedRun)
        for step_id, said in (("greet", "went another way"), ("one", "each item of a loop is a run of its own")):
            with pytest.raises(WrongStatus, match=said):
                replay(run.state, UUID(int=9), zap(*steps), step_id)

    def test_from_the_paths_themselves_it_decides_anew(self) -> None:
        command = replay(self.ended(), UUID(int=9), zap(*self.STEPS), "route")
        assert (command.outputs, command.decisions) == ({"first": 1}, {})

    @pytest.mark.parametrize(("step_id", "error"), [("greet", WrongStatus), ("after", WrongStatus), ("no", NotFound)])
    def test_a_step_that_the_run_did_not_come_to_is_refused(self, step_id: str, error: type[Exception]) -> None:
        with pytest.raises(error):
            replay(self.ended(), UUID(int=9), zap(*self.STEPS), step_id)


REPEATED = st.booleans()
STEPS = trees().map(lambda steps: numbered(steps, count()))


@settings(max_examples=200)
@given(STEPS, st.integers(0, 10**6))
def test_a_run_does_what_the_steps_say_and_always_ends(steps: tuple[Step, ...], seed: int) -> None:
    """Compared with an interpreter that knows neither events nor states."""
    fates, plain = Fates(seed), Plain(Fates(seed))
    status = plain.run(steps)
    events = carried_out(evolve(INITIAL, REQUESTED), zap(*steps), fates)
    recorded = [event.step_id for event in events if isinstance(event, StepSucceeded | StepFailed | StepDecided)]
    assert recorded == plain.done
    assert sum(isinstance(event, End) for event in events) == 1
    state: RunState = called_early(evolve(INITIAL, REQUESTED), zap(*steps), fates)
    for event in events:
        state = evolve(state, event)
    assert isinstance(state, EndedRun)
    assert state.status == status


@given(STEPS, st.integers(0, 10**6), st.data())
def test_a_repeated_command_changes_nothing(steps: tuple[Step, ...], seed: int, data: st.DataObject) -> None:
    """As after a crash between an append and its answer: the command comes again, and finds its outcome on record."""
    definition, fates = zap(*steps), Fates(seed)
    state: RunState = called_early(evolve(INITIAL, REQUESTED), definition, fates)
    commands: list[RunCommand] = []
    while isinstance(state, ActiveRun):
        if state.waits_until is not None:
            for event in from_outside(state, definition, fates):
                state = evolve(state, event)
            continue
        if len(commands) > 0 and data.draw(REPEATED):
            assert decide(commands[data.draw(st.integers(0, len(commands) - 1))], state, definition) == []
        command = next_command(state, definition, fates)
        for event in decide(command, state, definition):
            state = evolve(state, event)
        commands.append(command)
