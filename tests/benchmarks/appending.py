"""Appends one after the other in a process of its own until standard input ends; then prints how long each took.

Beside it a second connection looks how long retention holds the lock of appends.
"""

import asyncio
import sys
import time

import asyncpg
import msgspec

from sql.log.event_store import PgEventStore
from sql.process.clock import new_id
from tests.support.builders import an_append

LOOK_EVERY_S = 0.002
HELD = """
select exists (
    select from pg_locks l join pg_stat_activity a using (pid)
    where a.datname = current_database() and a.application_name = 'triggerhub retention'
      and l.locktype = 'advisory' and l.classid = 7301 and l.granted
)
"""


class Waits(msgspec.Struct):
    """Seconds: of each append, and how long retention held the lock at the longest, to a few milliseconds."""

    appends: list[float]
    held: float = 0.0


async def main(dsn: str) -> None:
    """Append, and look, until nobody wants it any more."""
    found = Waits([])
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    looking = asyncio.create_task(_look(dsn, found))
    async with PgEventStore(dsn, "appending", patience_s=60) as store:
        while not ended.done():
            asked = time.perf_counter()
            await store.append(an_append(stream_id=new_id()))
            found.appends.append(time.perf_counter() - asked)
    looking.cancel()
    sys.stdout.buffer.write(msgspec.json.encode(found))


async def _look(dsn: str, found: Waits) -> None:
    connection = await asyncpg.connect(dsn)
    since: float | None = None
    while True:
        held = await connection.fetchval(HELD)
        at = time.perf_counter()
        if held and since is None:
            since = at
        elif not held and since is not None:
            found.held, since = max(found.held, at - since), None
        await asyncio.sleep(LOOK_EVERY_S)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
