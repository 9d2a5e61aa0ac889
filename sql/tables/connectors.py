"""Connectors that workspaces have added: versions that never change, and their actions one by one."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from domain.connector.catalog import Wanted
from domain.log.ports import StoreUnavailable
from sql.postgres.pool import CONNECTION_ERRORS, Pool
from sql.postgres.queries import Queries

_queries = Queries("queries/connectors.sql")
_EVER = datetime.max.replace(tzinfo=UTC)
MAX_VERSIONS = 1_000
MAX_BYTES = 64 * 2**20
"""Of all files of one workspace."""

Source: TypeAlias = Literal["uploaded", "imported"]


class KeptAction(msgspec.Struct, frozen=True):
    """One action: what the runner reads, and what the catalog lists, both as JSON."""

    id: str
    document: bytes
    item: bytes


class NewConnector(msgspec.Struct, frozen=True, kw_only=True):
    """A version that is to be kept."""

    name: str
    version: str
    source: Source
    title: str
    description: str
    icon: str
    kinds: tuple[str, ...]
    file: bytes
    sha256: bytes
    actions: tuple[KeptAction, ...]


class KeptConnector(msgspec.Struct, frozen=True, kw_only=True):
    """A version as lists show it."""

    name: str
    version: str
    source: Source
    title: str
    description: str
    icon: str
    kinds: list[str]
    actions: int
    created_at: datetime


class Full(Exception):
    """The workspace has as many connectors as it may have."""


class ConnectorTables:
    """The connectors of all tenants. Methods raise StoreUnavailable while the database is away."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, tenant_id: UUID, new: NewConnector) -> bool:
        """Keep a version; false where that version is there already. Raises Full."""
        async with self._pool.acquire() as connection, connection.transaction():
            size = await connection.fetchrow(_queries["connectors_size"], tenant_id)
            assert size is not None
            number = await connection.fetchval(
                _queries["add_connector"],
                *(tenant_id, new.name, new.version, new.source, new.title, new.description, new.icon),
                *(list(new.kinds), new.file, new.sha256, len(new.actions)),
            )
            if number is None:
                return False
            if size["versions"] >= MAX_VERSIONS or size["bytes"] + len(new.file) > MAX_BYTES:
                raise Full
            await connection.execute(
                _queries["add_connector_actions"], tenant_id, new.name, new.version,
                *([getattr(one, name) for one in new.actions] for name in ("id", "document", "item")),
            )  # fmt: skip
            return True

    async def list(self, tenant_id: UUID) -> Sequence[KeptConnector]:
        """The newest version of each."""
        return [KeptConnector(**dict(row)) for row in await self._pool.fetch(_queries["list_connectors"], tenant_id)]

    async def get(self, tenant_id: UUID, name: str, version: str | None) -> tuple[KeptConnector, bytes, bytes] | None:
        """A version, or the newest, with its file and the hash of that."""
        row = await self._pool.fetchrow(_queries["get_connector"], tenant_id, name, version)
        if row is None:
            return None
        fields = dict(row)
        file, sha256 = fields.pop("file"), fields.pop("sha256")
        return KeptConnector(**fields), file, sha256

    async def versions(self, tenant_id: UUID, name: str) -> Sequence[str]:
        """All versions, newest first."""
        return [row["version"] for row in await self._pool.fetch(_queries["connector_versions"], tenant_id, name)]

    async def stamp(self, tenant_id: UUID) -> str:
        """What tells whether the workspace has added something since."""
        found: str = await self._pool.fetchval(_queries["connectors_stamp"], tenant_id)
        return found

    async def items(self, tenant_id: UUID) -> bytes:
        """What the catalog lists of the newest version of each: JSON objects with commas between them."""
        found: bytes | None = await self._pool.fetchval(_queries["connector_items"], tenant_id)
        return found or b""

    async def file(self, tenant_id: UUID, name: str, version: str | None) -> bytes | None:
        """See domain.connector.catalog.Shelf."""
        try:
            found = await self.get(tenant_id, name, version)
        except CONNECTION_ERRORS as error:
            raise StoreUnavailable("the connectors of the workspace can not be read") from error
        return found[1] if found else None

    async def documents(self, tenant_id: UUID, wanted: Sequence[Wanted], at: datetime | None) -> dict[str, bytes]:
        """See domain.connector.catalog.Shelf."""
        columns = zip(*((one.type, one.connector, one.action, one.version) for one in wanted), strict=True)
        try:
            rows = await self._pool.fetch(_queries["connector_documents"], tenant_id, *map(list, columns), at or _EVER)
        except CONNECTION_ERRORS as error:
            raise StoreUnavailable("the connectors of the workspace can not be read") from error
        return {row["type"]: row["document"] for row in rows}
