"""Bodies of requests about zaps, and of their answers."""

from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec

from app.commands.hook_secrets import MAX_SECRETS
from app.http.broken import BrokenRule, broken_rule
from app.http.inputs import Input, Name
from domain.flow.steps import UNSET, Step, Unset
from domain.history.point import Point
from domain.run.state import RunStatus
from domain.values.json import Json, JsonObject
from domain.zap.definition import MAX_TRIGGERS, ONE_OF, Definition, NamedTrigger, Trigger, require_one_of
from domain.zap.events import Flag
from domain.zap.outlook import NextRun
from domain.zap.settings import ZapSettings
from domain.zap.zap import Draft, ZapStatus
from projections.run_list import RunError

Triggers = Annotated[tuple[NamedTrigger, ...], msgspec.Meta(min_length=1, max_length=MAX_TRIGGERS)]
MAX_WAIT_S = 30
MAX_NOTE = 2_000
Secret = Annotated[str, msgspec.Meta(min_length=8, max_length=1_000, pattern=r"^[^\x00-\x1f\x7f]*\Z")]


class ZapIn(Input, frozen=True):
    """A zap's name and definition: a `trigger`, or up to ten `triggers` with an id each, and steps.

    Steps look as in the answer's draft; `kind` is `action` by default.
    """

    ONE_OF: ClassVar = ONE_OF

    name: Name
    trigger: Trigger | Unset = UNSET
    steps: tuple[Step, ...] = ()
    settings: ZapSettings | Unset = UNSET
    triggers: Triggers | Unset = UNSET

    def __post_init__(self) -> None:
        require_one_of(self.trigger, self.triggers)

    @classmethod
    def prepared(cls, raw: JsonObject) -> JsonObject:
        """Every step with its kind."""
        return _with_kinds(raw)

    @property
    def definition(self) -> Definition:
        """The definition as the domain has it."""
        return Definition(self.trigger, self.steps, self.settings, self.triggers)


class ZapChange(Input, frozen=True):
    """A zap's new draft: as for a new zap, or the zap as it was read, with a changed `name` or `draft`.

    The other fields of a zap may be sent along as they were read.
    """

    name: Name
    trigger: Trigger | Unset = UNSET
    steps: tuple[Step, ...] | Unset = UNSET
    settings: ZapSettings | Unset = UNSET
    triggers: Triggers | Unset = UNSET
    draft: Definition | Unset = UNSET
    id: Json | Unset = UNSET
    status: Json | Unset = UNSET
    version: Json | Unset = UNSET
    draft_differs: Json | Unset = UNSET
    set_aside: Json | Unset = UNSET
    flags: Json | Unset = UNSET
    warnings: Json | Unset = UNSET
    hook_url: Json | Unset = UNSET
    next_runs: Json | Unset = UNSET
    position: Json | Unset = UNSET
    created_at: Json | Unset = UNSET
    updated_at: Json | Unset = UNSET
    as_of: Json | Unset = UNSET

    def __post_init__(self) -> None:
        if self.in_parts:
            require_one_of(self.trigger, self.triggers)
        elif self.draft is UNSET or self.steps is not UNSET or self.settings is not UNSET:
            raise ValueError("give a trigger with its steps and settings, or a draft that holds all of them")

    @property
    def in_parts(self) -> bool:
        """Whether the new draft is given part by part."""
        return self.trigger is not UNSET or self.triggers is not UNSET

    @classmethod
    def prepared(cls, raw: JsonObject) -> JsonObject:
        """Every step with its kind."""
        draft = raw.get("draft")
        return _with_kinds(raw | {"draft": _with_kinds(draft)} if isinstance(draft, dict) else raw)

    @property
    def definition(self) -> Definition:
        """The definition as the domain has it."""
        if self.in_parts:
            return Definition(self.trigger, self.steps or (), self.settings, self.triggers)
        assert isinstance(self.draft, Definition)
        return self.draft

    def overwritten(self, current: "ZapOut") -> list[BrokenRule]:
        """The fields that only the server decides, and that differ from the zap."""
        now: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(current))
        sent: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        fixed = set(sent) & set(now) - {"name", "next_runs"} - (set() if self.in_parts else {"draft"})
        return [
            broken_rule((name,), "is decided by the server: leave it out, or as it was read", "read_only")
            for name in now if name in fixed and sent[name] != now[name]
        ]  # fmt: skip


