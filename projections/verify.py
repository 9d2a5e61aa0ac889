"""Holds each read model against the fold of the log, row by row."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from projections.projection import Projection
from projections.rebuild import Progress, apply_up_to, scratch_build, silent
from sql.pool import Connection, connect
from sql.queries import Queries

_gates = Queries("queries/gates.sql")
_events = Queries("queries/events.sql")
_ASK_EVERY_S = 0.1


class Difference(msgspec.Struct, frozen=True):
    """A row that the read model and the log do not agree on."""

    projection: str
    side: str
    row: str


async def verify_read_models(
    dsn: str, projections: Sequence[Projection], partitions: int, progress: Progress = silent, patience_s: float = 30.0
) -> list[Difference]:
    """Fold the log into scratch builds and compare. Empty when all is well.

    A projector that works on meanwhile is held for the comparison only. One that does not come to the log's head as
    it was at the start, within `patience_s`, is reported as lagging.
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
    version, last = await scratch_build(connection, projection, head, partitions, progress)
    try:
        if not await _has_reached(connection, projection, last, patience_s):
            return [Difference(projection.name, "lagging", f"not everything up to position {head} has been applied")]
        async with connection.transaction():
            gates = await _read(connection, "lock_gates", projection)
            await apply_up_to(connection, projection, head, gates, partitions)
            different = await connection.fetch(_gates["differences"], projection.name, version)
        return [Difference(projection.name, row[0], row[1]) for row in different]
    finally:
        await connection.execute(_gates["drop_build"], projection.name, version)


async def _has_reached(
    connection: Connection, projection: Projection, last: Mapping[int, int], patience_s: float
) -> bool:
    deadline = asyncio.get_running_loop().time() + patience_s
    while True:
        gates = await _read(connection, "live_gates", projection)
        if all(gates.get(partition, 0) >= position for partition, position in last.items()):
            return True
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_ASK_EVERY_S)


async def _read(connection: Connection, query: str, projection: Projection) -> dict[int, int]:
    return {row[0]: row[1] for row in await connection.fetch(_gates[query], projection.name)}
