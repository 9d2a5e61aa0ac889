"""All that definitions may use: what everybody has, and what a workspace has added."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from domain.connector.descriptor import ActionDescriptor, TriggerDescriptor


class Catalog(msgspec.Struct, frozen=True):
    """The triggers and actions that definitions may use, by type."""

    triggers: Mapping[str, TriggerDescriptor]
    actions: Mapping[str, ActionDescriptor]

    async def of(
        self,
        _tenant_id: UUID,
        _types: Collection[str],
        _at: datetime | None = None,
        *,
        hooks: Collection[str] = (),  # noqa: ARG002 - see Catalogs
    ) -> "Catalog":
        """See Catalogs: this one is the same for everybody."""
        return self


class Catalogs(Protocol):
    """The catalogs of all workspaces."""

    async def of(
        self, tenant_id: UUID, types: Collection[str], at: datetime | None = None, *, hooks: Collection[str] = ()
    ) -> Catalog:
        """What a workspace has of these types of actions, as it was at a moment: a published zap keeps what it had.

        `hooks`: triggers of connectors, such as `github.webhook`, whose services are to be told of a hook.
        Raises StoreUnavailable.
        """


class Wanted(msgspec.Struct, frozen=True):
    """An action of a workspace's connector, of its newest version unless one is named."""

    type: str
    connector: str
    action: str
    version: str | None = None


class Shelf(Protocol):
    """The connectors that workspaces have added."""

    async def documents(self, tenant_id: UUID, wanted: Sequence[Wanted], at: datetime | None) -> dict[str, bytes]:
        """The actions that there are, by type. Raises StoreUnavailable."""

    async def file(self, tenant_id: UUID, name: str, version: str | None) -> bytes | None:
        """The file of a connector, in its newest version unless one is named. Raises StoreUnavailable."""


def wanted_of(type_: str) -> Wanted | None:
    """The parts of `connector.action` or `connector@1.0.0.action`; None for what is neither."""
    connector, mark, rest = type_.partition("@")
    if not mark:
        connector, mark, action = type_.partition(".")
        return Wanted(type_, connector, action) if mark and connector and action else None
    parts = rest.split(".", 3)
    return Wanted(type_, connector, parts[3], ".".join(parts[:3])) if len(parts) == 4 and connector else None
