"""Builds a read model anew from the log, beside the live one, and switches to it in one transaction.

The rule that keeps it exactly-once: when the build is switched in, all its gates stand at the log's position up to
which it was filled, whatever the live gates were. Kafka then repeats some events, which those gates drop. The projector
that still works for the old build finds its gates deleted, and reads the new ones.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog

from domain.event import StoredEvent
from domain.partitioning import partition_of
from projections.projection import Projection
from sql.pool import CONNECTION_ERRORS, Connection, connect
from sql.queries import Queries

log = structlog.get_logger()
_gates = Queries("queries/gates.sql")
_events = Queries("queries/events.sql")

PAGE = 5_000
NEAR = 2_000
"""Events behind the head at which a build is near enough to catch up while the switch waits for it."""

Progress = Callable[[int, int], None]
"""Told the position reached, and the head."""


def silent(_position: int, _head: int) -> None:
    """Progress for nobody."""


async def rebuild(
    dsn: str, projection: Projection, partitions: int, progress: Progress = silent, *, only_if_older: bool = False
) -> int:
    """Build and switch. Returns the position of the log that the new build holds.

    `only_if_older`: do nothing when the live build is of today's definition, as another process made it meanwhile.
    A crash in the middle leaves the live build live; the next rebuild clears up.
    """
    builder = await connect(dsn, f"rebuild {projection.name}")
    try:
        await builder.execute(_gates["lock_rebuild"], projection.name)
        live = {row[0]: row for row in await builder.fetch(_gates["live"])}
        old = live.get(projection.name)
        if only_if_older and old and old["definition"] >= projection.definition:
            return 0
        version = await _begin(builder, projection)
        position = await _fill(builder, projection, 0, progress, NEAR)
        async with builder.transaction():
            position = await _fill(builder, projection, position, progress, 0)
            await builder.execute(
                _gates["switch_build"], projection.name, version, projection.definition, position, partitions
            )
        log.info("projection.rebuilt", projection=projection.name, version=version, position=position)
        if old:
            await builder.execute(_gates["drop_build"], projection.name, old["version"])
        return position
    finally:
        await _close(builder)


async def scratch_build(
    connection: Connection, projection: Projection, until: int, partitions: int, progress: Progress = silent
) -> tuple[int, dict[int, int]]:
    """Fill a build that is never switched in, up to a position; `drop_build` is the caller's.

    Returns its number, and the last position in each partition.
    """
    version = await _begin(connection, projection)
    last: dict[int, int] = {}
    after = 0
    while after < until:
        events = await _page(connection, after, min(PAGE, until - after))
        await _apply(connection, projection, events)
        last.update((partition_of(event.ordering_key, partitions), event.position) for event in events)
        after = events[-1].position
        progress(after, until)
    return version, last


async def apply_up_to(
    connection: Connection, projection: Projection, after: int, gates: Mapping[int, int], partitions: int
) -> None:
    """Add to a scratch build what the live one holds beyond `after`, gate by gate."""
    end = max(gates.values(), default=0)
    while after < end:
        page = await _page(connection, after, min(PAGE, end - after))
        events = [e for e in page if e.position <= gates.get(partition_of(e.ordering_key, partitions), 0)]
        await _apply(connection, projection, events)
        after = page[-1].position


async def _begin(builder: Connection, projection: Projection) -> int:
    version: int = await builder.fetchval(_gates["begin_build"], projection.name)
    await builder.execute(_gates["enter_build"], projection.name, version)
    await builder.execute(projection.create)
    return version


async def _fill(builder: Connection, projection: Projection, after: int, progress: Progress, near: int) -> int:
    """Add events until at most `near` are missing. Returns the position reached."""
    while True:
        head: int = await builder.fetchval(_events["head"])
        if head - after <= near:
            return after
        events = await _page(builder, after, PAGE)
        await _apply(builder, projection, events)
        after = events[-1].position
        progress(after, head)


async def _page(connection: Connection, after: int, limit: int) -> list[StoredEvent]:
    return [StoredEvent(*row) for row in await connection.fetch(_events["read_log"], after, limit)]


async def _apply(connection: Connection, projection: Projection, events: list[StoredEvent]) -> None:
    handled = [event for event in events if event.type in projection.handles]
    if handled:
        await projection.apply(connection, handled)


async def _close(connection: Connection) -> None:
    with suppress(*CONNECTION_ERRORS):
        await connection.close(timeout=5)
