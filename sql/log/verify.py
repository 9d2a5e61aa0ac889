"""Recomputes the hash chain of the log: proof that nothing stored was changed, removed or put in between."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime

import asyncpg
import msgspec

from sql.log.hashing import GENESIS, commit_hash, event_hash
from sql.log.read_ahead import read_ahead
from sql.postgres.pool import Connection, connect
from sql.postgres.queries import Queries

_queries = Queries("queries/events.sql")
_verify = Queries("queries/verify.sql")
PAGE = 5_000


class ChainReport(msgspec.Struct, frozen=True):
    """`position` is the head that was reached; `broken_at` the first position that does not fit, with the reason.

    `hash` is the chain's at that position, in hex. Kept elsewhere, it proves later that the log up to there is the
    same: whoever can write to the database could also have made the whole chain anew.
    """

    position: int
    events: int
    hash: str
    broken_at: int | None = None
    reason: str = ""


class _Broken(Exception):
    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position
        self.reason = reason


async def verify_chain(dsn: str, progress: Callable[[int, int], None] = lambda _position, _head: None) -> ChainReport:
    """Read the whole log in order and recompute every hash. Appends may go on meanwhile.

    Raises what connections raise.
    """
    chain = _Chain()
    try:
        async with _connection(dsn) as events, _connection(dsn) as commits:
            await _check(chain, events, commits, progress)
    except _Broken as broken:
        return ChainReport(chain.position, chain.events, chain.hash.hex(), broken.position, broken.reason)
    return ChainReport(chain.position, chain.events, chain.hash.hex())


async def _check(
    chain: "_Chain", events: Connection, commits: Connection, progress: Callable[[int, int], None]
) -> None:
    head: int = await commits.fetchval(_queries["head"])
    async with aclosing(read_ahead(_events(events, head))) as pages:
        async for commit in _commits(commits, head):
            while chain.events < commit[0]:
                chain.take_events(await anext(pages, []))
                progress(chain.events, head)
            chain.take_commit(*commit)
    stray: int | None = await commits.fetchval(_verify["stray"])
    if stray is not None:
        raise _Broken(stray, "the event belongs to no commit")
    hole: int | None = await commits.fetchval(_verify["holes"])
    if hole is not None:
        raise _Broken(hole, "the versions of the stream that starts here are not 1, 2, 3 …")


class _Chain:
    """The log as far as it was checked: `events` of them by themselves, up to `position` also by their commits."""

    def __init__(self) -> None:
        self.hash = GENESIS
        self.position = 0
        self.events = 0
        self._links: list[bytes] = []
        self._times: list[datetime] = []

    def take_events(self, rows: "Sequence[asyncpg.Record]") -> None:
        """Check each event for itself, and keep what the chain takes of it: version and hash. Raises _Broken."""
        if not rows:
            raise _Broken(self.events + 1, "the event is missing")
        for row in rows:
            position, version, stored, recorded_at, recomputed = _unpacked(row)
            if position != self.events + 1:
                raise _Broken(self.events + 1, "the event is missing")
            if recomputed != stored:
                raise _Broken(position, "the event was changed")
            self.events = position
            self._links.append(version.to_bytes(4) + stored)
            self._times.append(recorded_at)

    def take_commit(self, last: int, previous: int, recorded_at: datetime, stored: bytes) -> None:
        """Check a commit whose events have been taken. Raises _Broken."""
        if previous != self.position:
            raise _Broken(self.position + 1, "a commit is missing")
        count = last - previous
        # The chain holds the commit's time only, so that of its events has to be the same.
        for number, time in enumerate(self._times[:count], 1):
            if time != recorded_at:
                raise _Broken(previous + number, "the event's time is not that of its commit")
        expected = commit_hash(self.hash, previous, recorded_at, b"".join(self._links[:count]))
        if expected != stored:
            raise _Broken(previous + 1, "the commit's hash does not follow from its events")
        del self._links[:count], self._times[:count]
        self.hash, self.position = stored, last


def _unpacked(row: "asyncpg.Record") -> tuple[int, int, bytes, datetime, bytes]:
    """Position, version, stored hash, time, and the hash as it should be."""
    position, kind, stream_id, version, tenant_id, key, event_id, type_, schema_version, at, meta, data, stored = row
    recomputed = event_hash(
        kind=kind,
        stream_id=stream_id,
        tenant_id=tenant_id,
        ordering_key=key,
        event_id=event_id,
        type_=type_,
        schema_version=schema_version,
        meta=meta,
        data=data,
    )
    return position, version, stored, at, recomputed


async def _events(connection: Connection, head: int) -> "AsyncIterator[list[asyncpg.Record]]":
    after = 0
    while after < head:
        rows = await connection.fetch(_queries["read_log_hashed"], after, min(PAGE, head - after))
        if not rows:
            return
        yield rows
        after = max(after + 1, rows[-1]["position"])


async def _commits(connection: Connection, head: int) -> "AsyncIterator[asyncpg.Record]":
    after = 0
    while after < head:
        for row in await connection.fetch(_queries["commits"], after, PAGE):
            if row[0] > head:
                return
            yield row
            after = row[0]


@asynccontextmanager
async def _connection(dsn: str) -> AsyncIterator[Connection]:
    connection = await connect(dsn, "verify", statement_timeout="0")
    try:
        yield connection
    finally:
        connection.terminate()
