"""The steps of a zap as a tree, and of each why a run does not come to it.

Pure and total, like the course: it follows from the steps and from what is on record of them.
"""

from collections.abc import Iterator

import msgspec

from domain.flow.approvals import is_rejection
from domain.flow.contents import Scope, error_path, is_passed_over, scopes, walk
from domain.flow.course import Broken, Done, Dropped, Next, Place, Results, Stopped, course
from domain.flow.decisions import Taken
from domain.flow.steps import ApprovalStep, ForEachStep, PathsStep, Step, TryStep


class Node(msgspec.Struct, frozen=True, gc=False):
    """A step and its place: `at` as in problems (`steps.1.paths.0.steps.0`), the id of the step that holds it.

    `branch`: in which part of that step it is, the id of a path, `otherwise`, `steps`, `rejected` or `on_error`.
    `why`: the reason why the run has passed it by; empty where it was done, or may still be.
    """

    step: Step
    at: str
    parent: str = ""
    branch: str = ""
    why: str = ""


def tree(steps: tuple[Step, ...], results: Results, ended: str = "") -> Iterator[Node]:
    """Every step in the order written, which is the order of doing. `ended`: how the run ended, once it has."""
    return _Walk(results, ended).scope(steps, "steps", "", "", "")


class _Walk:
    def __init__(self, results: Results, ended: str) -> None:
        self._results = results
        self._ended = ended

    def scope(self, steps: tuple[Step, ...], at: str, parent: str, branch: str, why: str) -> Iterator[Node]:
        for index, step in enumerate(steps):
            here = f"{at}.{index}"
            place = self._place(step)
            never = why or (self._ended if self._is_open(step, place) else "")
            yield Node(step, here, parent, branch, never)
            before = ""
            for inner in scopes(step):
                if isinstance(step, ForEachStep) and inner.at == "steps":
                    continue  # each item does them in a run of its own
                reason = never or self._not_entered(step, inner) or (before if inner.joins else "")
                yield from self.scope(inner.steps, f"{here}.{inner.at}", step.id, branch_of(step, inner), reason)
                before = before or (self._behind_branch(inner) if isinstance(step, PathsStep) and not reason else "")
            why = why or self._behind(step, place)

    def _place(self, step: Step) -> Place:
        return course((step,), self._results).place

    def _is_open(self, step: Step, place: Place) -> bool:
        """Whether nothing is on record of the step, or of those in it, though it could be next."""
        return isinstance(place, Next) and not any(self._recorded(one.id) for _at, one, _depth in walk((step,), ""))

    def _recorded(self, step_id: str) -> bool:
        results = self._results
        return step_id in results.outputs or step_id in results.errors or step_id in results.decisions

    def _not_entered(self, step: Step, inner: Scope) -> str:
        """Why the run does not come to the steps of a scope; empty where it does, or may."""
        if inner.at == "on_error.steps":
            may_fail = not self._ended and isinstance(self._place(step), Next)
            return "" if may_fail or self._failed(step) else f"{step.id} did not fail"
        if isinstance(step, PathsStep):
            return self._not_taken(step, branch_of(step, inner))
        if isinstance(step, ApprovalStep):
            is_open = isinstance(self._place(step), Next) and not self._recorded(step.id)
            return "" if is_open or self._rejected(step) else f"{step.id} was not rejected"
        return ""

    def _rejected(self, step: Step) -> bool:
        return isinstance(step, ApprovalStep) and is_rejection(self._results.outputs.get(step.id))

    def _not_taken(self, step: PathsStep, branch: str) -> str:
        decision = self._results.decisions.get(step.id)
        if not isinstance(decision, Taken):
            return f"{step.id} failed" if step.id in self._results.errors else ""
        if branch in decision.taken:
            return ""
        reason = decision.reasons.get(branch, "a path was taken")
        return f"{branch} of {step.id} was not taken: {reason}"

    def _behind_branch(self, inner: Scope) -> str:
        """Why the branches behind this one are not run; empty where it has ended, or is under way."""
        place = course(inner.steps, self._results).place
        return "" if isinstance(place, Done | Dropped | Next) else _said(place)

    def _behind(self, step: Step, place: Place) -> str:
        """Why the steps behind this one are passed by; empty where they are not."""
        if self._failed(step) and not isinstance(step, TryStep):
            if error_path(step):
                return f"{step.id} failed: the steps of its on_error run instead"
            return "" if is_passed_over(step) else _said(place)
        if self._rejected(step):
            return f"{step.id} was rejected"
        return "" if isinstance(place, Done | Next) else _said(place)

    def _failed(self, step: Step) -> bool:
        return step.id in self._results.errors or step.id in course((step,), self._results).failed


def branch_of(step: Step, scope: Scope) -> str:
    """The name of a scope of a step."""
    part, _, rest = scope.at.partition(".")
    if isinstance(step, PathsStep) and part == "paths":
        return step.paths[int(rest.partition(".")[0])].id
    return part


def _said(place: Place) -> str:
    match place:
        case Dropped(step_id, reason):
            return f"{step_id} did not let the run through: {reason}"
        case Broken(step_id):
            return f"{step_id} failed"
        case Stopped(step, _):
            return f"{step.id} ended the run"
        case _:
            return ""
