"""What the webhook intake keeps outside the log: encrypted secrets of zaps."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from sql.postgres.pool import Pool
from sql.postgres.queries import Queries

_queries = Queries("queries/hooks.sql")


def secret_context(zap_id: UUID) -> bytes:
    """What the boxes of a zap are sealed for."""
    return zap_id.bytes


class StoredSecrets(msgspec.Struct, frozen=True):
    """A zap's secrets, encrypted, and when they were last replaced."""

    boxes: tuple[bytes, ...]
    changed_at: datetime | None


class HookTables:
    """The tables of schema hooks. Methods raise sql.postgres.pool.CONNECTION_ERRORS while the database is away."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put_secrets(self, zap_id: UUID, tenant_id: UUID, boxes: Sequence[bytes]) -> None:
        """Replace a zap's secrets."""
        await self._pool.execute(_queries["put_secrets"], zap_id, tenant_id, list(boxes))

    async def secrets(self, zap_id: UUID) -> StoredSecrets:
        """A zap's secrets, none where there never were any."""
        row = await self._pool.fetchrow(_queries["secrets"], zap_id)
        return StoredSecrets(tuple(row[0]), row[1]) if row else StoredSecrets((), None)
