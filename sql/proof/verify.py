"""Recomputes the hash chain of the log, which proves that no event was changed, removed or inserted.

It is checked stretch by stretch, each from the stored hash before it; as each ends with the hash that the next one has
believed, together they prove all. A long log is shared by processes, so that all CPUs hash, and no event loop does.
"""

import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from domain.log.errors import DomainError
from sql.log.hashing import GENESIS
from sql.postgres.pool import Connection, connect
from sql.postgres.queries import Queries
from sql.process.child import python
from sql.proof.chain import Broken, Checked, bounds, check

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

_verify = Queries("queries/verify.sql")

STRETCH = 20_000
"""Events that are checked at once, or few more: a commit is not cut."""
FEW = 100_000
"""Up to so many events no process is worth its start."""
MOST_PROCESSES = 4


class ChainReport(msgspec.Struct, frozen=True):
    """`position` is the head that was reached; `broken_at` the first position that does not fit, with the reason.
    `events`: how many fit.

    `hash` is the chain's at that position, in hex. Kept elsewhere, it proves later that the log up to there is the
    same: whoever can write to the database could also have made the whole chain anew.
    """

    position: int
    events: int
    hash: str
    broken_at: int | None = None
    reason: str = ""


class Interrupted(DomainError, code="unavailable"):
    """A process that verified has ended, so nothing is known of the log."""

    retry_after_s = 1.0

    def __init__(self) -> None:
        super().__init__(
            "a process that verified the log has ended before it was done, for want of memory perhaps: nothing was "
            "found wrong; repeat it, or verify a shorter range"
        )


async def verify_chain(
    dsn: str,
    progress: Callable[[int, int], None] = lambda _position, _head: None,
    *,
    first: int = 1,
    last: int | None = None,
) -> ChainReport:
    """Read the log in order and recompute every hash. Appends may go on meanwhile.

    With `first` or `last` only the commits that hold these positions and those between; the stored hash before them is
    believed. Raises Interrupted, and what connections raise.
    """
    start, reached, head = 0, 0, GENESIS
    async with _connection(dsn) as connection:
        try:
            start, head, until = await bounds(connection, first, last)
            reached = start
            stretches = await _stretches(connection, start, until)
            async with aclosing(_checked(dsn, connection, stretches)) as results:
                async for found in results:
                    if (found.after, found.believed) != (reached, head):
                        raise Broken(reached + 1, "the chain was changed while it was verified")
                    reached, head = found.position, found.head
                    if found.broken_at is not None:
                        raise Broken(found.broken_at, found.reason)
                    progress(reached, until)
            if first == 1 and last is None:
                await _check_streams(connection)
        except Broken as broken:
            return ChainReport(reached, reached - start, head.hex(), broken.position, broken.reason)
    return ChainReport(reached, reached - start, head.hex())


async def _stretches(connection: Connection, after: int, until: int) -> list[tuple[int, int]]:
    """The first and the last position of each: ends of commits."""
    found = []
    while after < until:
        end: int = await connection.fetchval(_verify["commit_of"], min(after + STRETCH, until))
        found.append((after + 1, end))
        after = end
    return found


async def _checked(
    dsn: str, connection: Connection, stretches: Sequence[tuple[int, int]]
) -> AsyncGenerator[Checked, None]:
    """What is found in each, in order."""
    if not stretches or stretches[-1][1] - stretches[0][0] < FEW:
        for first, last in stretches:
            yield await check(connection, first, last)
        return
    count = min(os.cpu_count() or 1, MOST_PROCESSES)
    async with AsyncExitStack() as stack:
        children = [await stack.enter_async_context(_child(dsn, stretches[n::count])) for n in range(count)]
        for n in range(len(stretches)):
            stdout = children[n % count].stdout
            assert stdout is not None, "it is a pipe"
            line = await stdout.readline()
            if not line.endswith(b"\n"):  # nothing, or the beginning of an answer
                raise Interrupted
            yield msgspec.json.decode(line, type=Checked)


@asynccontextmanager
async def _child(dsn: str, stretches: Sequence[tuple[int, int]]) -> "AsyncIterator[Process]":
    """A process that answers for some of them, in their order."""
    child = await python("sql.proof.worker")
    assert child.stdin is not None, "it is a pipe"
    try:
        child.stdin.write(b"\n".join([dsn.encode(), *(msgspec.json.encode(one) for one in stretches), b""]))
        child.stdin.write_eof()
        yield child
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def _check_streams(connection: Connection) -> None:
    """What is wrong although every hash is right. Raises Broken."""
    stray: int | None = await connection.fetchval(_verify["stray"])
    if stray is not None:
        raise Broken(stray, "the event belongs to no commit")
    unrecorded: int | None = await connection.fetchval(_verify["unrecorded"])
    if unrecorded is not None:
        raise Broken(unrecorded, "the event's payload is gone, and no event says why")
    untold: int | None = await connection.fetchval(_verify["untold"])
    if untold is not None:
        raise Broken(untold, "the event was dropped, and no event says so")
    hole: int | None = await connection.fetchval(_verify["holes"])
    if hole is not None:
        raise Broken(hole, "the versions of the stream that starts here are not 1, 2, 3 …")


@asynccontextmanager
async def _connection(dsn: str) -> "AsyncIterator[Connection]":
    connection = await connect(dsn, "verify", statement_timeout="0")
    try:
        yield connection
    finally:
        connection.terminate()
