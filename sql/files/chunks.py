"""Bytes of files in the database: a row for each chunk."""

from collections.abc import AsyncIterator
from uuid import UUID

from domain.files.span import Span
from sql.files.pieces import PIECE
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

    async def read(self, _tenant_id: UUID, file_id: UUID, span: Span) -> AsyncIterator[bytes]:
        """What the chunks have of a range, each when it is asked for."""
        number = span.start // PIECE
        while (at := number * PIECE) < span.end:
            chunk = await self._pool.fetchval(_queries["chunk"], file_id, number)
            if chunk is None:
                return
            yield chunk[max(0, span.start - at) : span.end - at]
            number += 1
