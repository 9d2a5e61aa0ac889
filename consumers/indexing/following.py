"""Takes the log to the search index, a page at a time, until nothing has come for a while."""

import asyncio

from projections.engine.engine import Engine, GateMoved
from projections.engine.rebuild import pages
from projections.engine.registry import BY_THEMSELVES
from projections.run_search import RUN_SEARCH
from sql.postgres.pool import Connection, connect
from sql.postgres.queries import Queries
from sql.process.memory import trim

_events = Queries("queries/events.sql")
_gates = Queries("queries/gates.sql")
PACE_S, SLOWEST_S = 0.5, 5.0
"""Between two looks at the log: batches grow meanwhile, and segments with them.

After one that took longer the pause is as long as it was.
"""
MANY, YOUNG_S = 2_000, 3.0
"""Where so many events are new, those of the last seconds wait: most of their runs have ended then, and count once."""
IDLE_S = 20.0
ONE = 1
"""The index is one partition: it has one follower."""


async def follow(dsn: str, idle_s: float = IDLE_S, pace_s: float = PACE_S) -> None:
    """Build the index where there is none, and keep it until it has been idle. Another follower is left to it.

    Raises NewerRelease, and what connections raise.
    """
    reader = await connect(dsn, "indexing")
    try:
        if not await reader.fetchval(_gates["try_lock_following"], RUN_SEARCH.name):
            return
        async with Engine(dsn, BY_THEMSELVES, ONE) as engine:
            await engine.start()
            await _follow(reader, engine, idle_s, pace_s)
    finally:
        reader.terminate()


async def _follow(reader: Connection, engine: Engine, idle_s: float, pace_s: float) -> None:
    idle, clock = 0.0, asyncio.get_running_loop().time
    while idle < idle_s:
        began = clock()
        if await catch_up(reader, engine):
            idle = 0.0
            trim()
        else:
            idle += pace_s
        await asyncio.sleep(min(max(pace_s, clock() - began), SLOWEST_S))


async def catch_up(reader: Connection, engine: Engine) -> bool:
    """Take the log to its head; whether there was anything to take."""
    position = (await engine.gates([0]))[0]
    head: int = await reader.fetchval(_events["head"]) or 0
    if head - position > MANY:
        head = await reader.fetchval(_events["head_before"], YOUNG_S) or 0
    if position >= head:
        return False
    try:
        async for page in pages(reader, RUN_SEARCH, position, head):
            await engine.apply({0: page})
            position = page[-1].position
        if position < head:
            # The gate moves over what is not handled, and over what retention has dropped: readers wait for positions.
            await engine.pass_over(0, head)
    except GateMoved:
        pass  # the index was switched to another build: the gates say where that one is
    return True
