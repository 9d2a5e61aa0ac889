"""Recomputes the hash chain of the log, which proves that no event was changed, removed or inserted."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from hashlib import sha256
from operator import itemgetter

import asyncpg
import msgspec

from sql.log.hashing import GENESIS
from sql.log.pages import PAGE_BYTES
from sql.log.pages import PAGE_EVENTS as PAGE
from sql.log.read_ahead import read_ahead
from sql.postgres.pool import Connection, connect
from sql.postgres.queries import Queries

_queries = Queries("queries/events.sql")
_verify = Queries("queries/verify.sql")


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
    async with (
        aclosing(read_ahead(_events(events, head))) as pages,
        aclosing(read_ahead(_commits(commits, head))) as chained,
    ):
        async for page in chained:
            for commit in page:
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
        self._times: list[bytes] = []
        self._chained = 0

    def take_events(self, rows: "Sequence[asyncpg.Record]") -> None:
        """Check each event by itself, and keep its version and hash for the chain. Raises _Broken."""
        if not rows:
            raise _Broken(self.events + 1, "the event is missing")
        del self._links[: self._chained], self._times[: self._chained]
        self._chained = 0
        expected = self.events
        for position, link, time, preimage in rows:
            expected += 1
            if position != expected:
                raise _Broken(expected, "the event is missing")
            if preimage is not None and sha256(preimage).digest() != link[4:]:
                raise _Broken(position, "the event was changed")
            self._links.append(link)
            self._times.append(time)
        self.events = expected

    def take_commit(self, last: int, previous: int, head: bytes, time: bytes, stored: bytes) -> None:
        """Check a commit whose events have been taken. Raises _Broken."""
        if previous != self.position:
            raise _Broken(self.position + 1, "a commit is missing")
        first, self._chained = self._chained, self._chained + last - previous
        # The chain holds only the commit's time, so its events must have the same.
        for number, found in enumerate(self._times[first : self._chained], 1):
            if found != time:
                raise _Broken(previous + number, "the event's time is not that of its commit")
        if sha256(self.hash + head + b"".join(self._links[first : self._chained])).digest() != stored:
            raise _Broken(previous + 1, "the commit's hash does not follow from its events")
        self.hash, self.position = stored, last


async def _events(connection: Connection, head: int) -> "AsyncIterator[list[asyncpg.Record]]":
    """Position, version with stored hash, time and preimage of each event; of dropped ones what is on record."""
    after = 0
    while after < head:
        rows = await connection.fetch(_verify["events"], after, PAGE, PAGE_BYTES)
        if rows and rows[-1][0] > head:
            rows = [row for row in rows if row[0] <= head]
        until: int = rows[-1][0] if rows else head
        if len(rows) < until - after:
            dropped = await connection.fetch(_verify["dropped"], after, until, PAGE)
            until = dropped[-1][0] if len(dropped) == PAGE else until
            rows = sorted([*dropped, *(row for row in rows if row[0] <= until)], key=itemgetter(0))
        if not rows:
            return
        yield rows
        after = max(after + 1, rows[-1][0])


async def _commits(connection: Connection, head: int) -> "AsyncIterator[list[asyncpg.Record]]":
    after = 0
    while after < head:
        rows = await connection.fetch(_verify["commits"], after, head, PAGE)
        if not rows:
            return
        yield rows
        after = rows[-1][0]


@asynccontextmanager
async def _connection(dsn: str) -> AsyncIterator[Connection]:
    connection = await connect(dsn, "verify", statement_timeout="0")
    try:
        yield connection
    finally:
        connection.terminate()
