"""Read your writes: wait until a read model holds what a command just stored."""

import asyncio

from domain.log.partitioning import partition_of
from sql.postgres.pool import Pool
from sql.postgres.queries import Queries

_gates = Queries("queries/gates.sql")
_tail = Queries("queries/tail.sql")
_ASK_EVERY_S = 0.02


async def holds_all(pool: Pool, projection: str, position: int) -> bool:
    """Whether the read model holds the whole log up to a position: of every partition, not only of that event's."""
    return bool(await pool.fetchval(_gates["holds_all"], projection, position))


async def held_up_to(pool: Pool, projection: str) -> int:
    """The position up to which the read model holds the whole log."""
    return await pool.fetchval(_gates["held_up_to"], projection) or 0


async def gates_of(pool: Pool, projection: str) -> list[int]:
    """How far the read model has come, by partition; nothing before its first build is done."""
    return [row[1] for row in await pool.fetch(_gates["live_gates"], projection)]


async def wait_until(pool: Pool, projection: str, position: int, timeout_s: float) -> bool:
    """Whether the read model holds the event at `position`, and all before it in its partition, within `timeout_s`.

    The event's own partition decides: gates of others move only when those get events. A position that the log does
    not have is answered at once. The relay, which has time otherwise, is told that somebody waits.
    """
    ordering_key = await pool.fetchval(_gates["ordering_key_at"], position)
    deadline, hurried = asyncio.get_running_loop().time() + timeout_s, False
    while True:
        gates = await gates_of(pool, projection)
        if ordering_key is None:
            # An event that retention dropped was applied long ago; one of the future was not.
            return max(gates, default=0) >= position
        if gates and gates[partition_of(ordering_key, len(gates))] >= position:
            return True
        if asyncio.get_running_loop().time() >= deadline:
            return False
        if not hurried:
            hurried = True
            await pool.execute(_tail["hurry"])
        await asyncio.sleep(_ASK_EVERY_S)
