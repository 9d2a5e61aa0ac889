"""What was told to a service about a zap's hook, and what it said. Each zap has a stream of these beside its own.

The names and fields of events are the storage format: a changed meaning is a new event, a new field has a default.
"""

from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from domain.log.event import Event
from domain.values.json import Json


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Where a hook is wanted: the trigger of a connector, `at`, with what it asks for; and where the hook leads."""

    at: str
    input: dict[str, Json] = {}
    connection: UUID | None = None
    url: str


class HookCalled(Event, frozen=True, kw_only=True):
    """A service is about to be called. An attempt without an outcome may have been heard or not."""

    zap_id: UUID
    doing: Literal["register", "remove"]
    site: Site


class HookRegistered(Event, frozen=True, kw_only=True):
    """The service sends to the hook from now on; `hook_id` is its own name for that."""

    zap_id: UUID
    hook_id: str = ""


class HookFailed(Event, frozen=True, kw_only=True):
    """The service did not do what it was asked for. `final`: it is not asked again, until somebody wishes so."""

    zap_id: UUID
    code: str
    message: str
    final: bool = False


class HookRemoved(Event, frozen=True, kw_only=True):
    """The service sends no more. `left`: it would not take the hook away, so somebody has to do that there."""

    zap_id: UUID
    left: str = ""


RegistrationEvent: TypeAlias = HookCalled | HookRegistered | HookFailed | HookRemoved
