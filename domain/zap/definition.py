"""A zap's definition: its triggers and its steps."""

import re
from collections.abc import Collection, Iterator
from functools import cached_property
from typing import ClassVar
from uuid import UUID

import msgspec

from domain.flow.contents import walk
from domain.flow.steps import UNSET, ActionStep, ApprovalStep, ForEachStep, Step, Unset
from domain.values.json import Json, JsonObject  # noqa: F401 - JsonObject stands for a type that names Json
from domain.zap.settings import DEFAULT, ZapSettings

MAX_STEPS = 100
MAX_DEPTH = 5
"""How deep steps may be nested in steps."""
MAX_TRIGGERS = 10
ONE_OF = (("trigger", "triggers"),)
"""Fields of which one is required: what is told of an object that has neither names them."""
ONLY = "trigger"
"""The id of a zap's only trigger, where the definition gives it none."""
CALLED = frozenset({"zap.called"})
"""The trigger of zaps that steps of other zaps can call."""
STEP_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
"""What templates can name as `steps.<id>`."""


class Trigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What starts a run: a trigger type of the catalog and its configuration; `connection`: what it polls with."""

    type: str
    config: JsonObject = {}
    connection: UUID | Unset = UNSET


class NamedTrigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of a zap's triggers. Steps see its `id` and `type` as `trigger.id` and `trigger.type`."""

    id: str
    type: str
    config: JsonObject = {}
    connection: UUID | Unset = UNSET


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """What starts a zap, one trigger or several, and the steps that run in order."""

    ONE_OF: ClassVar = ONE_OF

    trigger: Trigger | Unset = UNSET
    steps: tuple[Step, ...] = ()
    settings: ZapSettings | Unset = UNSET
    triggers: tuple[NamedTrigger, ...] | Unset = UNSET

    def __post_init__(self) -> None:
        require_one_of(self.trigger, self.triggers)

    @property
    def starts(self) -> tuple[NamedTrigger, ...]:
        """All triggers, each with its id."""
        if isinstance(self.trigger, Trigger):
            return (NamedTrigger(ONLY, self.trigger.type, self.trigger.config, self.trigger.connection),)
        return self.triggers or ()

    def start_of(self, types: Collection[str]) -> NamedTrigger | None:
        """The trigger of one of these types, the first where there are several."""
        return next((trigger for trigger in self.starts if trigger.type in types), None)

    def place_of(self, trigger_id: str) -> str:
        """Where a trigger stands in the definition's JSON."""
        if not self.triggers:
            return "trigger"
        return f"triggers.{[trigger.id for trigger in self.triggers].index(trigger_id)}"

    def origin(self, trigger: NamedTrigger) -> tuple[str, str]:
        """Id and type as the log has them of a run: empty where the zap has one trigger, so that they say nothing."""
        return (trigger.id, trigger.type) if self.triggers else ("", "")

    @property
    def behaviour(self) -> ZapSettings:
        """The settings, with their defaults where none are stored."""
        return self.settings or DEFAULT

    @property
    def mailed_to(self) -> list[str]:
        """The addresses to which the zap has mails sent: alerts, and questions of its approvals."""
        approvals = [step for _path, step in self.all_steps() if isinstance(step, ApprovalStep)]
        asked = [recipient.email for step in approvals for recipient in step.to if recipient.email]
        return [*self.behaviour.on_failure.email, *asked]

    def all_steps(self) -> Iterator[tuple[str, Step]]:
        """Every step with its path, those inside of other steps included."""
        return ((path, step) for path, step, _depth in walk(self.steps, "steps"))

    def connected(self) -> Iterator[tuple[str, UUID, ActionStep | NamedTrigger]]:
        """Every trigger and step that names a connection, with its path."""
        for trigger in self.starts:
            if trigger.connection:
                yield self.place_of(trigger.id), trigger.connection, trigger
        for path, step in self.all_steps():
            if isinstance(step, ActionStep) and step.connection:
                yield path, step.connection, step

    def steps_in(self, loop: str | None) -> tuple[Step, ...]:
        """The steps of a loop, or without one all steps."""
        if loop is None:
            return self.steps
        step = self.step(loop)
        return step.steps if isinstance(step, ForEachStep) else ()

    def step(self, step_id: str) -> Step | None:
        """The step with this id, if there is one."""
        return self._by_id.get(step_id)

    @cached_property
    def _by_id(self) -> dict[str, Step]:
        """Every step; of two with one id the first. Each look at a run asks for one."""
        return {step.id: step for _path, step in reversed([*self.all_steps()])}


def require_one_of(trigger: object, triggers: object) -> None:
    """Raises ValueError unless one of the two is given."""
    if (trigger is UNSET) == (triggers is UNSET):
        raise ValueError("give a trigger, or triggers with an id each")


NO_STEPS = Definition(Trigger(""))
"""For decisions that do not depend on the zap's steps, such as a cancellation."""


def same(one: Definition, other: Definition) -> bool:
    """Whether two definitions are the same JSON: Python's == takes 1, 1.0 and true for one value."""
    return msgspec.json.encode(one, order="deterministic") == msgspec.json.encode(other, order="deterministic")
