"""Random steps, what comes of each, and an interpreter that says plainly what a run of them should do."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Literal, TypeAlias
from uuid import UUID
from zlib import crc32

import msgspec
from hypothesis import strategies as st

from domain.connector.outcome import Failed, Outcome, Succeeded
from domain.flow.approvals import Recipient, Verdict
from domain.flow.decisions import Filtered, Taken, taken
from domain.flow.retry import FixedRetry
from domain.flow.steps import (
    OTHERWISE,
    ActionStep,
    ApprovalStep,
    Branch,
    ErrorPath,
    FilterStep,
    ForEachStep,
    OnError,
    Otherwise,
    PathsStep,
    Rejected,
    ReturnStep,
    SetStep,
    Step,
    StopStep,
    TryStep,
    UnknownStep,
    WaitForStep,
)
from domain.hook.request import Request
from domain.language import condition
from domain.run.answers import answer, outcome_of_approval, outcome_of_callback, receive
from domain.run.commands import (
    AskApproval,
    AwaitCallback,
    FinishRun,
    RecordAttempt,
    RecordDecision,
    ResumeRun,
    RunCommand,
)
from domain.run.decide import decide
from domain.run.events import RunEvent
from domain.run.inputs import NO_INPUT
from domain.run.state import ActiveRun, RunState, evolve, next_step
from domain.run.waits import ApprovalAnswered, ApprovalAsked, Asked, CallbackReceived
from domain.values.json import JsonObject
from domain.zap.definition import Definition
from tests.support.builders import ZAP
from tests.support.clock import START

Fate: TypeAlias = Literal["ok", "fails"]
LATER = START + timedelta(days=7)
ALWAYS: JsonObject = {"field": "trigger.body", "operator": "exists"}
"""A condition for where the test says itself how it comes out."""
FAILURE = Failed(code="http_404", message="no such thing")


def action(step_id: str, on_error: OnError = "fail") -> ActionStep:
    """An action that is not retried."""
    return ActionStep(step_id, "http.request", retry=FixedRetry(), on_error=on_error)


def trees(depth: int = 3) -> st.SearchStrategy[tuple[Step, ...]]:
    """Steps nested so deep at most; their ids are given by `numbered`."""
    inner = trees(depth - 1) if depth else st.just(())
    paths = st.builds(ErrorPath, inner)
    fails: st.SearchStrategy[OnError] = st.just("fail")
    goes_on: st.SearchStrategy[OnError] = st.just("continue")
    on_error = st.one_of(fails, goes_on, paths) if depth else st.one_of(fails, goes_on)
    common: list[st.SearchStrategy[Step]] = [
        st.builds(action, st.just("a"), on_error),
        st.builds(SetStep, st.just("s"), st.just({"n": 1}), on_error),
    ]
    if depth:
        branches = st.lists(st.builds(Branch, st.just("b"), st.just(ALWAYS), inner), min_size=1, max_size=3).map(tuple)
        modes = st.sampled_from(["first", "all"])
        common += [
            st.builds(PathsStep, st.just("p"), branches, modes, st.builds(Otherwise, inner), on_error),
            st.builds(TryStep, st.just("t"), inner, paths),
        ]
    callbacks = st.builds(
        WaitForStep, st.just("w"), on_deadline=st.sampled_from(["fail", "continue"]), on_error=on_error
    )
    approvals = st.builds(
        ApprovalStep,
        st.just("ok"),
        st.just("Go on?"),
        st.just(tuple(Recipient(email=f"{name}@example.com") for name in ("ada", "bob", "eve"))),
        required=st.integers(1, 3),
        on_deadline=st.sampled_from(["reject", "approve", "fail"]),
        rejected=st.builds(Rejected, inner),
        on_error=on_error,
    )
    common.append(st.one_of(callbacks, approvals))
    rare: list[st.SearchStrategy[Step]] = [
        st.just(FilterStep("f", ALWAYS)),
        st.builds(StopStep, st.just("stop"), st.sampled_from(["completed", "failed", "cancelled"])),
        st.just(ReturnStep("r", {"answer": 42})),
    ]
    return st.lists(st.one_of(*common, *common, *common, *rare), max_size=4).map(tuple)


def numbered(steps: Sequence[Step], numbers: Iterator[int]) -> tuple[Step, ...]:
    """The same steps, each with an id of its own."""
    return tuple(_numbered(step, numbers) for step in steps)


def _numbered(step: Step, numbers: Iterator[int]) -> Step:
    replace = msgspec.structs.replace
    step = replace(step, id=f"{step.id}{next(numbers)}")
    if isinstance(step, PathsStep):
        branches = tuple(
            replace(path, id=f"b{index}", steps=numbered(path.steps, numbers)) for index, path in enumerate(step.paths)
        )
        otherwise = Otherwise(numbered(step.otherwise.steps, numbers)) if step.otherwise else step.otherwise
        step = replace(step, paths=branches, otherwise=otherwise)
    if isinstance(step, ApprovalStep) and step.rejected:
        step = replace(step, rejected=Rejected(numbered(step.rejected.steps, numbers)))
    if isinstance(step, TryStep | ForEachStep):
        step = replace(step, steps=numbered(step.steps, numbers))
    if not isinstance(step, StopStep | ReturnStep | UnknownStep) and isinstance(step.on_error, ErrorPath):
        step = replace(step, on_error=ErrorPath(numbered(step.on_error.steps, numbers)))
    return step


class Fates(msgspec.Struct, frozen=True):
    """What comes of each step: of an action whether it fails, of each condition whether it holds."""

    seed: int

    def of(self, step: ActionStep | SetStep) -> Fate:
        """Whether the step succeeds."""
        return "fails" if self.fails(step.id) else "ok"

    def fails(self, step_id: str) -> bool:
        """Whether an action fails."""
        return self._number(step_id) % 3 == 0

    def passes(self, step: FilterStep) -> bool:
        """Whether the filter lets the run through."""
        return self.holds(step.id)

    def holds(self, name: str) -> bool:
        """Whether the condition of a filter holds, by its id, or that of a path, as `step/path`."""
        return self._number(name) % (2 if "/" in name else 6) != 0

    def taken(self, step: PathsStep) -> Taken:
        """Which branches are taken."""
        holds = [self.holds(f"{step.id}/{path.id}") for path in step.paths]
        return taken(step, [condition.Decision(outcome, "", "because") for outcome in holds])

    def verdict(self, step: ApprovalStep) -> Literal["approve", "reject", "fail"]:
        """What people say, or what counts where they say nothing."""
        return step.on_deadline if self.answer(step) is None else "reject" if self.rejects(step, 2) else "approve"

    def answer(self, step: ApprovalStep) -> bool | None:
        """Whether anybody answers in time: None where too few do."""
        return None if self._number(step.id) % 4 == 0 else True

    def rejects(self, step: ApprovalStep, until: int) -> bool:
        """Whether one up to this recipient rejects, where that many are needed."""
        asked = range(min(until + 1, step.required))
        return any(self._number(f"{step.id}/{recipient}") % 4 == 0 for recipient in asked)

    def callback(self, step: WaitForStep) -> Literal["early", "in time", "never"]:
        """When the callback comes."""
        options: tuple[Literal["early", "in time", "never"], ...] = ("early", "in time", "never")
        return options[self._number(step.id) % 3]

    def _number(self, name: str) -> int:
        return crc32(f"{self.seed} {name}".encode())


class Stop(Exception):
    """The run has ended with this status."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class Rejection(Stop):
    """The same, where people did not approve. Of a loop's item it ends that item only."""


