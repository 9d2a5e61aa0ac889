"""Holds each read model against the fold of the log, row by row."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from domain.partitioning import partition_of
from projections.projection import Projection
from projections.rebuild import Progress, begin, pages, silent, take
from sql.pool import Connection, connect
from sql.queries import Queries

_gates = Queries("queries/gates.sql")
_events = Queries("queries/events.sql")
_ASK_EVERY_S = 0.1


class Difference(msgspec.Struct, frozen=True):
    """What the read model and the log do not agree on: a row that one side has, a parked event, or a lag."""

    projection: str
    side: str
    row: str


class _Comparison(msgspec.Struct):
    """`behind`: the last event that is not applied yet, by partition."""

    differences: list[Difference]
    behind: dict[int, int]


async def verify_read_models(
    dsn: str, projections: Sequence[Projection], partitions: int, progress: Progress = silent, patience_s: float = 30.0
) -> list[Difference]:
    """Fold the log and compare, up to the gates. Empty when all is well; nobody is held up meanwhile.

    A projector that does not come to the log's head as it was at the start, within `patience_s`, is reported as
    lagging. Raises what connections raise.
    """
    found: list[Difference] = []
    for projection in projections:
        connection = await connect(dsn, f"verify {projection.name}", statement_timeout="0")
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
        comparison = await _compare(connection, projection, partitions, head, progress)
        if not comparison.behind:
            return comparison.differences
        if not await _reached(connection, projection, comparison.behind, deadline):
            lag = f"not everything up to position {head} has been applied"
            return [*comparison.differences, Difference(projection.name, "lagging", lag)]


async def _compare(
    connection: Connection, projection: Projection, partitions: int, head: int, progress: Progress
) -> _Comparison:
    """All in one snapshot, of which gates, rows and log agree; rolled back, so that nothing of it stays."""
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        parked = await connection.fetch(_gates["parked"], projection.name)
        behind = await _fold(connection, projection, partitions, head, {row["position"] for row in parked}, progress)
        build = await connection.fetchval(_gates["scratch"], projection.name)
        rows = await connection.fetch(_gates["differences"], projection.name, build)
        differences = [Difference(projection.name, row[0], row[1]) for row in rows]
        differences += [
            Difference(projection.name, "parked", f"{row['type']} at position {row['position']}: {row['error']}")
            for row in parked
        ]
        return _Comparison(differences, behind)
    finally:
        await transaction.rollback()


async def _fold(
    connection: Connection, projection: Projection, partitions: int, head: int, parked: set[int], progress: Progress
) -> dict[int, int]:
    """Fill a scratch build with what the live one should hold. Gives what it should come to hold, by partition."""
    gates = await _live_gates(connection, projection)
    build = await begin(connection, projection)
    behind: dict[int, int] = {}
    end = max(head, *gates.values(), 0)
    async for page in pages(connection, projection, 0, end):
        events = []
        for event in page:
            partition = partition_of(event.ordering_key, partitions)
            if event.position > gates.get(partition, 0):
                if event.position <= head:
                    behind[partition] = event.position
            elif event.position not in parked:
                events.append(event)
        await take(connection, build, events)
        progress(page[-1].position, end)
    return behind


async def _reached(
    connection: Connection, projection: Projection, wanted: Mapping[int, int], deadline: float
) -> bool:
    while True:
        gates = await _live_gates(connection, projection)
        if all(gates.get(partition, 0) >= position for partition, position in wanted.items()):
            return True
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_ASK_EVERY_S)


async def _live_gates(connection: Connection, projection: Projection) -> dict[int, int]:
    return {row[0]: row[1] for row in await connection.fetch(_gates["live_gates"], projection.name)}
