"""What zaps remember from run to run: a tenant's changes come one after the other, and each step makes its own once."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import msgspec

from domain.log.ports import Clock, StoreUnavailable
from domain.memory.changes import MAX_BYTES, OVERHEAD, Change, Made, Stored, Unremembered, encoded, made
from domain.memory.memory import Place
from domain.values.json import JsonObject, parse
from sql.postgres.pool import CONNECTION_ERRORS, Connection, Pool
from sql.postgres.queries import Queries

_queries = Queries("queries/memory.sql")
_output: "msgspec.json.Decoder[JsonObject]" = msgspec.json.Decoder()


class MemoryTables:
    """The memories of all tenants."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self.pool = pool
        self.clock = clock

    def of(self, tenant_id: UUID, zap_id: UUID) -> "PgMemory":
        """The memory of one zap."""
        return PgMemory(self.pool, self.clock, tenant_id, zap_id)


class PgMemory(msgspec.Struct, frozen=True):
    """domain.memory.memory.Memory over the tables."""

    pool: Pool
    clock: Clock
    tenant_id: UUID
    zap_id: UUID

    async def get(self, place: Place) -> Stored | None:
        """See Memory."""
        async with self._connection() as connection:
            return await self._there(connection, place)

    async def change(self, place: Place, change: Change, operation: str) -> JsonObject:
        """See Memory."""
        async with self._connection() as connection, connection.transaction():
            total, version = await self._turn(connection)
            before = await connection.fetchval(_queries["change_made"], self.tenant_id, operation)
            if before is not None:
                return _output.decode(before)
            now = self.clock()
            done = made(change, await self._there(connection, place), version, now)
            if done.changed:
                await self._keep(connection, place, done, total)
                kept = self.tenant_id, operation, msgspec.json.encode(done.output), now
                await connection.execute(_queries["keep_change"], *kept)
            return done.output

    async def first(self, place: Place, keys: Sequence[bytes], window: timedelta, operation: str) -> set[bytes]:
        """See Memory."""
        async with self._connection() as connection, connection.transaction():
            total, _version = await self._turn(connection)
            now = self.clock()
            seen = self.tenant_id, self._scope(place), place.key, list(keys), operation, now + window, now
            rows = await connection.fetch(_queries["see"], *seen)
            await self._weigh(connection, total, OVERHEAD * sum(row["is_new"] for row in rows))
            return {row["key"] for row in rows}

    async def _turn(self, connection: Connection) -> tuple[int, int]:
        """The tenant's turn, with its bytes and the number of the change."""
        row = await connection.fetchrow(_queries["take_turn"], self.tenant_id)
        assert row is not None
        return row["bytes"], row["changes"]

    def _scope(self, place: Place) -> UUID:
        return self.zap_id if place.scope == "zap" else self.tenant_id

    async def _there(self, connection: Connection, place: Place) -> Stored | None:
        row = await connection.fetchrow(_queries["remembered"], self.tenant_id, self._scope(place), place.key)
        if row is None:
            return None
        return Stored(parse(row["value"]), row["version"], row["expires_at"]).there(self.clock())

    async def _keep(self, connection: Connection, place: Place, done: Made, total: int) -> None:
        where = self.tenant_id, self._scope(place), place.key
        before: int = await connection.fetchval(_queries["size_of"], *where)
        if done.after is None:
            await connection.execute(_queries["forget"], *where)
            await self._weigh(connection, total, -before)
            return
        value = encoded(done.after.value)
        size = len(value) + len(place.key.encode()) + OVERHEAD
        stored = done.after.version, size, done.after.expires_at
        await connection.execute(_queries["remember"], *where, value, *stored)
        await self._weigh(connection, total, size - before)

    async def _weigh(self, connection: Connection, total: int, more: int) -> None:
        if more > 0 and total + more > MAX_BYTES:
            raise Unremembered("memory_full", f"all that a workspace remembers may have {MAX_BYTES:,} bytes")
        if more:
            await connection.execute(_queries["weigh"], self.tenant_id, more)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        try:
            async with self.pool.acquire() as connection:
                yield connection  # type: ignore[misc]  # a pool's proxy has the methods of a connection
        except CONNECTION_ERRORS as error:
            raise StoreUnavailable("what zaps remember can't be reached") from error
