"""What can happen to a connection, for the audit. Secrets are beside the log, sealed: they must be forgettable.

The names and fields of events are the storage format: a changed meaning is a new event, a new field has a default.
"""

from typing import TypeAlias

from domain.connection.kinds import Kind
from domain.log.event import Event
from domain.values.json import Json, JsonObject  # noqa: F401 - JsonObject stands for a type that names Json


class ConnectionCreated(Event, frozen=True, kw_only=True):
    """A user stored a credential."""

    name: str
    kind: Kind
    config: JsonObject


class ConnectionChanged(Event, frozen=True, kw_only=True):
    """Its name or config is this now; `secrets`: the names of those that were replaced."""

    name: str
    config: JsonObject
    secrets: tuple[str, ...] = ()


class ConnectionDeleted(Event, frozen=True, kw_only=True):
    """It is gone, and its secrets are forgotten; `forced`: although zaps used it."""

    forced: bool = False


class ConnectionAuthorized(Event, frozen=True, kw_only=True):
    """Somebody consented to it; `scope`: what the authorization server says it may do."""

    scope: str = ""


class ConnectionLost(Event, frozen=True, kw_only=True):
    """It gets no tokens any more until somebody reconnects it."""

    reason: str


ConnectionEvent: TypeAlias = (
    ConnectionCreated | ConnectionChanged | ConnectionDeleted | ConnectionAuthorized | ConnectionLost
)
