"""What each kind of step holds: further steps, templates and conditions. Whoever walks a definition asks here."""

from collections.abc import Iterator
from typing import assert_never

import msgspec

from domain.flow.steps import (
    UNSET,
    ActionStep,
    ApprovalStep,
    DelayStep,
    ErrorPath,
    FilterStep,
    ForEachStep,
    OnError,
    PathsStep,
    ReturnStep,
    SetStep,
    Step,
    StopStep,
    TryStep,
    UnknownStep,
    Unset,
    WaitForStep,
    ZapStep,
)
from domain.language.template import templates
from domain.values.json import Json, JsonObject


class Scope(msgspec.Struct, frozen=True):
    """Steps inside a step, and their place in it, such as `paths.0.steps`.

    `joins`: the steps behind the outer one run after these, so they may use their outputs.
    """

    at: str
    steps: tuple[Step, ...]
    joins: bool


def scopes(step: Step) -> Iterator[Scope]:
    """The steps that a step holds, one scope after the other. Whoever walks a definition asks this only."""
    match step:
        case PathsStep():
            for index, path in enumerate(step.paths):
                yield Scope(f"paths.{index}.steps", path.steps, joins=True)
            if step.otherwise:
                yield Scope("otherwise.steps", step.otherwise.steps, joins=True)
        case TryStep():
            yield Scope("steps", step.steps, joins=True)
        case ApprovalStep():
            if step.rejected:
                yield Scope("rejected.steps", step.rejected.steps, joins=False)
        case ForEachStep():
            yield Scope("steps", step.steps, joins=False)
    failed = error_path(step)
    if failed is not None:
        yield Scope("on_error.steps", failed.steps, joins=isinstance(step, TryStep))


def error_path(step: Step) -> ErrorPath | None:
    """The steps that follow a failure of the step, None where it has none."""
    path = _on_error(step)
    return path if isinstance(path, ErrorPath) else None


def is_passed_over(step: Step) -> bool:
    """Whether the run goes on behind the step after it has failed for good."""
    return _on_error(step) == "continue"


def _on_error(step: Step) -> OnError | Unset:
    return UNSET if isinstance(step, StopStep | ReturnStep | UnknownStep) else step.on_error


def templated(step: Step) -> tuple[str, Json]:
    """The field of a step that holds templates, and its value; None where it has none.

    Where templates are in several fields, these are the value, and the name is empty.
    """
    match step:
        case ActionStep():
            return "config", step.config
        case DelayStep():
            return "until", step.until or None
        case SetStep():
            return "values", step.values
        case StopStep():
            return "message", step.message or None
        case ReturnStep():
            return "value", step.value
        case ApprovalStep():
            return "", {"title": step.title, "message": step.message or ""}
        case ForEachStep():
            return "items", step.items
        case ZapStep():
            return "input", step.input
        case FilterStep() | PathsStep() | TryStep() | WaitForStep() | UnknownStep():
            return "", None
        case _:
            assert_never(step)


def result(step: Step) -> Json:
    """What a loop keeps of an item: a template over what the item's own steps see. None for everything else."""
    return step.result if isinstance(step, ForEachStep) and step.result is not UNSET else None


def conditions(step: Step) -> Iterator[tuple[str, JsonObject]]:
    """The conditions of a step with their places in it, such as `paths.0.condition`."""
    match step:
        case FilterStep():
            yield "condition", step.condition
        case PathsStep():
            for index, path in enumerate(step.paths):
                yield f"paths.{index}.condition", path.condition


def sources(step: Step) -> Iterator[str]:
    """The texts of a step that may name values: its templates, and all of its conditions."""
    for value in (templated(step)[1], result(step)):
        yield from (text for _place, text in templates(value))
    for _place, condition in conditions(step):
        yield from _texts(condition)


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def may_end_all(steps: tuple[Step, ...]) -> bool:
    """Whether a step among these may end the whole run."""
    return any(isinstance(step, StopStep | ReturnStep) for _path, step, _depth in walk(steps, ""))


def of_one_run(steps: tuple[Step, ...]) -> Iterator[Step]:
    """Those that the run of these steps does itself: the steps of a loop are done by the runs of its items."""
    for step in steps:
        yield step
        for scope in scopes(step):
            if not (isinstance(step, ForEachStep) and scope.at == "steps"):
                yield from of_one_run(scope.steps)


def action_types(steps: tuple[Step, ...]) -> list[str]:
    """The types of actions that steps name, those inside of other steps included, each once."""
    return list(dict.fromkeys(step.type for _path, step, _depth in walk(steps, "") if isinstance(step, ActionStep)))


def walk(steps: tuple[Step, ...], path: str, depth: int = 0) -> Iterator[tuple[str, Step, int]]:
    """Every step with its path and how deep it is nested, those inside of a step right after it."""
    for index, step in enumerate(steps):
        yield f"{path}.{index}", step, depth
        for scope in scopes(step):
            yield from walk(scope.steps, f"{path}.{index}.{scope.at}", depth + 1)
