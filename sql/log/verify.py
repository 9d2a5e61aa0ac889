"""Recomputes the hash chain of the log, which proves that no event was changed, removed or inserted."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from hashlib import sha256
from itertools import cycle

import asyncpg
import msgspec

from sql.log.hashing import GENESIS
from sql.log.pages import PAGE_EVENTS as PAGE
from sql.log.read_ahead import read_ahead
from sql.postgres.pool import Connection, connect
from sql.postgres.queries import Queries

_queries = Queries("queries/events.sql")
_verify = Queries("queries/verify.sql")

LINK = 4 + 32
"""Bytes of an event's version and hash, as they enter the hash of its commit."""
TIME = 8
"""Bytes of a time."""


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
        async with _connection(dsn) as commits, _connection(dsn) as even, _connection(dsn) as odd:
            await _check(chain, commits, (even, odd), progress)
    except _Broken as broken:
        return ChainReport(chain.position, chain.events, chain.hash.hex(), broken.position, broken.reason)
    return ChainReport(chain.position, chain.events, chain.hash.hex())


async def _check(
    chain: "_Chain",
    commits: Connection,
    events: tuple[Connection, Connection],
    progress: Callable[[int, int], None],
) -> None:
    head: int = await commits.fetchval(_queries["head"])
    async with (
        aclosing(read_ahead(_events(events[0], 0, head))) as even,
        aclosing(read_ahead(_events(events[1], PAGE, head))) as odd,
        aclosing(read_ahead(_commits(commits, head))) as chained,
    ):
        pages = cycle((even, odd))
        async for page in chained:
            for commit in page:
                while chain.events < commit[0]:
                    (part,) = await anext(next(pages))
                    chain.take_events(part)
                    progress(chain.events, head)
                chain.take_commit(*commit)
    stray: int | None = await commits.fetchval(_verify["stray"])
    if stray is not None:
        raise _Broken(stray, "the event belongs to no commit")
    hole: int | None = await commits.fetchval(_verify["holes"])
    if hole is not None:
        raise _Broken(hole, "the versions of the stream that starts here are not 1, 2, 3 …")


class _Page(msgspec.Struct, frozen=True):
    """Events up to `until`, as far as they are checked by themselves: `wrong` is the first that is not as it was.

    `links` holds version and stored hash of each, `times` when each was recorded.
    """

    until: int
    links: bytes
    times: bytes
    wrong: _Broken | None


class _Chain:
    """The log as far as it was checked: `events` of them by themselves, up to `position` also by their commits."""

    def __init__(self) -> None:
        self.hash = GENESIS
        self.position = 0
        self.events = 0
        self._after = 0
        """The position after which `_links` and `_times` begin."""
        self._links = b""
        self._times = b""
        self._wrong: _Broken | None = None

    def take_events(self, page: _Page) -> None:
        """Keep versions, hashes and times of the next events for the chain. Raises _Broken."""
        if self._wrong:
            raise self._wrong
        chained = self.position - self._after
        self._links = self._links[chained * LINK :] + page.links
        self._times = self._times[chained * TIME :] + page.times
        self._after, self.events, self._wrong = self.position, page.until, page.wrong

    def take_commit(self, last: int, previous: int, head: bytes, time: bytes, stored: bytes) -> None:
        """Check a commit whose events have been taken. Raises _Broken."""
        if previous != self.position:
            raise _Broken(self.position + 1, "a commit is missing")
        if self._wrong and self._wrong.position <= last:
            raise self._wrong
        first, end = previous - self._after, last - self._after
        times = self._times[first * TIME : end * TIME]
        # The chain holds only the commit's time, so its events must have the same.
        if times != time * (end - first):
            number = next(n for n in range(end - first) if times[n * TIME : (n + 1) * TIME] != time)
            raise _Broken(previous + 1 + number, "the event's time is not that of its commit")
        if sha256(self.hash + head + self._links[first * LINK : end * LINK]).digest() != stored:
            raise _Broken(previous + 1, "the commit's hash does not follow from its events")
        self.hash, self.position = stored, last


async def _events(connection: Connection, start: int, head: int) -> AsyncIterator[list[_Page]]:
    """Every second page of the log: two connections share it, as the server hashes on one CPU for each."""
    for after in range(start, head, 2 * PAGE):
        until = min(after + PAGE, head)
        row = await connection.fetchrow(_verify["page"], after, until)
        assert row is not None, "an aggregate has one row"
        count, links, times, changed = row
        wrong = [_Broken(changed, "the event was changed")] if changed else []
        if count != until - after and (found := await connection.fetchrow(_verify["irregular"], after, until)):
            wrong.append(_Broken(found[0], "the event is there twice" if found[1] else "the event is missing"))
        yield [_Page(until, links, times, min(wrong, key=lambda broken: broken.position, default=None))]


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
