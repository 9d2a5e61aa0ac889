"""The zap: what a user designed, its published versions, and whether its hook takes requests.

The names and fields of events are the storage format: a changed meaning is a new event, a new field has a default.
"""

from typing import Literal, TypeAlias, assert_never
from uuid import UUID

import msgspec

from domain.definition import Definition, same
from domain.errors import NotFound, WrongStatus
from domain.event import Event

ZapStatus: TypeAlias = Literal["draft", "enabled", "paused", "deleted"]


class ZapCreated(Event, frozen=True, kw_only=True):
    """A user saved a new zap; its definition is the first draft."""

    name: str
    definition: Definition


class ZapDraftChanged(Event, frozen=True, kw_only=True):
    """The draft was replaced; published versions stay as they are."""

    name: str
    definition: Definition


class ZapPublished(Event, frozen=True, kw_only=True):
    """The draft became the immutable version `number`, which new runs use from now on."""

    number: int
    name: str
    definition: Definition


class ZapRolledBack(Event, frozen=True, kw_only=True):
    """New runs use the earlier version `number` again; the draft is left alone."""

    number: int


class ZapEnabled(Event, frozen=True, kw_only=True):
    """The hook takes requests."""


class ZapPaused(Event, frozen=True, kw_only=True):
    """The hook refuses requests until the zap is enabled again."""


class ZapDeleted(Event, frozen=True, kw_only=True):
    """The zap is gone for its owner; its history stays in the log."""


class ZapSecretsChanged(Event, frozen=True, kw_only=True):
    """The secrets that senders sign with were replaced: how many there are now. They are kept elsewhere, encrypted."""

    count: int


class CreateZap(msgspec.Struct, frozen=True):
    name: str
    definition: Definition


class ChangeDraft(msgspec.Struct, frozen=True):
    name: str
    definition: Definition


class PublishZap(msgspec.Struct, frozen=True):
    pass


class RollBackZap(msgspec.Struct, frozen=True):
    number: int


class EnableZap(msgspec.Struct, frozen=True):
    pass


class PauseZap(msgspec.Struct, frozen=True):
    pass


class DeleteZap(msgspec.Struct, frozen=True):
    pass


class ChangeSecrets(msgspec.Struct, frozen=True):
    count: int


ZapCommand: TypeAlias = (
    CreateZap | ChangeDraft | PublishZap | RollBackZap | EnableZap | PauseZap | DeleteZap | ChangeSecrets
)
ZapEvent: TypeAlias = (
    ZapCreated
    | ZapDraftChanged
    | ZapPublished
    | ZapRolledBack
    | ZapEnabled
    | ZapPaused
    | ZapDeleted
    | ZapSecretsChanged
)


class NoZap(msgspec.Struct, frozen=True):
    """Nothing has happened in this stream."""


class PublishedVersion(msgspec.Struct, frozen=True):
    """One immutable version of a zap; runs pin its number."""

    number: int
    name: str
    definition: Definition


class Zap(msgspec.Struct, frozen=True, kw_only=True):
    """An existing zap. `live` is the number of the version that new runs use, 0 before the first publish."""

    name: str
    draft: Definition
    status: ZapStatus = "draft"
    versions: tuple[PublishedVersion, ...] = ()
    live: int = 0

    def version(self, number: int) -> PublishedVersion:
        """The published version `number`. Raises NotFound."""
        for version in self.versions:
            if version.number == number:
                return version
        raise NotFound(f"version {number} of this zap does not exist")


ZapState: TypeAlias = NoZap | Zap
INITIAL: ZapState = NoZap()


def decide(command: ZapCommand, state: ZapState) -> list[ZapEvent]:
    """The events that the command leads to; none when it already holds. Raises NotFound or WrongStatus."""
    if isinstance(command, CreateZap):
        if isinstance(state, Zap):
            raise WrongStatus("this zap already exists")
        return [ZapCreated(name=command.name, definition=command.definition)]
    if isinstance(state, NoZap) or state.status == "deleted":
        if isinstance(command, DeleteZap) and isinstance(state, Zap):
            return []
        raise NotFound("no such zap")
    return _decide_existing(command, state)


def _decide_existing(command: ZapCommand, zap: Zap) -> list[ZapEvent]:
    match command:
        case CreateZap():
            raise WrongStatus("this zap already exists")
        case ChangeDraft(name, definition):
            if name == zap.name and same(definition, zap.draft):
                return []
            return [ZapDraftChanged(name=name, definition=definition)]
        case PublishZap():
            return _publish(zap)
        case RollBackZap(number):
            zap.version(number)
            return [] if number == zap.live else [ZapRolledBack(number=number)]
        case EnableZap():
            _require_published(zap, "enabled")
            return [] if zap.status == "enabled" else [ZapEnabled()]
        case PauseZap():
            _require_published(zap, "paused")
            return [] if zap.status == "paused" else [ZapPaused()]
        case DeleteZap():
            return [ZapDeleted()]
        case ChangeSecrets(count):
            return [ZapSecretsChanged(count=count)]
        case _:
            assert_never(command)


def _publish(zap: Zap) -> list[ZapEvent]:
    number = len(zap.versions) + 1
    events: list[ZapEvent] = []
    current = zap.version(zap.live) if zap.live else None
    if current is None or current.name != zap.name or not same(current.definition, zap.draft):
        events.append(ZapPublished(number=number, name=zap.name, definition=zap.draft))
    if zap.status == "draft":
        events.append(ZapEnabled())
    return events


def _require_published(zap: Zap, wish: str) -> None:
    if not zap.live:
        raise WrongStatus(f"a zap can be {wish} once it has been published: POST …/publish first")


def evolve(state: ZapState, event: ZapEvent) -> ZapState:
    """The state after the event. Total: never raises."""
    if isinstance(event, ZapCreated):
        return Zap(name=event.name, draft=event.definition)
    if isinstance(state, NoZap):
        return state
    return _evolve_existing(state, event)


def _evolve_existing(zap: Zap, event: ZapEvent) -> Zap:
    replace = msgspec.structs.replace
    match event:
        case ZapCreated():
            return zap
        case ZapDraftChanged():
            return replace(zap, name=event.name, draft=event.definition)
        case ZapPublished():
            version = PublishedVersion(event.number, event.name, event.definition)
            return replace(zap, versions=(*zap.versions, version), live=event.number)
        case ZapRolledBack():
            return replace(zap, live=event.number)
        case ZapEnabled():
            return replace(zap, status="enabled")
        case ZapPaused():
            return replace(zap, status="paused")
        case ZapDeleted():
            return replace(zap, status="deleted")
        case ZapSecretsChanged():
            return zap
        case _:
            assert_never(event)


def hook_path(user_id: UUID, zap_id: UUID) -> str:
    """Where webhook senders post for this zap."""
    return f"/hooks/catch/{user_id}/{zap_id}"
