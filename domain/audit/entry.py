"""An entry of the audit, as people and programs read it."""

from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from domain.history.changes import Change

ActorKind: TypeAlias = Literal["user", "api_key", "link", "anybody", "process"]
"""`link`: whoever has the link of an approval; `anybody`: who did not get in; `process`: TriggerHub itself."""
EntityKind: TypeAlias = Literal["zap", "run", "request", "job", "connection", "variable", "account", "api_key", "audit"]


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who did it. `id` is that of a user or an API key; the name of a process is its role."""

    kind: ActorKind
    id: UUID | None = None
    name: str = ""


class KeyUsed(msgspec.Struct, frozen=True):
    """The API key that a request came with."""

    id: UUID
    name: str


class From(msgspec.Struct, frozen=True, kw_only=True):
    """From where it was done: the client's address, what it calls itself, and its API key where it has one."""

    ip: str
    user_agent: str
    api_key: KeyUsed | None


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """What it was done to. The name is that of then; a run has the name of its zap."""

    kind: EntityKind
    id: UUID
    name: str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that somebody did. `via` is null for processes, and where an earlier release did not record it.

    `changes` are there where something was edited; `cut`: there are more. `event_hash` is the SHA-256 of the event in
    the hash chain, null where the event itself is gone by retention. `causation_id`: the event that led to this one.
    """

    position: int
    at: datetime
    type: str
    actor: Actor
    via: From | None
    entity: Entity
    summary: str
    changes: list[Change] | None
    cut: bool
    correlation_id: UUID | None
    causation_id: UUID | None
    event_hash: str | None


def actor_of(recorded: str) -> Actor:
    """The actor that an event's metadata names, without the name of a person."""
    kind, _, text = recorded.partition(":")
    match kind:
        case "user":
            return Actor(kind="user", id=UUID(text))
        case "key":
            return Actor(kind="api_key", id=UUID(text))
        case "link":
            return Actor(kind="link", name="somebody with the link")
        case "anybody":
            return Actor(kind="anybody", name="somebody")
        case _:
            return Actor(kind="process", name=recorded or "triggerhub")
