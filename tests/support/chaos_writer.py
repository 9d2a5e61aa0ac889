"""A writer to be killed: `python -m tests.support.chaos_writer DSN FILE` notes `event position` after each answer."""

import asyncio
import os
import sys

from domain.log.event import Appended
from domain.log.ports import StoreUnavailable
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id
from tests.support.builders import a_run_requested, an_append

TASKS = 8


async def append_for_ever(store: PgEventStore, notes: int) -> None:
    stream, version = new_id(), 0
    while True:
        command = an_append(a_run_requested(), a_run_requested(), stream_id=stream, expected=version)
        try:
            result = await store.append(command)
        except StoreUnavailable:
            stream, version = new_id(), 0
            continue
        if not isinstance(result, Appended):
            sys.exit(f"nobody else writes to this stream, yet {result}")
        version = result.version
        os.write(notes, f"{command.events[-1].event_id} {result.position}\n".encode())


async def main(dsn: str, notes: int) -> None:
    async with PgEventStore(dsn, "chaos") as store, asyncio.TaskGroup() as tasks:
        for _ in range(TASKS):
            tasks.create_task(append_for_ever(store, notes))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], os.open(sys.argv[2], os.O_CREAT | os.O_WRONLY | os.O_APPEND)))