def _with_kinds(holder: JsonObject) -> JsonObject:
    """A copy in which each step has its kind, those inside of other steps too."""
    steps = holder.get("steps")
    if isinstance(steps, list):
        holder = holder | {"steps": [_with_kind(step) if isinstance(step, dict) else step for step in steps]}
    return holder


def _with_kind(step: JsonObject) -> JsonObject:
    for name in ("on_error", "otherwise", "rejected"):
        inner = step.get(name)
        if isinstance(inner, dict):
            step = step | {name: _with_kinds(inner)}
    paths = step.get("paths")
    if isinstance(paths, list):
        step = step | {"paths": [_with_kinds(path) if isinstance(path, dict) else path for path in paths]}
    return {"kind": "action"} | _with_kinds(step)


class RunIn(Input, frozen=True):
    """The input of a run, any JSON. Calls with the same `idempotency` start one run, within 30 days.

    With `wait` the answer comes once the run has ended, or after `timeout_s` seconds without its outcome.
    """

    payload: Json = None
    idempotency: Annotated[str, msgspec.Meta(max_length=200)] = ""
    wait: bool = False
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=MAX_WAIT_S)] = 10


class RunAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How the run that was waited for has ended. `value` is what its step `return` gave."""

    run_id: UUID
    status: RunStatus
    value: Json
    error: RunError | None
    position: int


class PublishIn(Input, frozen=True):
    """Why this is published, for whoever reads the versions later."""

    note: Annotated[str, msgspec.Meta(max_length=MAX_NOTE, pattern=r"^[^\x00]*\Z")] = ""


class RollBack(Input, frozen=True):
    """The published version to go back to."""

    version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class Warned(msgspec.Struct, frozen=True):
    """A place in the draft, as path and as JSON pointer, and what to think of there."""

    path: str
    pointer: str
    code: str
    reason: str


class ZapOut(msgspec.Struct, frozen=True, kw_only=True):
    """A zap. `version` is the published one that new runs use, 0 when there is none; `position` is in the log.

    `draft_differs`: publishing now would change what new runs do. `set_aside`: the draft that the last roll-back
    replaced; PUT it to have it again. `flags`: what is wrong with the zap, until it is published, enabled or rolled
    back, or a run completes where all had failed. `warnings`: what in the draft is allowed, and yet may not be what
    you want. `hook_url` is null where the draft has no hook. `next_runs`: the next times at which the schedules of an
    enabled zap start runs. `as_of`: of when an answer about the past is.
    """

    id: UUID
    name: str
    status: ZapStatus
    version: int
    draft: Definition
    draft_differs: bool
    set_aside: Draft | None
    flags: tuple[Flag, ...]
    warnings: tuple[Warned, ...]
    hook_url: str | None
    next_runs: tuple[NextRun, ...]
    position: int
    created_at: datetime
    updated_at: datetime
    as_of: Point | Unset = UNSET


class Checked(msgspec.Struct, frozen=True):
    """What a definition that can be saved makes one think of."""

    warnings: tuple[Warned, ...]


class VersionOut(msgspec.Struct, frozen=True, kw_only=True):
    """A published version; `live` when new runs use it. `note`: why it was published."""

    number: int
    name: str
    live: bool
    published_at: datetime
    note: str
    definition: Definition


class SecretsIn(Input, frozen=True):
    """The secrets that are valid from now on, newest first; an empty list removes them all."""

    secrets: Annotated[tuple[Secret, ...], msgspec.Meta(max_length=MAX_SECRETS)]


class Admitted(msgspec.Struct, frozen=True):
    """The run of the request. `status` is `duplicate` where it had one already."""

    status: str
    run_id: UUID
    position: int
