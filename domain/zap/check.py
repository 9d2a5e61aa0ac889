"""The rules that a definition keeps when it is saved or published. Definitions in the log were checked then."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import islice

import msgspec

from domain.connector.catalog import Catalog
from domain.connector.uses import Uses
from domain.flow.contents import conditions, result, sources, templated, walk
from domain.flow.delays import mistake_in_until
from domain.flow.forms import mistake_in_form
from domain.flow.steps import (
    OTHERWISE,
    UNSET,
    ActionStep,
    ApprovalStep,
    DelayStep,
    ForEachStep,
    PathsStep,
    Step,
    UnknownStep,
)
from domain.hook.compiled import HOOKS
from domain.language import condition
from domain.language.mistakes import MAX_TEMPLATES, MAX_TEXT, Mistake, mistakes, place_of, too_deep
from domain.language.names import TRIGGER_ONLY, Names
from domain.language.template import Place, has_template, is_substitution, makes_text, templates
from domain.language.zones import zone_of
from domain.log.errors import Invalid
from domain.values.json import MAX_DEPTH, Json, JsonObject
from domain.zap.definition import CALLED, MAX_STEPS, MAX_TRIGGERS, ONLY, STEP_ID, Definition, NamedTrigger, Trigger
from domain.zap.definition import MAX_DEPTH as MAX_NESTED
from domain.zap.places import StepPlace, places

_ID = "1 to 64 letters, digits or underscores, and no digit first"
MAX_MISTAKES = 50
"""Mistakes that one answer lists."""


def validate(definition: Definition, catalog: Catalog, variables: Mapping[str, bool] | None = None) -> None:
    """Check a definition before it is stored; before it is published with the `variables` that there are, and whether
    each is secret. Raises Invalid that lists every mistake with its path and reason.
    """
    _refuse(_mistakes(definition, catalog, variables))


def _refuse(what_is_wrong: Iterable[Mistake]) -> None:
    found = list(dict.fromkeys(islice(what_is_wrong, MAX_MISTAKES)))
    if found:
        raise Invalid(f"{found[0].path}: {found[0].reason}", errors=[mistake.as_json() for mistake in found])


def validate_trigger(trigger: Trigger, catalog: Catalog) -> None:
    """The same for a trigger alone."""
    _refuse(_of_trigger(NamedTrigger(ONLY, trigger.type, trigger.config, trigger.connection), ("trigger",), catalog))


def template_text(definition: Definition) -> int:
    """Characters of all templates, on which the time of a check depends."""
    return sum(map(len, _all_templates(definition)))


def _mistakes(definition: Definition, catalog: Catalog, variables: Mapping[str, bool] | None) -> Iterator[Mistake]:
    size = [len(text) for text in _all_templates(definition)]
    if sum(size) > MAX_TEXT or len(size) > MAX_TEMPLATES:
        reason = f"a zap may have {MAX_TEMPLATES:,} templates of {MAX_TEXT:,} characters together"
        yield Mistake(("steps",), "too_large", reason)
        return
    yield from _of_triggers(definition, catalog)
    yield from _of_serial_key(definition)
    steps = list(walk(definition.steps, "steps"))
    if len(steps) > MAX_STEPS:
        yield Mistake(("steps",), "too_many", f"at most {MAX_STEPS} steps")
    yield from _of_ids(steps)
    outputs = {type_: action.gives for type_, action in catalog.actions.items() if action.gives}
    for place in places(definition, variables, outputs):
        yield from _of_step(place, catalog)


def _all_templates(definition: Definition) -> Iterator[str]:
    for _path, step in definition.all_steps():
        yield from filter(has_template, sources(step))
    for trigger in definition.starts:
        yield from (text for _place, text in templates(trigger.config))


def _of_triggers(definition: Definition, catalog: Catalog) -> Iterator[Mistake]:
    if not 1 <= len(definition.starts) <= MAX_TRIGGERS:
        yield Mistake(("triggers",), "too_many", f"1 to {MAX_TRIGGERS} triggers")
    seen: set[str] = set()
    for index, trigger in enumerate(definition.starts):
        at: Place = ("triggers", str(index)) if definition.triggers else ("trigger",)
        if not STEP_ID.fullmatch(trigger.id):
            yield Mistake((*at, "id"), "invalid", _ID)
        elif trigger.id in seen:
            yield Mistake((*at, "id"), "taken", f"the id {trigger.id!r} is taken by an earlier trigger")
        seen.add(trigger.id)
        yield from _of_trigger(trigger, at, catalog)
    alone_of = ((HOOKS, "hook"), ({"manual"}, "trigger for starts by hand"), (CALLED, "trigger for calls"))
    for alone, what in alone_of:
        places = [str(index) for index, trigger in enumerate(definition.starts) if trigger.type in alone]
        for place in places[1:]:
            yield Mistake(("triggers", place, "type"), "taken", f"a zap has one {what} at most")


def _of_trigger(trigger: NamedTrigger, at: Place, catalog: Catalog) -> Iterator[Mistake]:
    known = catalog.triggers.get(trigger.type)
    if known is None:
        yield Mistake((*at, "type"), "unknown", _unknown("trigger", trigger.type, catalog.triggers))
        return
    yield from _in_config(at, known.problems(trigger.config))
    named = trigger.connection is not UNSET
    yield from _of_connection(trigger.type, trigger.config, named=named, uses=known.connection, at=at)


def _of_connection(type_: str, config: JsonObject, *, named: bool, uses: Uses | None, at: Place) -> Iterator[Mistake]:
    if named and uses is None:
        yield Mistake((*at, "connection"), "not_allowed", f"{type_} takes no connection: leave it out")
    elif not named and uses is not None and uses.needed(config):
        yield Mistake((*at, "connection"), "missing", f"{type_} needs a connection of kind {' or '.join(uses.kinds)}")


def _unknown(what: str, sent: str, known: Iterable[str]) -> str:
    near = get_close_matches(sent[:100], known := sorted(known), 1)
    return f"unknown {what}; known: {', '.join(known)}" + (f"; did you mean {near[0]}?" if near else "")


def _in_config(at: Place, problems: Mapping[str, str]) -> Iterator[Mistake]:
    for key, reason in problems.items():
        told = ".".join((*at, "config", key)).rstrip(".")
        yield Mistake((*at, "config", *place_of(key)), "invalid", reason, told)


def _of_serial_key(definition: Definition) -> Iterator[Mistake]:
    key, at = definition.behaviour.concurrency.key, ("settings", "concurrency", "key")
    if key is None:
        return
    found = list(mistakes(key, at, TRIGGER_ONLY.wrong))
    yield from found
    if not found and not is_substitution(key):
        yield Mistake(at, "not_a_path", "only paths and filters, like {{ trigger.body.customer.id }}; no tags")


def _of_ids(steps: list[tuple[str, Step, int]]) -> Iterator[Mistake]:
    seen: set[str] = set()
    for path, step, depth in steps:
        if depth > MAX_NESTED:
            yield Mistake(place_of(path), "too_deep", f"steps are nested {MAX_NESTED} levels deep at most")
        if not STEP_ID.fullmatch(step.id):
            yield Mistake((*place_of(path), "id"), "invalid", _ID)
        elif step.id in seen:
            yield Mistake((*place_of(path), "id"), "taken", f"the id {step.id!r} is taken by an earlier step")
        seen.add(step.id)


def _of_step(place: StepPlace, catalog: Catalog) -> Iterator[Mistake]:
    at, step = place_of(place.path), place.step
    match step:
        case ActionStep():
            yield from _of_action(step, at, catalog)
        case DelayStep():
            yield from _of_delay(step, at)
        case PathsStep():
            yield from _of_paths(step, at)
        case ApprovalStep():
            yield from _of_approval(step, at)
        case UnknownStep():
            yield Mistake((*at, "kind"), "unknown", f"a step of kind {step.of!r} needs a newer release of TriggerHub")
    for key, wanted in conditions(step):
        for inner, reason in condition.check(wanted, place.names.wrong, rendered=True).items():
            yield Mistake((*at, *place_of(key), *place_of(inner)), "invalid", reason)
        yield from _of_templates(wanted, (*at, *place_of(key)), place.names)
    field, value = templated(step)
    names = msgspec.structs.replace(place.names, sends=True) if _sends(step, catalog) else place.names
    yield from _of_templates(value, (*at, field) if field else at, names)
    if isinstance(step, ForEachStep):
        wrong = _no_list(step.items)
        if wrong is not None:
            yield Mistake((*at, "items"), "invalid", wrong)
        yield from _of_templates(result(step), (*at, "result"), place.inside)


def _no_list(items: Json) -> str | None:
    """Why the items of a loop can never be a list; None where they may be one."""
    if isinstance(items, list):
        return None
    if not isinstance(items, str) or not has_template(items):
        return "a list, or a template that gives one"
    if not makes_text(items):
        return None
    text = items.strip()
    is_one = text.startswith("{{") and text.endswith("}}") and text.count("{{") == 1
    meant = f"; did you mean {{{{ {text[2:-2].strip()} | parse_json }}}}?" if is_one else ""
    return f"a list, or a template that gives one; this one gives text, as filters do but for parse_json{meant}"


def _sends(step: Step, catalog: Catalog) -> bool:
    action = catalog.actions.get(step.type) if isinstance(step, ActionStep) else None
    return action is not None and action.connection is not None


def _of_templates(value: Json, at: Place, names: Names) -> Iterator[Mistake]:
    if too_deep(value):
        yield Mistake(at, "too_deep", f"nested deeper than {MAX_DEPTH} levels")
    else:
        yield from mistakes(value, at, names.wrong)


def _of_action(step: ActionStep, at: Place, catalog: Catalog) -> Iterator[Mistake]:
    action = catalog.actions.get(step.type)
    if action is None:
        yield Mistake((*at, "type"), "unknown", _unknown("action", step.type, catalog.actions))
        return
    if too_deep(step.config):
        return
    yield from _in_config(at, action.problems(step.config))
    named = step.connection is not UNSET
    yield from _of_connection(step.type, step.config, named=named, uses=action.connection, at=at)


def _of_delay(step: DelayStep, at: Place) -> Iterator[Mistake]:
    wrong = mistake_in_until(step.until) if step.until and not has_template(step.until) else None
    if wrong is not None:
        yield Mistake((*at, "until"), "invalid", wrong)
    if step.time_zone and zone_of(step.time_zone) is None:
        yield Mistake((*at, "time_zone"), "unknown", "not the name of a time zone, such as Europe/Berlin")


def _of_paths(step: PathsStep, at: Place) -> Iterator[Mistake]:
    seen = {OTHERWISE}
    for index, branch in enumerate(step.paths):
        where = (*at, "paths", str(index), "id")
        if not STEP_ID.fullmatch(branch.id):
            yield Mistake(where, "invalid", _ID)
        elif branch.id in seen:
            yield Mistake(where, "taken", f"the id {branch.id!r} is taken" + _by(branch.id))
        seen.add(branch.id)


def _by(branch_id: str) -> str:
    return ": it names the branch that runs where no path matches" if branch_id == OTHERWISE else " by an earlier path"


def _of_approval(step: ApprovalStep, at: Place) -> Iterator[Mistake]:
    seen: set[str] = set()
    for index, recipient in enumerate(step.to):
        if recipient.key in seen:
            yield Mistake((*at, "to", str(index)), "taken", "this recipient is there already")
        seen.add(recipient.key)
    if step.required > len(step.to):
        reason = f"{step.required} have to approve, but only {len(step.to)} are asked"
        yield Mistake((*at, "required"), "invalid", reason)
    mistake = mistake_in_form(step.form) if step.form else None
    if mistake is not None:
        yield Mistake((*at, "form"), "invalid", mistake)
