"""The rules that a definition keeps when it is saved or published. Definitions in the log were checked then."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import islice

from domain.connector.catalog import Catalog
from domain.connector.descriptor import ActionDescriptor
from domain.flow.contents import Scope, conditions, scopes, templated, walk
from domain.flow.forms import mistake_in_form
from domain.flow.steps import OTHERWISE, ActionStep, ApprovalStep, DelayStep, PathsStep, Step, UnknownStep, WaitForStep
from domain.hook.compiled import HOOKS
from domain.language import condition
from domain.language.mistakes import MAX_TEMPLATES, MAX_TEXT, Mistake, mistakes, place_of, too_deep
from domain.language.names import TRIGGER_ONLY, Names
from domain.language.template import Place, is_substitution, templates
from domain.language.zones import zone_of
from domain.log.errors import Invalid
from domain.values.json import MAX_DEPTH
from domain.zap.definition import MAX_DEPTH as MAX_NESTED
from domain.zap.definition import MAX_STEPS, MAX_TRIGGERS, ONLY, STEP_ID, Definition, NamedTrigger, Trigger

_ID = "1 to 64 letters, digits or underscores, and no digit first"
MAX_MISTAKES = 50
"""Mistakes that one answer lists."""


def validate(definition: Definition, catalog: Catalog) -> None:
    """Check a definition before it is stored. Raises Invalid that lists every mistake with its path and reason."""
    _refuse(_mistakes(definition, catalog))


def _refuse(what_is_wrong: Iterable[Mistake]) -> None:
    found = list(dict.fromkeys(islice(what_is_wrong, MAX_MISTAKES)))
    if found:
        raise Invalid(f"{found[0].path}: {found[0].reason}", errors=[mistake.as_json() for mistake in found])


def validate_trigger(trigger: Trigger, catalog: Catalog) -> None:
    """The same for a trigger alone."""
    _refuse(_of_trigger(NamedTrigger(ONLY, trigger.type, trigger.config), ("trigger",), catalog))


def template_text(definition: Definition) -> int:
    """Characters of all templates, on which the time of a check depends."""
    return sum(len(text) for _path, text in _all_templates(definition))


def _mistakes(definition: Definition, catalog: Catalog) -> Iterator[Mistake]:
    size = [len(text) for _path, text in _all_templates(definition)]
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
    for path, step, names in _places(definition):
        yield from _of_step(step, path, names, catalog)


def _all_templates(definition: Definition) -> Iterator[tuple[Place, str]]:
    for _path, step in definition.all_steps():
        yield from templates(templated(step)[1])
    for trigger in definition.starts:
        yield from templates(trigger.config)


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
    for alone, what in ((HOOKS, "hook"), ({"manual"}, "trigger for starts by hand")):
        places = [str(index) for index, trigger in enumerate(definition.starts) if trigger.type in alone]
        for place in places[1:]:
            yield Mistake(("triggers", place, "type"), "taken", f"a zap has one {what} at most")


def _of_trigger(trigger: NamedTrigger, at: Place, catalog: Catalog) -> Iterator[Mistake]:
    known = catalog.triggers.get(trigger.type)
    if known is None:
        yield Mistake((*at, "type"), "unknown", _unknown("trigger", trigger.type, catalog.triggers))
        return
    for key, reason in known.problems(trigger.config).items():
        yield Mistake((*at, "config", *_keys(key)), "invalid", reason)


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


def _of_ids(steps: list[tuple[str, Step, int]]) -> Iterator[Mistake]:
    seen: set[str] = set()
    for path, step, depth in steps:
        if depth > MAX_NESTED:
            yield Mistake(_keys(path), "too_deep", f"steps are nested {MAX_NESTED} levels deep at most")
        if not STEP_ID.fullmatch(step.id):
            yield Mistake((*_keys(path), "id"), "invalid", _ID)
        elif step.id in seen:
            yield Mistake((*_keys(path), "id"), "taken", f"the id {step.id!r} is taken by an earlier step")
        seen.add(step.id)


def _places(definition: Definition) -> Iterator[tuple[str, Step, Names]]:
    """Every step with its path, and the names that its templates can use: of steps that may have run before it."""
    ids = [step.id for _path, step in definition.all_steps()]
    order = {step_id: index for index, step_id in enumerate(ids)}
    waiting = [step.id for _path, step in definition.all_steps() if isinstance(step, WaitForStep)]

    def why(other: str, step_id: str) -> str:
        if other == step_id:
            return "it is this step itself"
        if order[other] > order[step_id]:
            return f"{other} comes after this step"
        return f"{other} is on an error path or in a branch that this step is not on"

    def names(step: Step, before: tuple[str, ...]) -> Names:
        others = {other: why(other, step.id) for other in ids if other not in before}
        ahead = [other for other in waiting if order[other] >= order[step.id]]
        return Names(before=before, others=others, callbacks=ahead, several=bool(definition.triggers))

    return ((path, step, names(step, before)) for path, step, before in _with_earlier(definition.steps, "steps", ()))


def _with_earlier(
    steps: tuple[Step, ...], path: str, before: tuple[str, ...]
) -> Iterator[tuple[str, Step, tuple[str, ...]]]:
    """Every step with its path and the ids of the steps that may have run before it."""
    for index, step in enumerate(steps):
        at = f"{path}.{index}"
        yield at, step, before
        inside: tuple[str, ...] = ()
        for scope in scopes(step):
            known = (*before, *inside) if _runs_after(step, scope) else before
            if not isinstance(step, PathsStep) or not scope.joins:
                known = (*known, step.id)
            yield from _with_earlier(scope.steps, f"{at}.{scope.at}", known)
            if scope.joins:
                inside += tuple(inner.id for _path, inner, _depth in walk(scope.steps, ""))
        before = (*before, *inside, step.id)


def _runs_after(step: Step, scope: Scope) -> bool:
    """Whether the steps of a scope may run after those of the step's earlier scopes."""
    return scope.at == "on_error.steps" or (isinstance(step, PathsStep) and step.mode == "all")


def _of_step(step: Step, path: str, names: Names, catalog: Catalog) -> Iterator[Mistake]:
    at = _keys(path)
    match step:
        case ActionStep():
            action = catalog.actions.get(step.type)
            if action is None:
                yield Mistake((*at, "type"), "unknown", _unknown("action", step.type, catalog.actions))
            else:
                yield from _of_action(step, at, action)
        case DelayStep():
            yield from _of_zone(step, at)
        case PathsStep():
            yield from _of_paths(step, at)
        case ApprovalStep():
            yield from _of_approval(step, at)
        case UnknownStep():
            yield Mistake((*at, "kind"), "unknown", f"a step of kind {step.of!r} needs a newer release of TriggerHub")
    for place, wanted in conditions(step):
        for key, reason in condition.check(wanted, names.wrong).items():
            yield Mistake((*at, *_keys(place), *place_of(key)), "invalid", reason)
    field, value = templated(step)
    where = (*at, field) if field else at
    if too_deep(value):
        yield Mistake(where, "too_deep", f"nested deeper than {MAX_DEPTH} levels")
    else:
        yield from mistakes(value, where, names.wrong)


def _of_action(step: ActionStep, at: Place, action: ActionDescriptor) -> Iterator[Mistake]:
    if too_deep(step.config):
        return
    for key, reason in action.problems(step.config).items():
        yield Mistake((*at, "config", *_keys(key)), "invalid", reason)


def _of_zone(step: DelayStep, at: Place) -> Iterator[Mistake]:
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
