"""Where a run stands in its zap's steps: what is to be done next, or how they have ended.

Pure and total: it follows from the steps and from what is on record of them, and from nothing else.
"""

from collections.abc import Mapping
from typing import Protocol, TypeAlias, assert_never

import msgspec

from domain.flow.approvals import is_rejection
from domain.flow.contents import error_path, is_passed_over
from domain.flow.decisions import Decision, Filtered, Taken
from domain.flow.steps import (
    ActionStep,
    ApprovalStep,
    ChildrenStep,
    ControlStep,
    DelayStep,
    FilterStep,
    ForEachStep,
    PathsStep,
    ReturnStep,
    SetStep,
    Step,
    StopStep,
    TryStep,
    UnknownStep,
    WaitForStep,
    ZapStep,
)
from domain.values.json import Json, JsonObject


class Results(Protocol):
    """What is on record of a run's steps, by their ids."""

    @property
    def outputs(self) -> Mapping[str, Json]:
        """Outputs of steps that succeeded."""

    @property
    def errors(self) -> Mapping[str, object]:
        """Failures of steps that failed for good."""

    @property
    def decisions(self) -> Mapping[str, Decision]:
        """How filters and paths were decided."""


class Next(msgspec.Struct, frozen=True, gc=False):
    """A step is to be done."""

    step: ActionStep | ControlStep | ChildrenStep | UnknownStep


class Done(msgspec.Struct, frozen=True, gc=False):
    """Everything was done; `output` is the last one."""

    output: Json = None


class Broken(msgspec.Struct, frozen=True, gc=False):
    """A step failed for good, and nothing in its way deals with that.

    `ends_run`: nothing further out may deal with it either, as the run was about to end anyway.
    """

    step_id: str
    ends_run: bool = False


class Dropped(msgspec.Struct, frozen=True, gc=False):
    """A filter did not let it through."""

    step_id: str
    reason: str


class Stopped(msgspec.Struct, frozen=True, gc=False):
    """A step ended the whole run."""

    step: StopStep | ReturnStep | ApprovalStep
    output: Json


Place: TypeAlias = Next | Done | Broken | Dropped | Stopped


class Course(msgspec.Struct, frozen=True, gc=False):
    """Where a run stands, and what came of the steps that hold others, as far as they are over.

    `joined`: their outputs. `failed`: the step inside that failed, for those whose failure was dealt with.
    """

    place: Place
    joined: Mapping[str, JsonObject]
    failed: Mapping[str, str]


BEGINNING = Course(Done(), {}, {})
"""Before any step that holds others is over."""


def course(steps: tuple[Step, ...], results: Results) -> Course:
    """Where a run with these results stands in these steps."""
    follower = _Follower(results)
    return Course(follower.scope(steps), follower.joined, follower.failed)


_ENDING = (StopStep, ReturnStep)


class _Follower:
    """One pass over the steps that were or will be done."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self.joined: dict[str, JsonObject] = {}
        self.failed: dict[str, str] = {}

    def scope(self, steps: tuple[Step, ...]) -> Place:
        done = Done()
        for step in steps:
            place = self._of(step)
            if isinstance(place, Done):
                done = done if isinstance(step, FilterStep) else place
                continue
            if not isinstance(place, Broken) or place.ends_run:
                return place
            self._note(step, place)
            path = error_path(step)
            if path is not None:
                return self.scope(path.steps)
            if not is_passed_over(step):
                return place
        return done

    def _of(self, step: Step) -> Place:
        results = self._results
        if step.id in results.outputs:
            return self._done(step, results.outputs[step.id])
        if step.id in results.errors:
            return Broken(step.id)
        match step:
            case ActionStep() | DelayStep() | SetStep() | StopStep() | ReturnStep() | UnknownStep():
                return Next(step)
            case ApprovalStep() | WaitForStep() | ForEachStep() | ZapStep():
                return Next(step)
            case FilterStep():
                return _filtered(step, results.decisions.get(step.id))
            case PathsStep():
                return self._paths(step, results.decisions.get(step.id))
            case TryStep():
                return self._try(step)
            case _:
                assert_never(step)

    def _done(self, step: Step, output: Json) -> Place:
        if isinstance(step, _ENDING):
            return Stopped(step, output)
        return self._rejected(step, output) if isinstance(step, ApprovalStep) and is_rejection(output) else Done(output)

    def _rejected(self, step: ApprovalStep, output: Json) -> Place:
        """A rejection ends the run, so no `try` around it may lead on to what was not approved."""
        place = self.scope(step.after_rejection)
        if isinstance(place, Done | Dropped):
            return Stopped(step, output)
        return Broken(place.step_id, ends_run=True) if isinstance(place, Broken) else place

    def _paths(self, step: PathsStep, decision: Decision | None) -> Place:
        if not isinstance(decision, Taken):
            return Next(step)
        result: Json = None
        for branch_id in decision.taken:
            place = self.scope(step.branch(branch_id))
            if not isinstance(place, Done | Dropped):
                return place
            result = place.output if isinstance(place, Done) else None
        return self._join(step, {"taken": list(decision.taken), "result": result})

    def _try(self, step: TryStep) -> Place:
        place = self.scope(step.steps)
        failed = isinstance(place, Broken) and not place.ends_run
        if isinstance(place, Broken) and failed:
            self._note(step, place)
            place = self.scope(step.on_error.steps) if step.on_error else Done()
        if not isinstance(place, Done | Dropped):
            return place
        return self._join(step, {"failed": failed, "result": place.output if isinstance(place, Done) else None})

    def _join(self, step: PathsStep | TryStep, output: JsonObject) -> Done:
        self.joined[step.id] = output
        return Done(output)

    def _note(self, step: Step, broken: Broken) -> None:
        if step.id != broken.step_id:
            self.failed[step.id] = broken.step_id


def _filtered(step: FilterStep, decision: Decision | None) -> Place:
    if not isinstance(decision, Filtered):
        return Next(step)
    return Done() if decision.passes else Dropped(step.id, decision.reason)
