"""The rules that a definition keeps when it is saved or published. Definitions in the log were checked then."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from typing import assert_never

from domain.connector.catalog import Catalog
from domain.connector.descriptor import ActionDescriptor
from domain.language.mistakes import MAX_TEMPLATES, MAX_TEXT, Mistake, mistakes, too_deep
from domain.language.names import TRIGGER_ONLY, Names
from domain.language.template import Place, is_substitution, templates
from domain.log.errors import Invalid
from domain.values.json import MAX_DEPTH, Json
from domain.zap.definition import MAX_STEPS, STEP_ID, ActionStep, Definition, DelayStep, ErrorPath, Step, UnknownStep

MAX_MISTAKES = 50
"""Mistakes that one answer lists."""


def validate(definition: Definition, catalog: Catalog) -> None:
    """Check a definition before it is stored. Raises Invalid that lists every mistake with its path and reason."""
    found = list(dict.fromkeys(islice(_mistakes(definition, catalog), MAX_MISTAKES)))
    if found:
        raise Invalid(f"{found[0].path}: {found[0].reason}", errors=[mistake.as_json() for mistake in found])


def template_text(definition: Definition) -> int:
    """Characters of all templates, on which the time of a check depends."""
    return sum(len(text) for _path, text in _all_templates(definition))


def _mistakes(definition: Definition, catalog: Catalog) -> Iterator[Mistake]:
    size = [len(text) for _path, text in _all_templates(definition)]
    if sum(size) > MAX_TEXT or len(size) > MAX_TEMPLATES:
        reason = f"a zap may have {MAX_TEMPLATES:,} templates of {MAX_TEXT:,} characters together"
        yield Mistake(("steps",), "too_large", reason)
        return
    yield from _of_trigger(definition, catalog)
    yield from _of_serial_key(definition)
    steps = list(definition.all_steps())
    if len(steps) > MAX_STEPS:
        yield Mistake(("steps",), "too_many", f"at most {MAX_STEPS} steps")
    yield from _of_ids(steps)
    for path, step, names in _places(definition):
        yield from _of_step(step, path, names, catalog)


def templated(step: Step) -> Json:
    """What the templates of a step are in; None for one without."""
    match step:
        case ActionStep():
            return step.config
        case DelayStep():
            return step.until or None
        case UnknownStep():
            return None
        case _:
            assert_never(step)


def _all_templates(definition: Definition) -> Iterator[tuple[Place, str]]:
    for _path, step in definition.all_steps():
        yield from templates(templated(step))
    yield from templates(definition.trigger.config)


def _of_trigger(definition: Definition, catalog: Catalog) -> Iterator[Mistake]:
    trigger = catalog.triggers.get(definition.trigger.type)
    if trigger is None:
        yield Mistake(("trigger", "type"), "unknown", _unknown("trigger", definition.trigger.type, catalog.triggers))
        return
    for key, reason in trigger.problems(definition.trigger.config).items():
        yield Mistake(("trigger", "config", *_keys(key)), "invalid", reason)


def _unknown(what: str, sent: str, known: Iterable[str]) -> str:
    near = get_close_matches(sent[:100], known := sorted(known), 1)
    return f"unknown {what}; known: {', '.join(known)}" + (f"; did you mean {near[0]}?" if near else "")


def _keys(path: str) -> Place:
    return tuple(key for key in path.split(".") if key)


def _of_serial_key(definition: Definition) -> Iterator[Mistake]:
    key, at = definition.behaviour.concurrency.key, ("settings", "concurrency", "key")
    if key is None:
        return
    found = list(mistakes(key, at, TRIGGER_ONLY.wrong))
    yield from found
    if not found and not is_substitution(key):
        yield Mistake(at, "not_a_path", "only paths and filters, like {{ trigger.body.customer.id }}; no tags")


def _of_ids(steps: list[tuple[str, Step]]) -> Iterator[Mistake]:
    seen: set[str] = set()
    for path, step in steps:
        if not STEP_ID.fullmatch(step.id):
            yield Mistake((*_keys(path), "id"), "invalid", "1 to 64 letters, digits or underscores, and no digit first")
        elif step.id in seen:
            yield Mistake((*_keys(path), "id"), "taken", f"the id {step.id!r} is taken by an earlier step")
        seen.add(step.id)


def _places(definition: Definition) -> Iterator[tuple[str, Step, Names]]:
    """Every step with its path, and the names that its templates can use: of the steps before it on its path."""
    others = {step.id for _path, step in definition.all_steps()}
    order = {step.id: index for index, (_path, step) in enumerate(definition.all_steps())}

    def names(step: Step, before: tuple[str, ...]) -> Names:
        def why(other: str) -> str:
            if other == step.id:
                return "it is this step itself"
            return (
                f"{other} comes after this step"
                if order[other] > order[step.id]
                else f"{other} is on an error path that this step is not on"
            )

        return Names(before=before, others={other: why(other) for other in others if other not in before})

    def walk(steps: tuple[Step, ...], path: str, before: tuple[str, ...]) -> Iterator[tuple[str, Step, Names]]:
        for index, step in enumerate(steps):
            yield f"{path}.{index}", step, names(step, before)
            before = (*before, step.id)
            if isinstance(step, ActionStep) and isinstance(step.on_error, ErrorPath):
                yield from walk(step.on_error.steps, f"{path}.{index}.on_error.steps", before)

    return walk(definition.steps, "steps", ())


def _of_step(step: Step, path: str, names: Names, catalog: Catalog) -> Iterator[Mistake]:
    at = _keys(path)
    match step:
        case ActionStep():
            action = catalog.actions.get(step.type)
            if action is None:
                yield Mistake((*at, "type"), "unknown", _unknown("action", step.type, catalog.actions))
            else:
                yield from _of_action(step, at, action)
            yield from mistakes(step.config, (*at, "config"), names.wrong)
        case DelayStep():
            yield from mistakes(step.until or None, (*at, "until"), names.wrong)
        case UnknownStep():
            yield Mistake((*at, "kind"), "unknown", f"a step of kind {step.of!r} needs a newer release of TriggerHub")
        case _:
            assert_never(step)


def _of_action(step: ActionStep, at: Place, action: ActionDescriptor) -> Iterator[Mistake]:
    if too_deep(step.config):
        yield Mistake((*at, "config"), "too_deep", f"nested deeper than {MAX_DEPTH} levels")
        return
    for key, reason in action.problems(step.config).items():
        yield Mistake((*at, "config", *_keys(key)), "invalid", reason)
