"""A zap's definition: its trigger and its steps."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

import msgspec

from domain.flow.retry import DEFAULT as DEFAULT_RETRY
from domain.flow.retry import Policy
from domain.values.json import Json, JsonObject  # noqa: F401 - JsonObject stands for a type that names Json
from domain.values.newer import UNKNOWN
from domain.zap.settings import DEFAULT, ZapSettings

MAX_STEPS = 100
MAX_STEP_TIMEOUT_S = 3_600
STEP_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
"""What templates can name as `steps.<id>`."""
Unset: TypeAlias = msgspec.UnsetType
UNSET = msgspec.UNSET


class Trigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What starts a run: a trigger type of the catalog and its configuration."""

    type: str
    config: JsonObject = {}


class ErrorPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The steps that run instead of the remaining ones once a step has failed for good; then the run is complete."""

    steps: "tuple[Step, ...]"


class RateLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests a minute to the step's target, by all zaps of its owner with this limit together."""

    per_minute: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


OnError: TypeAlias = Literal["fail", "continue"] | ErrorPath
OnUnknown: TypeAlias = Literal["retry", "fail"]


class ActionStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="action"):
    """Runs one action of a connector. `id` names its output in later templates: `steps.<id>.output`.

    `timeout_s` bounds each attempt. `on_error`: whether a failure for good ends the run, is passed over (later steps
    see `steps.<id>.error`), or leads to other steps. `unknown_outcome`: whether an attempt that may or may not
    have had its effect, because its process died or no answer came, is retried or fails. Without it, actions that are
    safe to repeat are retried.
    """

    id: str
    type: str
    config: JsonObject = {}
    retry: Policy | Unset = UNSET
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=MAX_STEP_TIMEOUT_S)] | Unset = UNSET
    on_error: OnError | Unset = UNSET
    unknown_outcome: OnUnknown | Unset = UNSET
    rate_limit: RateLimit | Unset = UNSET

    @property
    def policy(self) -> Policy:
        """The retries of this step."""
        return self.retry or DEFAULT_RETRY


class DelayStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="delay"):
    """Waits `for_s` seconds, or `until` a moment: a template that renders to a date and time as in RFC 3339."""

    id: str
    for_s: Annotated[float, msgspec.Meta(gt=0, le=366 * 24 * 3600)] | Unset = UNSET
    until: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)] | Unset = UNSET

    def __post_init__(self) -> None:
        if (self.for_s is UNSET) == (self.until is UNSET):
            raise ValueError("a delay has either for_s or until")


class UnknownStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag=UNKNOWN):
    """A step of kind `of` in the log that only a newer release understands: it is shown, and neither run nor saved."""

    id: str
    of: str


Step: TypeAlias = ActionStep | DelayStep | UnknownStep
"""All kinds of steps; each further kind (filter, paths …) joins this union."""


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
        """Every step with its path, those of error paths included."""
        return _walk(self.steps, "steps")

    def step(self, step_id: str) -> Step | None:
        """The step with this id, if there is one."""
        return next((step for _path, step in self.all_steps() if step.id == step_id), None)


NO_STEPS = Definition(Trigger(""))
"""For decisions that do not depend on the zap's steps, such as a cancellation."""


def _walk(steps: tuple[Step, ...], path: str) -> Iterator[tuple[str, Step]]:
    for index, step in enumerate(steps):
        yield f"{path}.{index}", step
        if isinstance(step, ActionStep) and isinstance(step.on_error, ErrorPath):
            yield from _walk(step.on_error.steps, f"{path}.{index}.on_error.steps")


def same(one: Definition, other: Definition) -> bool:
    """Whether two definitions are the same JSON: Python's == takes 1, 1.0 and true for one value."""
    return msgspec.json.encode(one, order="deterministic") == msgspec.json.encode(other, order="deterministic")
