"""Builds a read model anew from the log, beside the live one, and switches to it in one transaction.

The rule that keeps it exactly-once: the switch first locks the live gates, so that no projector stores anything, then
fills the build to the log's head, and sets all its gates to that position. It holds what the old build held and more,
as no gate is beyond the head; what the topic still brings of it, the gates drop. A projector that waited for its gate
finds it deleted, reads the new ones, and goes on.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager, suppress

import structlog

from domain.log.event import StoredEvent
from projections.engine.build import FEW_ROWS, Build, is_poison
from projections.engine.projection import Projection
from sql.log.pages import PAGE_BYTES
from sql.log.pages import PAGE_EVENTS as PAGE
from sql.log.read_ahead import read_ahead
from sql.postgres.pool import CONNECTION_ERRORS, Connection, connect
from sql.postgres.queries import Queries

log = structlog.get_logger()
_gates = Queries("queries/gates.sql")
_events = Queries("queries/events.sql")

NEAR = 2_000
"""Positions behind the head at which a build is near enough to catch up while the projector waits for it."""

Progress = Callable[[int, int], None]
"""Called with the position reached and the head."""


def silent(_position: int, _head: int) -> None:
    """Ignores progress."""


async def rebuild(dsn: str, projection: Projection, partitions: int, progress: Progress = silent) -> int:
    """Build and switch, while the live build serves on. Returns the position of the log that the new build holds.

    A crash in the middle leaves the live build live; the next rebuild clears up. Raises what connections raise.
    """
    async with _builder(dsn, projection) as builder:
        await builder.execute(_gates["lock_rebuild"], projection.name)
        return await _rebuild(builder, dsn, projection, partitions, progress)


async def ensure_built(dsn: str, projection: Projection, partitions: int, progress: Progress = silent) -> None:
    """Build what was never built, or for an older definition or another number of partitions. Any number may race.

    What is built is seen without the lock, which a verification or a rebuild may hold for long.
    """
    async with _builder(dsn, projection) as builder:
        if await _is_built(builder, projection, partitions):
            return
        await builder.execute(_gates["lock_rebuild"], projection.name)
        if not await _is_built(builder, projection, partitions):
            await _rebuild(builder, dsn, projection, partitions, progress)


async def not_built(dsn: str, projections: Iterable[Projection], partitions: int) -> list[Projection]:
    """Those that `ensure_built` would build, as seen over one connection."""
    connection = await connect(dsn, "builds")
    try:
        return [one for one in projections if not await _is_built(connection, one, partitions)]
    finally:
        connection.terminate()


async def _is_built(connection: Connection, projection: Projection, partitions: int) -> bool:
    live = {row[0]: row for row in await connection.fetch(_gates["live"])}.get(projection.name)
    return live is not None and live["definition"] >= projection.definition and live["partitions"] == partitions


@asynccontextmanager
async def _builder(dsn: str, projection: Projection) -> AsyncIterator[Connection]:
    # Commits need not wait for the disk: the switch does, and a build that is not switched in is worth nothing.
    builder = await connect(dsn, f"rebuild {projection.name}", synchronous_commit="off", **FEW_ROWS)
    try:
        yield builder
    finally:
        with suppress(*CONNECTION_ERRORS):
            await builder.close(timeout=5)


async def _rebuild(builder: Connection, dsn: str, projection: Projection, partitions: int, progress: Progress) -> int:
    build = await begin(builder, projection)
    position = await _fill_beside(builder, dsn, build, progress)
    async with builder.transaction():
        await builder.execute(_gates["commit_durably"])
        await builder.fetch(_gates["lock_gates"], projection.name)
        head: int = await builder.fetchval(_events["head"])
        async for events in pages(builder, projection, position, head):
            await take(builder, build, events)
        await builder.execute(
            _gates["switch_build"], projection.name, build.version, projection.definition, head, partitions
        )
        await builder.execute(_gates["say_source"], projection.name, projection.from_topic)
    log.info("projection.rebuilt", projection=projection.name, version=build.version, position=head)
    await builder.execute(_gates["drop_build"], projection.name, build.version - 1)
    return head


async def begin(connection: Connection, projection: Projection) -> Build:
    """An empty build, to which the connection's unqualified table names lead from now on."""
    version: int = await connection.fetchval(_gates["begin_build"], projection.name)
    await connection.execute(_gates["enter_build"], projection.name, version)
    await connection.execute(projection.create)
    return Build(projection, version, set())


async def _fill_beside(builder: Connection, dsn: str, build: Build, progress: Progress) -> int:
    """Fill the build until it is near the head; a second connection reads ahead. Returns the position reached."""
    reader = await connect(dsn, f"rebuild {build.projection.name} reads")
    try:
        position, near = 0, False
        while not near:
            head: int = await reader.fetchval(_events["head"])
            async with aclosing(read_ahead(pages(reader, build.projection, position, head))) as ahead:
                async for events in ahead:
                    await take(builder, build, events)
                    progress(events[-1].position, head)
            near = head - position <= NEAR
            position = head
        return position
    finally:
        reader.terminate()


async def pages(
    connection: Connection, projection: Projection, after: int, until: int
) -> AsyncIterator[list[StoredEvent]]:
    """What a projection handles, after a position and up to another."""
    handled = sorted(projection.handles)
    while rows := await connection.fetch(_gates["read_handled"], after, until, handled, PAGE, PAGE_BYTES):
        yield [StoredEvent(*row) for row in rows]
        after = rows[-1][0]


async def take(connection: Connection, build: Build, events: list[StoredEvent]) -> None:
    """Add events to a build that nobody else writes to; poison is parked."""
    try:
        async with connection.transaction():
            await build.take(connection, events, singly=False)
    except Exception as error:
        if not is_poison(error):
            raise
        async with connection.transaction():
            await build.take(connection, events, singly=True)
