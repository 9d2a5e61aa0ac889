"""Bytes of files in the database: a row for each chunk."""

from collections.abc import AsyncIterator
from uuid import UUID

from sql.postgres.pool import Pool
from sql.postgres.queries import Queries

_queries = Queries("queries/files.sql")


class Chunks:
    """Of all tenants."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def write(self, _tenant_id: UUID, file_id: UUID, content: AsyncIterator[bytes]) -> None:
        """Store chunk after chunk, as they come."""
        number = 0
        async for chunk in content:
            await self._pool.execute(_queries["keep_chunk"], file_id, number, chunk)
            number += 1

    async def read(self, _tenant_id: UUID, file_id: UUID, _size: int) -> AsyncIterator[bytes]:
        """The chunks, each when it is asked for."""
        number = 0
        while (chunk := await self._pool.fetchval(_queries["chunk"], file_id, number)) is not None:
            yield chunk
            number += 1
