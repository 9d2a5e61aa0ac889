"""The zap: what a user designed, its published versions, and whether its hook takes requests."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypeAlias, assert_never
from uuid import UUID

import msgspec

from domain.hook.compiled import HOOKS
from domain.log.errors import NotFound, WrongStatus
from domain.log.event import Event
from domain.log.stream import Loaded
from domain.zap.definition import Definition, NamedTrigger, same
from domain.zap.events import (
    DraftTested,
    Flag,
    FlagKind,
    ZapCreated,
    ZapDeleted,
    ZapDraftChanged,
    ZapEnabled,
    ZapEvent,
    ZapFlagged,
    ZapHookDue,
    ZapPaused,
    ZapPublished,
    ZapRolledBack,
    ZapScheduled,
    ZapSecretsChanged,
    ZapUnflagged,
)
from domain.zap.settings import DEFAULT, ZapSettings

ZapStatus: TypeAlias = Literal["draft", "enabled", "paused", "deleted"]


class Draft(msgspec.Struct, frozen=True):
    """A name and a definition that are not published."""

    name: str
    definition: Definition


class CreateZap(Draft, frozen=True):
    """Save a new zap."""


class ChangeDraft(Draft, frozen=True):
    """Replace the draft."""


class PublishZap(msgspec.Struct, frozen=True):
    """Make the draft a version that new runs use; `note` says why."""

    note: str = ""


class RollBackZap(msgspec.Struct, frozen=True):
    """Have new runs use an earlier version again."""

    number: int


class EnableZap(msgspec.Struct, frozen=True):
    """Have the hook take requests."""


class PauseZap(msgspec.Struct, frozen=True):
    """Have the hook refuse or hold requests."""


class DeleteZap(msgspec.Struct, frozen=True):
    """Take the zap away from its owner."""


class ChangeSecrets(msgspec.Struct, frozen=True):
    """Record how many secrets the hook has from now on."""

    count: int


class RegisterZap(msgspec.Struct, frozen=True):
    """Have the service told once more where the zap's hook is."""


class FlagZap(msgspec.Struct, frozen=True):
    """Flag the zap; with `pause` it is paused as well."""

    flag: Flag
    pause: bool = False


class UnflagZap(msgspec.Struct, frozen=True):
    """Take away all flags of a kind."""

    kind: FlagKind


_Change: TypeAlias = (
    ChangeDraft
    | PublishZap
    | RollBackZap
    | EnableZap
    | PauseZap
    | DeleteZap
    | ChangeSecrets
    | RegisterZap
    | FlagZap
    | UnflagZap
)
ZapCommand: TypeAlias = CreateZap | _Change


class PublishedVersion(msgspec.Struct, frozen=True):
    """One immutable version of a zap; runs pin its number."""

    number: int
    name: str
    definition: Definition
    published_at: datetime
    note: str = ""


class Zap(msgspec.Struct, frozen=True, kw_only=True):
    """An existing zap. `live` is the number of the version that new runs use, 0 before the first publish.

    `trusted_since`: when a user or a completed run last showed that the zap should work. `set_aside`: the draft that
    the last roll-back replaced.
    """

    name: str
    draft: Definition
    status: ZapStatus = "draft"
    versions: tuple[PublishedVersion, ...] = ()
    live: int = 0
    flags: tuple[Flag, ...] = ()
    set_aside: Draft | None = None
    trusted_since: datetime

    @property
    def behaviour(self) -> ZapSettings:
        """The settings of the version that new runs use."""
        return self.version(self.live).definition.behaviour if self.live else DEFAULT

    @property
    def draft_differs(self) -> bool:
        """Whether publishing now would change what new runs do."""
        return not self.live or not self.is_draft(self.version(self.live))

    @property
    def next_number(self) -> int:
        """The number of the version that the draft is, or would be."""
        same_as = [version.number for version in self.versions if self.is_draft(version)]
        return same_as[-1] if same_as else len(self.versions) + 1

    def is_draft(self, version: "PublishedVersion") -> bool:
        """Whether the draft equals this version."""
        return version.name == self.name and same(version.definition, self.draft)

    def version(self, number: int) -> PublishedVersion:
        """The published version `number`. Raises NotFound."""
        for version in self.versions:
            if version.number == number:
                return version
        raise NotFound(f"version {number} of this zap does not exist")