class Broke(Exception):
    """A step failed for good."""


class Sieved(Exception):
    """A filter ended its scope."""


class Plain:
    """Carries steps out one after the other, as the guide describes them."""

    def __init__(self, fates: Fates) -> None:
        self._fates = fates
        self.done: list[str] = []

    def run(self, steps: Sequence[Step]) -> str:
        """How the run ends; `done` are the steps with an outcome of their own, in their order."""
        try:
            self._scope(steps)
        except Stop as stop:
            return stop.status
        except Broke:
            return "failed"
        except Sieved:
            return "filtered"
        return "completed"

    def _scope(self, steps: Sequence[Step]) -> None:
        for step in steps:
            try:
                self._step(step)
            except Broke:
                on_error = "fail" if isinstance(step, TryStep | StopStep | ReturnStep | UnknownStep) else step.on_error
                if isinstance(on_error, ErrorPath):
                    return self._scope(on_error.steps)
                if on_error != "continue":
                    raise
        return None

    def _step(self, step: Step) -> None:
        match step:
            case ActionStep() | SetStep():
                self.done.append(step.id)
                if self._fates.of(step) == "fails":
                    raise Broke
            case FilterStep():
                self.done.append(step.id)
                if not self._fates.passes(step):
                    raise Sieved
            case StopStep() | ReturnStep():
                self.done.append(step.id)
                raise Stop(step.as_ if isinstance(step, StopStep) else "completed")
            case ApprovalStep() | WaitForStep():
                self._wait(step)
            case PathsStep():
                self._paths(step)
            case TryStep():
                self._try(step)

    def _wait(self, step: ApprovalStep | WaitForStep) -> None:
        self.done.append(step.id)
        if isinstance(step, WaitForStep):
            if self._fates.callback(step) == "never" and step.on_deadline == "fail":
                raise Broke
            return
        verdict = self._fates.verdict(step)
        if verdict == "fail":
            raise Broke
        if verdict == "approve":
            return
        if not step.after_rejection:
            raise Rejection("cancelled")
        try:
            self._alone(step.after_rejection)
        except Broke:
            raise Rejection("failed") from None
        raise Rejection("completed")

    def _paths(self, step: PathsStep) -> None:
        self.done.append(step.id)
        for branch_id in self._fates.taken(step).taken:
            chosen = next((path.steps for path in step.paths if path.id == branch_id), ())
            if branch_id == OTHERWISE and step.otherwise:
                chosen = step.otherwise.steps
            self._alone(chosen)

    def _try(self, step: TryStep) -> None:
        try:
            self._alone(step.steps)
        except Broke:
            self._alone(step.on_error.steps if step.on_error else ())

    def _alone(self, steps: Sequence[Step]) -> None:
        """A filter in it ends only it."""
        try:
            self._scope(steps)
        except Sieved:
            return


