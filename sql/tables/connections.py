"""Connections as they are now: what may be shown of each, what was found out about it, and its sealed secrets."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

import msgspec

from domain.connection.kinds import Kind
from domain.values.json import Json, JsonObject
from sql.postgres.pool import Pool
from sql.postgres.queries import Queries

_queries = Queries("queries/connections.sql")
_config = msgspec.json.Decoder(dict[str, Json])
MOST = 1_000
"""Connections of one workspace."""

Status: TypeAlias = Literal["ok", "untested", "needs_reconnect", "failed"]
"""`ok`: it was let in when it was last used or tested; `failed`: it was not. `needs_reconnect`: somebody has to consent
again.
"""


class StoredConnection(msgspec.Struct, frozen=True, kw_only=True):
    """A connection without its secrets. `position` is that of its last event in the log."""

    id: UUID
    name: str
    kind: Kind
    config: JsonObject
    status: Status
    expires_at: datetime | None
    last_used_at: datetime | None
    last_refreshed_at: datetime | None
    position: int


class SealedConnection(StoredConnection, frozen=True, kw_only=True):
    """With its sealed secrets and tokens; `named_at` is the position of the last change of a zap that names it."""

    secrets: bytes
    tokens: bytes | None
    token_version: int
    named_at: int


def connection_context(connection_id: UUID) -> bytes:
    """What the boxes of a connection are sealed for."""
    return b"connection " + connection_id.bytes


class ConnectionTables:
    """The table. Methods raise sql.postgres.pool.CONNECTION_ERRORS while the database is away."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(
        self,
        tenant_id: UUID,
        connection_id: UUID,
        *,
        name: str,
        kind: Kind,
        config: JsonObject,
        secrets: bytes,
        position: int,
        fresh: bool,
    ) -> None:
        """Keep what a connection is after its event at a position; `fresh`: nothing is known of it as it is now."""
        values = (connection_id, tenant_id, name, kind, msgspec.json.encode(config).decode(), secrets, position, fresh)
        await self._pool.execute(_queries["put_connection"], *values)

    async def get(self, tenant_id: UUID, connection_id: UUID) -> SealedConnection | None:
        """A tenant's connection; None for what is another one's, too."""
        row = await self._pool.fetchrow(_queries["connection"], tenant_id, connection_id)
        if row is None:
            return None
        *shown, secrets, tokens, token_version, named_at = row
        return SealedConnection(
            **_shown(shown), secrets=secrets, tokens=tokens, token_version=token_version, named_at=named_at
        )

    async def page(self, tenant_id: UUID, *, before: UUID | None, limit: int) -> list[StoredConnection]:
        """A tenant's connections, newest first."""
        rows = await self._pool.fetch(_queries["connections_page"], tenant_id, before, limit)
        return [StoredConnection(**_shown(row)) for row in rows]

    async def count(self, tenant_id: UUID) -> int:
        """How many a tenant has."""
        found: int = await self._pool.fetchval(_queries["count_connections"], tenant_id)
        return found

    async def delete(self, tenant_id: UUID, connection_id: UUID) -> None:
        """Forget a connection and its secrets."""
        await self._pool.execute(_queries["delete_connection"], tenant_id, connection_id)

    async def name(self, tenant_id: UUID, connection_ids: Collection[UUID], position: int) -> None:
        """Remember that a zap which names them was changed at this position."""
        await self._pool.execute(_queries["name_connections"], tenant_id, list(connection_ids), position)

    async def note(self, tenant_id: UUID, known: StoredConnection, status: Status | None, at: datetime) -> None:
        """What its last use has shown, and when that was; not where it was changed since it was read."""
        await self._pool.execute(_queries["note_connection"], tenant_id, known.id, known.position, status, at)

    async def lease(self, connection_id: UUID, token_version: int, now: datetime, until: datetime) -> bool:
        """Whether this process may get new tokens, until then."""
        return bool(await self._pool.fetchval(_queries["lease_connection"], connection_id, token_version, now, until))

    async def release(self, connection_id: UUID, token_version: int) -> None:
        """Let another process try."""
        await self._pool.execute(_queries["release_connection"], connection_id, token_version)

    async def put_tokens(
        self, connection_id: UUID, token_version: int, sealed: bytes, *, expires_at: datetime | None, at: datetime
    ) -> bool:
        """Keep new tokens; False where others were kept meanwhile."""
        values = (connection_id, token_version, sealed, expires_at, at)
        return bool(await self._pool.fetchval(_queries["put_tokens"], *values))

    async def lose(self, connection_id: UUID, token_version: int) -> bool:
        """Whether it was this call that found out that somebody has to reconnect it."""
        return bool(await self._pool.fetchval(_queries["lose_connection"], connection_id, token_version))


def _shown(row: Collection[object]) -> dict[str, Any]:
    """The fields that may be shown, in the order of the queries."""
    fields = dict(zip(StoredConnection.__struct_fields__, row, strict=True))
    return {**fields, "config": _config.decode(str(fields["config"]))}
