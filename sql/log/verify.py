"""Recomputes the hash chain of the log, which proves that no event was changed, removed or inserted.

PostgreSQL hashes the payloads, so that they need not travel. That is what limits it: the CPUs, and whether PostgreSQL
was built with OpenSSL, which uses the CPU's instructions for SHA-256.
"""

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

_verify = Queries("queries/verify.sql")

LINK = 4 + 32
"""Bytes of an event's version and hash, as they enter the hash of its commit."""
TIME = 8
"""Bytes of a time."""


class ChainReport(msgspec.Struct, frozen=True):
    """`position` is the head that was reached; `broken_at` the first position that does not fit, with the reason.
    `events`: how many were checked by themselves.

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


async def verify_chain(
    dsn: str,
    progress: Callable[[int, int], None] = lambda _position, _head: None,
    *,
    first: int = 1,
    last: int | None = None,
) -> ChainReport:
    """Read the log in order and recompute every hash. Appends may go on meanwhile.

    With `first` or `last` only the commits that hold these positions and those between; the stored hash before them is
    believed. Raises what connections raise.
    """
    chain = _Chain(0, GENESIS)
    try:
        async with _connection(dsn) as commits, _connection(dsn) as even, _connection(dsn) as odd:
            start, until = await _bounds(commits, first, last)
            chain = _Chain(start["last_position"], start["hash"])
            await _check(chain, until, commits, (even, odd), progress)
            if first == 1 and last is None:
                await _check_streams(commits)
    except _Broken as broken:
        return chain.report(broken)
    return chain.report()


async def _bounds(connection: Connection, first: int, last: int | None) -> "tuple[asyncpg.Record, int]":
    """The commit after which to begin, and the last position of the one to end with."""
    start = await connection.fetchrow(_verify["commit_before"], first)
    if start is None or (first <= 1 and start["last_position"] != 0):
        raise _Broken(1, "the first commit is missing")
    if start["last_position"] == 0 and start["hash"] != GENESIS:
        raise _Broken(1, "the chain does not begin as every chain does")
    until: int = await connection.fetchval(_verify["commit_of"], 2**62 if last is None else last)
    return start, until


async def _check(
    chain: "_Chain",
    until: int,
    commits: Connection,
    events: tuple[Connection, Connection],
    progress: Callable[[int, int], None],
) -> None:
    start = chain.position
    async with (
        aclosing(read_ahead(_events(events[0], start, until))) as even,
        aclosing(read_ahead(_events(events[1], start + PAGE, until))) as odd,
        aclosing(read_ahead(_commits(commits, start, until))) as chained,
    ):
        pages = cycle((even, odd))
        async for page in chained:
            for commit in page:
                while chain.reached < min(commit[0], until):
                    (part,) = await anext(next(pages))
                    chain.take_events(part)
                    progress(chain.reached, until)
                chain.take_commit(*commit)


async def _check_streams(connection: Connection) -> None:
    """What is wrong although every hash is right. Raises _Broken."""
    stray: int | None = await connection.fetchval(_verify["stray"])
    if stray is not None:
        raise _Broken(stray, "the event belongs to no commit")
    unrecorded: int | None = await connection.fetchval(_verify["unrecorded"])
    if unrecorded is not None:
        raise _Broken(unrecorded, "the event's payload is gone, and no event says why")
    untold: int | None = await connection.fetchval(_verify["untold"])
    if untold is not None:
        raise _Broken(untold, "the event was dropped, and no event says so")
    hole: int | None = await connection.fetchval(_verify["holes"])
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
    """The log as far as it was checked: events up to `reached` by themselves, to `position` also by commits."""

    def __init__(self, position: int, head: bytes) -> None:
        self.hash = head
        self.position = position
        self.reached = position
        self._start = position
        self._after = position
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
        self._after, self.reached, self._wrong = self.position, page.until, page.wrong

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

    def report(self, broken: _Broken | None = None) -> ChainReport:
        """What has been found."""
        events, head = self.reached - self._start, self.hash.hex()
        if broken is None:
            return ChainReport(self.position, events, head)
        return ChainReport(self.position, events, head, broken.position, broken.reason)


async def _events(connection: Connection, start: int, until: int) -> AsyncIterator[list[_Page]]:
    """Every second page of the log: two connections share it, as the server works on one CPU for each."""
    for after in range(start, until, 2 * PAGE):
        last = min(after + PAGE, until)
        row = await connection.fetchrow(_verify["page"], after, last)
        assert row is not None, "an aggregate has one row"
        count, links, times, changed = row
        wrong = [_Broken(changed, "the event was changed")] if changed else []
        if count != last - after and (found := await connection.fetchrow(_verify["irregular"], after, last)):
            wrong.append(_Broken(found[0], "the event is there twice" if found[1] else "the event is missing"))
        yield [_Page(last, links, times, min(wrong, key=lambda broken: broken.position, default=None))]


async def _commits(connection: Connection, after: int, until: int) -> "AsyncIterator[list[asyncpg.Record]]":
    while after < until:
        rows = await connection.fetch(_verify["commits"], after, until, PAGE)
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
