"""Facts about users and their keys, for the audit; secrets and hashes live in plain tables, never here."""

from typing import TypeAlias
from uuid import UUID

from domain.log.event import Event


class UserSignedUp(Event, frozen=True, kw_only=True):
    """An account was made. Name and address stay in the table, where they can be erased.

    `name` was written by the first release.
    """

    name: str = ""


class UserSignedIn(Event, frozen=True, kw_only=True):
    """A password was right and tokens were given."""


class UserSignedOut(Event, frozen=True, kw_only=True):
    """A session was ended by its owner."""

    session_id: UUID


class UserPasswordChanged(Event, frozen=True, kw_only=True):
    """The password was replaced by its owner; the events that follow say which sessions that ended."""


class ApiKeyCreated(Event, frozen=True, kw_only=True):
    """A key was made; only its name and id are facts."""

    key_id: UUID
    name: str
    scopes: tuple[str, ...] = ()


class ApiKeyDeleted(Event, frozen=True, kw_only=True):
    """A key was revoked."""

    key_id: UUID


IdentityEvent: TypeAlias = (
    UserSignedUp | UserSignedIn | UserSignedOut | UserPasswordChanged | ApiKeyCreated | ApiKeyDeleted
)
