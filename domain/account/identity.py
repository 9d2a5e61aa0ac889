"""Facts about users and their keys, for the audit; secrets and hashes live in plain tables, never here."""

from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

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


class SignInFailed(Event, frozen=True, kw_only=True):
    """Somebody tried to sign in and did not get in: `count` times since a moment, where several are told of at once.

    `too_many`: the password was not looked at, as too many had been wrong.
    """

    reason: Literal["wrong_password", "too_many"]
    count: int = 1
    since: datetime | None = None


class AccessRefused(Event, frozen=True, kw_only=True):
    """An API key asked for what it may not do: it has not the scope `needs`. `count` and `since` as above."""

    method: str
    path: str
    needs: str
    count: int = 1
    since: datetime | None = None


class AuditExported(Event, frozen=True, kw_only=True):
    """The audit was exported: what is behind position `after`, and between the times."""

    format: Literal["ndjson", "csv"]
    from_: datetime | None = msgspec.field(name="from", default=None)
    to: datetime | None = None
    after: int = 0


class FileDownloaded(Event, frozen=True, kw_only=True):
    """A file of a run, or of a request that is held, was downloaded; `size` is in bytes."""

    file_id: UUID
    run_id: UUID
    size: int


IdentityEvent: TypeAlias = (
    UserSignedUp
    | UserSignedIn
    | UserSignedOut
    | UserPasswordChanged
    | ApiKeyCreated
    | ApiKeyDeleted
    | SignInFailed
    | AccessRefused
    | AuditExported
    | FileDownloaded
)
