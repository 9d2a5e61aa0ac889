"""Recomputes the hash chain of the log: proof that nothing stored was changed, removed or put in between."""

from collections.abc import Callable

import asyncpg
import msgspec

from sql.hashing import GENESIS, commit_hash, event_hash
from sql.pool import Connection, connect
from sql.queries import Queries

_queries = Queries("queries/events.sql")
PAGE = 5_000


class ChainReport(msgspec.Struct, frozen=True):
    """`position` is the head that was reached; `broken_at` the first position that does not fit, with the reason."""

    position: int
    events: int
    broken_at: int | None = None
    reason: str = ""


class _Broken(Exception):
    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position
        self.reason = reason


async def verify_chain(dsn: str, progress: Callable[[int, int], None] = lambda _position, _head: None) -> ChainReport:
    """Read the whole log in order and recompute every hash. Appends may go on meanwhile."""
    connection = await connect(dsn, "verify", statement_timeout="0")
    chain = _Chain(connection)
    try:
        head: int = await connection.fetchval(_queries["head"])
        while chain.position < head:
            await chain.advance()
            progress(chain.position, head)
    except _Broken as broken:
        return ChainReport(chain.position, chain.events, broken.position, broken.reason)
    finally:
        connection.terminate()
    return ChainReport(chain.position, chain.events)


class _Chain:
    """The chain as far as it was checked."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._hash = GENESIS
        self.position = 0
        self.events = 0

    async def advance(self) -> None:
        """Check the commits, and their events, of one page. Raises _Broken."""
        commits = await self._connection.fetch(_queries["commits"], self.position, PAGE // 10)
        if not commits:
            raise _Broken(self.position + 1, "the commit that ends the log is missing")
        end: int = commits[-1][0]
        links = await self._links(self.position, end)
        for last, previous, recorded_at, stored in commits:
            if previous != self.position:
                raise _Broken(self.position + 1, "a commit is missing")
            events = b"".join(links[position] for position in range(self.position + 1, last + 1))
            self._hash = commit_hash(self._hash, previous, recorded_at, events)
            if self._hash != stored:
                raise _Broken(self.position + 1, "the commit's hash does not follow from its events")
            self.position = last

    async def _links(self, after: int, end: int) -> dict[int, bytes]:
        """Version and hash of each event, as the chain takes them, by position. Raises _Broken."""
        links: dict[int, bytes] = {}
        while after < end:
            rows = await self._connection.fetch(_queries["read_log_hashed"], after, min(PAGE, end - after))
            for row in rows:
                after += 1
                if row["position"] != after:
                    raise _Broken(after, "the event is missing")
                if _recomputed(row) != row["hash"]:
                    raise _Broken(after, "the event was changed")
                links[after] = row["version"].to_bytes(4) + row["hash"]
            if not rows:
                raise _Broken(after + 1, "the event is missing")
            self.events += len(rows)
        return links


def _recomputed(row: "asyncpg.Record") -> bytes:
    return event_hash(
        kind=row["kind"],
        stream_id=row["stream_id"],
        tenant_id=row["tenant_id"],
        ordering_key=row["ordering_key"],
        event_id=row["event_id"],
        type_=row["type"],
        schema_version=row["schema_version"],
        meta=row["meta"],
        data=row["data"],
    )
