"""A zap's definition: its trigger and its steps, and the rules that a saved one keeps."""

import re
from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from domain.connector import ActionDescriptor, TriggerDescriptor
from domain.errors import Invalid
from domain.json import Json, JsonObject
from domain.template import TemplateError, check
from domain.zap_settings import DEFAULT, ZapSettings

MAX_STEPS = 100
_STEP_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
"""What templates can name as `steps.<id>`."""


class Trigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What starts a run: a trigger type of the catalog and its configuration."""

    type: str
    config: JsonObject = {}


class ActionStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="action"):
    """Runs one action of a connector. `id` names its output in later templates: `steps.<id>.output`."""

    id: str
    type: str
    config: JsonObject = {}


Step: TypeAlias = ActionStep
"""All kinds of steps; each further kind (filter, paths, delay …) joins this union."""


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One trigger and the steps that run in order."""

    trigger: Trigger
    steps: tuple[Step, ...] = ()
    settings: ZapSettings | msgspec.UnsetType = msgspec.UNSET

    @property
    def behaviour(self) -> ZapSettings:
        """The settings, with their defaults where none are stored."""
        return DEFAULT if isinstance(self.settings, msgspec.UnsetType) else self.settings

    def step(self, step_id: str) -> Step | None:
        """The step with this id, if there is one."""
        return next((step for step in self.steps if step.id == step_id), None)


def same(one: Definition, other: Definition) -> bool:
    """Whether two definitions are the same JSON: Python's == takes 1, 1.0 and true for one value."""
    return msgspec.json.encode(one, order="deterministic") == msgspec.json.encode(other, order="deterministic")


class Catalog(msgspec.Struct, frozen=True):
    """The triggers and actions that definitions may use, by type."""

    triggers: Mapping[str, TriggerDescriptor]
    actions: Mapping[str, ActionDescriptor]


def validate(definition: Definition, catalog: Catalog) -> None:
    """Check a definition before it is stored. Raises Invalid that lists every broken path with its reason."""
    errors: dict[str, str] = {}
    trigger = catalog.triggers.get(definition.trigger.type)
    if trigger is None:
        errors["trigger.type"] = f"unknown trigger; known: {', '.join(sorted(catalog.triggers))}"
    else:
        found = trigger.problems(definition.trigger.config)
        errors.update((f"trigger.config.{key}".rstrip("."), reason) for key, reason in found.items())
    key = definition.behaviour.concurrency.key
    if key is not None:
        try:
            check(key)
        except TemplateError as error:
            errors["settings.concurrency.key"] = error.message
    if len(definition.steps) > MAX_STEPS:
        errors["steps"] = f"at most {MAX_STEPS} steps"
    seen: set[str] = set()
    for index, step in enumerate(definition.steps):
        _check_step(step, f"steps.{index}", seen, catalog, errors)
        seen.add(step.id)
    if errors:
        details: list[Json] = [{"path": path, "reason": reason} for path, reason in errors.items()]
        first = next(iter(errors.items()))
        raise Invalid(f"{first[0]}: {first[1]}", errors=details)


def _check_step(step: Step, path: str, seen: set[str], catalog: Catalog, errors: dict[str, str]) -> None:
    if not _STEP_ID.fullmatch(step.id):
        errors[f"{path}.id"] = "1 to 64 letters, digits or underscores, and no digit first"
    elif step.id in seen:
        errors[f"{path}.id"] = f"the id {step.id!r} is taken by an earlier step"
    action = catalog.actions.get(step.type)
    if action is None:
        errors[f"{path}.type"] = f"unknown action; known: {', '.join(sorted(catalog.actions))}"
        return
    errors.update((f"{path}.config.{key}", reason) for key, reason in action.problems(step.config).items())
    try:
        check(step.config)
    except TemplateError as error:
        errors[f"{path}.config{error.path}"] = error.message