def next_command(run: ActiveRun, definition: Definition, fates: Fates) -> RunCommand:
    """What a runner does next, where each step fares like this."""
    step = next_step(run, definition)
    match step:
        case FilterStep():
            return RecordDecision(step.id, Filtered(passes=fates.passes(step), reason="because"))
        case PathsStep():
            return RecordDecision(step.id, fates.taken(step))
        case None:
            return FinishRun()
        case ApprovalStep() if run.delayed_until is None:
            to = tuple(Asked(email=str(recipient.email)) for recipient in step.to)
            return AskApproval(
                ApprovalAsked(zap_id=ZAP, step_id=step.id, title="?", to=to, required=step.required, until=LATER)
            )
        case ApprovalStep():
            return _recorded(run, step, outcome_of_approval(step, run.approvals[step.id]))
        case WaitForStep() if run.delayed_until is None and step.id not in run.callbacks:
            return AwaitCallback(step.id, LATER)
        case WaitForStep():
            return _recorded(run, step, outcome_of_callback(step, run.callbacks.get(step.id), LATER))
    failed = isinstance(step, ActionStep | SetStep) and fates.of(step) == "fails"
    return _recorded(run, step, FAILURE if failed else Succeeded({"of": step.id}))


def _recorded(run: ActiveRun, step: Step, outcome: Outcome) -> RecordAttempt:
    return RecordAttempt(
        step_id=step.id,
        attempt=run.attempts + 1,
        started_at=START,
        duration_ms=1.0,
        finished_at=START + timedelta(seconds=1),
        input=NO_INPUT,
        outcome=outcome,
        jitter=0.5,
    )


def from_outside(run: ActiveRun, definition: Definition, fates: Fates) -> list[RunEvent]:
    """What somebody does for whom the run waits; where nobody does, the timer of the deadline fires."""
    step = next_step(run, definition)
    if isinstance(step, ApprovalStep) and fates.answer(step):
        number = len(run.approvals[step.id].answers)
        verdict: Verdict = "reject" if fates.rejects(step, number) else "approve"
        return answer(
            run, ApprovalAnswered(step_id=step.id, recipient=number, by=f"{number}", decision=verdict, at=START)
        )
    if isinstance(step, WaitForStep) and fates.callback(step) == "in time":
        return receive(run, called(step))
    return decide(ResumeRun(UUID(int=1)), run, definition)


def called(step: WaitForStep) -> CallbackReceived:
    """A callback."""
    return CallbackReceived(step_id=step.id, request=Request(body="{}"), at=START)


def called_early(state: RunState, definition: Definition, fates: Fates) -> RunState:
    """The run after the callbacks that come before it has done anything."""
    for _path, step in definition.all_steps():
        if isinstance(step, WaitForStep) and fates.callback(step) == "early" and isinstance(state, ActiveRun):
            for event in receive(state, called(step)):
                state = evolve(state, event)
    return state


def carried_out(state: RunState, definition: Definition, fates: Fates) -> list[RunEvent]:
    """All events until the run has ended. Raises AssertionError where it does not."""
    events: list[RunEvent] = []
    state = called_early(state, definition, fates)
    while isinstance(state, ActiveRun):
        if state.waits_until is not None:
            found = from_outside(state, definition, fates)
        else:
            found = decide(next_command(state, definition, fates), state, definition)
        assert found, "the run goes on"
        for event in found:
            state = evolve(state, event)
        events += found
        assert len(events) < 10_000
    return events
