"""What the templates of each step can name: earlier steps, and in a loop the item."""

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

import msgspec

from domain.flow.contents import Scope, scopes, walk
from domain.flow.steps import ActionStep, ForEachStep, PathsStep, SetStep, Step, WaitForStep
from domain.language.names import IN_LOOP, NAMES, Names
from domain.zap.definition import Definition


class StepPlace(msgspec.Struct, frozen=True):
    """A step, its path, and the names that its templates can use; of a loop also those that `result` can use."""

    path: str
    step: Step
    names: Names
    inside: Names


class _Before(msgspec.Struct, frozen=True):
    """The ids of the steps that may have run before a place, and the loops that it is in."""

    ids: tuple[str, ...] = ()
    loops: tuple[str, ...] = ()

    def and_then(self, *ids: str) -> "_Before":
        return _Before((*self.ids, *ids), self.loops)


def places(
    definition: Definition,
    variables: Mapping[str, bool] | None = None,
    outputs: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> Iterator[StepPlace]:
    """Every step of a definition, those inside of steps right after them. `variables`: as Names has them.

    `outputs`: all fields of the outputs of actions, by their types, where these are known.
    """
    given = {step.id: fields for _path, step in definition.all_steps() if (fields := _output(step, outputs))}
    ids = [step.id for _path, step in definition.all_steps()]
    order = {step_id: index for index, step_id in enumerate(ids)}
    loops = _loops(definition)
    waiting = [step.id for _path, step in definition.all_steps() if isinstance(step, WaitForStep)]

    def why(other: str, step_id: str, before: _Before) -> str:
        if other == step_id:
            return "it is this step itself"
        if order[other] > order[step_id]:
            return f"{other} comes after this step"
        if other in loops and loops[other] not in before.loops:
            loop = loops[other]
            return f"{other} is in the loop {loop}, of which steps.{loop}.output tells"
        return f"{other} is on an error path or in a branch that this step is not on"

    def _shares(other: str, before: _Before) -> bool:
        """Whether another step is done by the same run: those of a loop are done by its items."""
        return loops.get(other, "") == (before.loops[-1] if before.loops else "")

    def names(step: Step, before: _Before) -> Names:
        others = {other: why(other, step.id, before) for other in ids if other not in before.ids}
        ahead = [other for other in waiting if order[other] >= order[step.id] and _shares(other, before)]
        return Names(
            roots=IN_LOOP if before.loops else NAMES,
            before=before.ids,
            others=others,
            callbacks=ahead,
            several=bool(definition.triggers),
            variables=variables,
            outputs=given,
        )

    for path, step, before in _with_earlier(definition.steps, "steps", _Before()):
        yield StepPlace(path, step, names(step, before), names(step, _inside(step, before)))


def _output(step: Step, outputs: Mapping[str, Collection[str]]) -> Collection[str]:
    match step:
        case SetStep():
            return tuple(step.values)
        case ActionStep():
            return outputs.get(step.type, ())
    return ()


def _with_earlier(steps: tuple[Step, ...], path: str, before: _Before) -> Iterator[tuple[str, Step, _Before]]:
    """Every step with its path and what may have run before it."""
    for index, step in enumerate(steps):
        at = f"{path}.{index}"
        yield at, step, before
        inside: tuple[str, ...] = ()
        for scope in scopes(step):
            known = before.and_then(*inside) if _runs_after(step, scope) else before
            if isinstance(step, ForEachStep) and scope.at == "steps":
                known = _Before(before.ids, (*before.loops, step.id))
            elif not isinstance(step, PathsStep) or not scope.joins:
                known = known.and_then(step.id)
            yield from _with_earlier(scope.steps, f"{at}.{scope.at}", known)
            if scope.joins:
                inside += _ids(scope.steps)
        before = before.and_then(*inside, step.id)


def _runs_after(step: Step, scope: Scope) -> bool:
    """Whether the steps of a scope may run after those of the step's earlier scopes."""
    return scope.at == "on_error.steps" or (isinstance(step, PathsStep) and step.mode == "all")


def _inside(step: Step, before: _Before) -> _Before:
    """What may have run where an item of a loop has come to its end."""
    if not isinstance(step, ForEachStep):
        return before
    return _Before((*before.ids, *_ids(step.steps)), (*before.loops, step.id))


def _ids(steps: tuple[Step, ...]) -> tuple[str, ...]:
    return tuple(inner.id for _path, inner, _depth in walk(steps, ""))


def _loops(definition: Definition) -> Mapping[str, str]:
    """The innermost loop that each step in a loop is in."""
    return {
        inner: step.id
        for _path, step in definition.all_steps()
        if isinstance(step, ForEachStep)
        for inner in _ids(step.steps)
    }
