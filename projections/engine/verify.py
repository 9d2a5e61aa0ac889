"""Compares each read model with the fold of the log, row by row."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from domain.log.event import StoredEvent
from domain.log.partitioning import partition_of
from projections.engine.build import FEW_ROWS, Build
from projections.engine.projection import Projection
from projections.engine.rebuild import Progress, begin, pages, silent, take
from sql.postgres.pool import Connection, connect
from sql.postgres.queries import Queries

_gates = Queries("queries/gates.sql")
_events = Queries("queries/events.sql")
_ASK_EVERY_S = 0.1


class Difference(msgspec.Struct, frozen=True):
    """What the read model and the log do not agree on: a row that one side has, a parked event, or a lag."""

    projection: str
    side: str
    row: str


class _Gates(msgspec.Struct, frozen=True):
    """What the live build holds: everything up to the gate of each partition, but for what is parked."""

    positions: Mapping[int, int]
    partitions: int
    parked: frozenset[int]

    def hold(self, event: StoredEvent) -> bool:
        """Whether the event has been taken to the read model, parked or not."""
        return event.position <= self.positions.get(self.partition(event), 0)

    def partition(self, event: StoredEvent) -> int:
        """The partition of an event."""
        return partition_of(event.ordering_key, self.partitions)


async def verify_read_models(
    dsn: str, projections: Sequence[Projection], partitions: int, progress: Progress = silent, patience_s: float = 30.0
) -> list[Difference]:
    """Fold the log and compare, up to the gates. Empty when all is well. It blocks nobody.

    A projector that does not come to the log's head as it was at the start, within `patience_s`, is reported as
    lagging. Raises what connections raise.
    """
    found: list[Difference] = []
    for projection in projections:
        connection = await connect(dsn, f"verify {projection.name}", statement_timeout="0", **FEW_ROWS)
        try:
            await connection.execute(_gates["lock_rebuild"], projection.name)
            found += await _verify(connection, projection, partitions, progress, patience_s)
        finally:
            connection.terminate()
    return found


async def _verify(
    connection: Connection, projection: Projection, partitions: int, progress: Progress, patience_s: float
) -> list[Difference]:
    head: int = await connection.fetchval(_events["head"])
    deadline = asyncio.get_running_loop().time() + patience_s
    while True:
        differences, behind = await _compare(connection, projection, partitions, head, progress)
        if not behind:
            return differences
        if not await _reached(connection, projection, behind, deadline):
            lag = f"not everything up to position {head} has been applied"
            return [*differences, Difference(projection.name, "lagging", lag)]


async def _compare(
    connection: Connection, projection: Projection, partitions: int, head: int, progress: Progress
) -> tuple[list[Difference], dict[int, int]]:
    """All in one snapshot, in which gates, rows and log agree; rolled back, so that nothing of it stays.

    Gives the differences, and by partition the last event up to `head` that is still to be applied.
    """
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        parked = await connection.fetch(_gates["parked"], projection.name)
        positions = await _live_gates(connection, projection)
        gates = _Gates(positions, partitions, frozenset(row["position"] for row in parked))
        build = await begin(connection, projection)
        behind = await _fold(connection, build, gates, head, progress)
        rows = await connection.fetch(_gates["differences"], projection.name, build.version)
    finally:
        await transaction.rollback()
    differences = [Difference(projection.name, row[0], row[1]) for row in rows]
    for row in parked:
        what = f"{row['type']} at position {row['position']}: {row['error']}"
        differences.append(Difference(projection.name, "parked", what))
    return differences, behind


async def _fold(connection: Connection, build: Build, gates: _Gates, head: int, progress: Progress) -> dict[int, int]:
    """Fill the scratch build with what the live one should hold. Gives what that one has still to take."""
    behind: dict[int, int] = {}
    end = max(head, *gates.positions.values(), 0)
    async for page in pages(connection, build.projection, 0, end):
        held = [event for event in page if gates.hold(event)]
        await take(connection, build, [event for event in held if event.position not in gates.parked])
        late = page if len(held) < len(page) else []
        behind.update((gates.partition(e), e.position) for e in late if e.position <= head and not gates.hold(e))
        progress(page[-1].position, end)
    return behind


async def _reached(connection: Connection, projection: Projection, wanted: Mapping[int, int], deadline: float) -> bool:
    while True:
        gates = await _live_gates(connection, projection)
        if all(gates.get(partition, 0) >= position for partition, position in wanted.items()):
            return True
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_ASK_EVERY_S)


async def _live_gates(connection: Connection, projection: Projection) -> dict[int, int]:
    return {row[0]: row[1] for row in await connection.fetch(_gates["live_gates"], projection.name)}
