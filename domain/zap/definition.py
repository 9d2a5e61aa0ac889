"""A zap's definition: its trigger and its steps."""

import re
from collections.abc import Iterator

import msgspec

from domain.flow.contents import walk
from domain.flow.steps import UNSET, Step, Unset
from domain.values.json import Json, JsonObject  # noqa: F401 - JsonObject stands for a type that names Json
from domain.zap.settings import DEFAULT, ZapSettings

MAX_STEPS = 100
MAX_DEPTH = 5
"""How deep steps may be nested in steps."""
STEP_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
"""What templates can name as `steps.<id>`."""


class Trigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What starts a run: a trigger type of the catalog and its configuration."""

    type: str
    config: JsonObject = {}


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One trigger and the steps that run in order."""

    trigger: Trigger
    steps: tuple[Step, ...] = ()
    settings: ZapSettings | Unset = UNSET

    @property
    def behaviour(self) -> ZapSettings:
        """The settings, with their defaults where none are stored."""
        return self.settings or DEFAULT

    def all_steps(self) -> Iterator[tuple[str, Step]]:
        """Every step with its path, those inside of other steps included."""
        return ((path, step) for path, step, _depth in walk(self.steps, "steps"))

    def step(self, step_id: str) -> Step | None:
        """The step with this id, if there is one."""
        return next((step for _path, step in self.all_steps() if step.id == step_id), None)


NO_STEPS = Definition(Trigger(""))
"""For decisions that do not depend on the zap's steps, such as a cancellation."""


def same(one: Definition, other: Definition) -> bool:
    """Whether two definitions are the same JSON: Python's == takes 1, 1.0 and true for one value."""
    return msgspec.json.encode(one, order="deterministic") == msgspec.json.encode(other, order="deterministic")