WAITING = HOOKS | {"manual", "zap.called", "zap.failed"}
"""The triggers that wait until somebody starts them. Every other one has a timer, whose ticks the scheduler fires."""
STATUS_AFTER: Mapping[type[Event], ZapStatus] = {ZapEnabled: "enabled", ZapPaused: "paused", ZapDeleted: "deleted"}
"""The status that an event leads to, whatever it was before."""
ZapState: TypeAlias = Zap | None
"""None while nothing has happened in the stream."""
INITIAL: ZapState = None
LoadedZap: TypeAlias = Loaded[Zap, ZapEvent]


def decide(command: ZapCommand, state: ZapState) -> list[ZapEvent]:
    """The events that the command leads to; none when it changes nothing. Raises NotFound or WrongStatus."""
    if isinstance(command, CreateZap):
        if isinstance(state, Zap):
            raise WrongStatus("this zap already exists")
        return [ZapCreated(name=command.name, definition=command.definition)]
    if state is None or state.status == "deleted":
        if isinstance(command, DeleteZap) and isinstance(state, Zap):
            return []
        raise NotFound("no such zap")
    return _with_hook(state, _with_schedule(state, _decide_existing(command, state)))


def _with_schedule(zap: Zap, events: list[ZapEvent]) -> list[ZapEvent]:
    """The events, and one more for each trigger that starts by itself, where they lead to an enabled zap."""
    if not any(isinstance(event, ZapPublished | ZapRolledBack | ZapEnabled) for event in events):
        return events
    for event in events:
        zap = _evolve_existing(zap, event, zap.trusted_since)
    if zap.status != "enabled":
        return events
    definition = zap.version(zap.live).definition
    timed = [trigger for trigger in definition.starts if trigger.type not in WAITING]
    return [*events, *(ZapScheduled(trigger_id=definition.origin(trigger)[0]) for trigger in timed)]


def _with_hook(zap: Zap, events: list[ZapEvent]) -> list[ZapEvent]:
    """The events, and one more where a service has to learn of what they lead to."""
    if not any(
        isinstance(event, ZapPublished | ZapRolledBack | ZapEnabled | ZapPaused | ZapDeleted) for event in events
    ):
        return events
    after = zap
    for event in events:
        after = _evolve_existing(after, event, zap.trusted_since)
    return [*events, ZapHookDue()] if registering(zap) or registering(after) else events


def registering(zap: Zap) -> NamedTrigger | None:
    """The trigger of the live version that a service is told of; None for none."""
    hook = zap.version(zap.live).definition.start_of(HOOKS) if zap.live else None
    return hook if hook is not None and hook.config.get("register") else None


def sent_to(zap: Zap) -> NamedTrigger | None:
    """The same while its hook takes or holds requests."""
    holds = zap.status == "paused" and zap.behaviour.when_paused == "hold"
    return registering(zap) if zap.status == "enabled" or holds else None


def _decide_existing(command: _Change, zap: Zap) -> list[ZapEvent]:
    match command:
        case ChangeDraft(name, definition):
            return _change_draft(zap, name, definition)
        case PublishZap(note):
            return _publish(zap, note)
        case RollBackZap(number):
            return _roll_back(zap, zap.version(number))
        case EnableZap():
            _require_published(zap, "enabled")
            return [*([] if zap.status == "enabled" else [ZapEnabled()]), *_unflagged(zap)]
        case PauseZap():
            _require_published(zap, "paused")
            return [] if zap.status == "paused" else [ZapPaused()]
        case RegisterZap():
            return _register(zap)
        case FlagZap() | UnflagZap():
            return _decide_flags(command, zap)
        case DeleteZap():
            return [ZapDeleted()]
        case ChangeSecrets(count):
            return [ZapSecretsChanged(count=count)]
        case _:
            assert_never(command)


def _change_draft(zap: Zap, name: str, definition: Definition) -> list[ZapEvent]:
    if name == zap.name and same(definition, zap.draft):
        return []
    return [ZapDraftChanged(name=name, definition=definition)]


