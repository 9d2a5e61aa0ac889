"""Read your writes: wait until a read model holds what a command just stored."""

import asyncio
from uuid import UUID

from domain.partitioning import partition_of
from sql.pool import Pool
from sql.queries import Queries

_gates = Queries("queries/gates.sql")
_ASK_EVERY_S = 0.02


async def wait_until(pool: Pool, projection: str, position: int, timeout_s: float) -> bool:
    """Whether the read model holds everything up to the event at `position`, within `timeout_s`.

    Asks for the gate of that event's own partition: gates of others move only when those get events.
    """
    ordering_key: UUID | None = await pool.fetchval(_gates["position_of"], position)
    if ordering_key is None:
        return False
    partitions: int = await pool.fetchval(_gates["partition_count"], projection)
    partition = partition_of(ordering_key, max(partitions, 1))
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not await pool.fetchval(_gates["has_reached"], projection, partition, position):
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(_ASK_EVERY_S)
    return True