def _register(zap: Zap) -> list[ZapEvent]:
    if zap.status != "enabled" or registering(zap) is None:
        raise WrongStatus("only the hook of an enabled zap is registered, where its live version says at which service")
    return [ZapHookDue(anew=True)]


def _publish(zap: Zap, note: str) -> list[ZapEvent]:
    number = len(zap.versions) + 1
    events: list[ZapEvent] = []
    if zap.draft_differs:
        events.append(ZapPublished(number=number, name=zap.name, definition=zap.draft, note=note))
    if zap.status == "draft":
        events.append(ZapEnabled())
    return [*events, *_unflagged(zap)]


def _roll_back(zap: Zap, version: PublishedVersion) -> list[ZapEvent]:
    """The draft goes back, too, so that the next publish does not bring back what was wrong."""
    if version.number == zap.live and zap.is_draft(version):
        return []
    published = any(zap.is_draft(known) for known in zap.versions)
    back = [] if zap.is_draft(version) else [ZapDraftChanged(name=version.name, definition=version.definition)]
    return [ZapRolledBack(number=version.number, sets_aside=not published), *back, *_unflagged(zap)]


def _decide_flags(command: FlagZap | UnflagZap, zap: Zap) -> list[ZapEvent]:
    if isinstance(command, UnflagZap):
        return [event for event in _unflagged(zap) if event.kind == command.kind]
    flag = command.flag
    if flag.key in {known.key for known in zap.flags}:
        return []
    paused = [ZapPaused(reason=flag.detail)] if command.pause and zap.status == "enabled" else []
    return [ZapFlagged(flag=flag), *paused]


def _unflagged(zap: Zap) -> list[ZapUnflagged]:
    return [ZapUnflagged(kind=flag.kind, step_id=flag.step_id) for flag in zap.flags]


def _require_published(zap: Zap, wish: str) -> None:
    if not zap.live:
        raise WrongStatus(f"a zap can be {wish} once it has been published: POST …/publish first")


def evolve(state: ZapState, event: ZapEvent, at: datetime) -> ZapState:
    """The state after an event that was recorded at a moment. Total: never raises."""
    if isinstance(event, ZapCreated):
        return Zap(name=event.name, draft=event.definition, trusted_since=at)
    if state is None:
        return None
    zap = _evolve_existing(state, event, at)
    trusted = isinstance(event, ZapPublished | ZapRolledBack | ZapEnabled | ZapUnflagged)
    return msgspec.structs.replace(zap, trusted_since=at) if trusted else zap


def _evolve_existing(zap: Zap, event: ZapEvent, at: datetime) -> Zap:
    replace = msgspec.structs.replace
    match event:
        case ZapCreated() | ZapSecretsChanged() | ZapScheduled() | ZapHookDue() | DraftTested():
            return zap
        case ZapDraftChanged():
            return replace(zap, name=event.name, draft=event.definition)
        case ZapPublished():
            version = PublishedVersion(event.number, event.name, event.definition, at, event.note)
            return replace(zap, versions=(*zap.versions, version), live=event.number)
        case ZapRolledBack():
            set_aside = Draft(zap.name, zap.draft) if event.sets_aside else zap.set_aside
            return replace(zap, live=event.number, set_aside=set_aside)
        case ZapEnabled() | ZapPaused() | ZapDeleted():
            return replace(zap, status=STATUS_AFTER[type(event)])
        case ZapFlagged():
            return replace(zap, flags=(*zap.flags, event.flag))
        case ZapUnflagged():
            return replace(zap, flags=tuple(flag for flag in zap.flags if flag.key != event.key))
        case _:
            assert_never(event)


def existing(loaded: LoadedZap) -> LoadedZap:
    """The zap. Raises NotFound where it is deleted."""
    if loaded.state.status == "deleted":
        raise NotFound("no such zap")
    return loaded


def hook_path(user_id: UUID, zap_id: UUID) -> str:
    """Where webhook senders post for this zap."""
    return f"/hooks/catch/{user_id}/{zap_id}"
