"""Writers are killed and frozen at random while a reader follows: the log stays whole, and every answer true."""

import asyncio
import contextlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest

from sql.log.event_store import PgEventStore
from tests.support.chain import assert_log_is_whole
from tests.support.eventually import eventually
from tests.support.stores import patient_store

SEED = 20260101
WRITERS = 3
AT_LEAST = 6
"""Kills and freezes, each."""
ENOUGH = 100
"""Events that the writers were told are stored."""
ROOT = Path(__file__).parents[2]


class Writer:
    """One subprocess after another; what they were told is kept in files."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self._dsn = dsn
        self._folder = folder
        self._lives = 0
        self.start()

    def start(self) -> None:
        self._lives += 1
        self.heard = self._folder / f"{self._lives}.txt"
        self.heard.touch()
        script = [sys.executable, "-m", "tests.support.chaos_writer", self._dsn, str(self.heard)]
        self._process = subprocess.Popen(script, cwd=ROOT, stdout=subprocess.DEVNULL)

    def send(self, signal_: signal.Signals) -> None:
        self._process.send_signal(signal_)

    def kill(self) -> None:
        self._process.kill()
        assert self._process.wait(60) == -signal.SIGKILL, "it ended by itself before it was killed"

    def acknowledged(self) -> dict[UUID, int]:
        """Event → position, of whole lines only: the last may have been cut by the kill."""
        told: dict[UUID, int] = {}
        for file in self._folder.iterdir():
            for line in file.read_text().splitlines(keepends=True):
                if line.endswith("\n"):
                    event, position = line.split()
                    told[UUID(event)] = int(position)
        return told


def told_by(writers: Sequence[Writer]) -> dict[UUID, int]:
    return {event: position for writer in writers for event, position in writer.acknowledged().items()}


async def torment(writers: list[Writer], chance: random.Random) -> None:
    """Kill, freeze and thaw until each has been done often enough, and enough is stored."""
    count = {"killed": 0, "frozen": 0}
    frozen: set[Writer] = set()
    await eventually(lambda: all(writer.heard.stat().st_size for writer in writers))
    while min(count.values()) < AT_LEAST or len(told_by(writers)) <= ENOUGH:
        writer = chance.choice(writers)
        if writer in frozen:
            writer.send(signal.SIGCONT)
            frozen.remove(writer)
        elif chance.random() < 0.4:
            writer.kill()
            writer.start()
            count["killed"] += 1
        else:
            writer.send(signal.SIGSTOP)
            frozen.add(writer)
            count["frozen"] += 1
        moment = time.monotonic() + chance.uniform(0.02, 0.3)
        await eventually(lambda moment=moment: time.monotonic() > moment)  # type: ignore[misc]
    for writer in frozen:
        writer.send(signal.SIGCONT)


async def follow(store: PgEventStore, stop: asyncio.Event) -> dict[UUID, int]:
    """Read as the relay does; any gap or step back is a failure."""
    seen: dict[UUID, int] = {}
    after = 0
    while True:
        last_round = stop.is_set()
        page = await store.read_log(after, 1_000)
        assert [event.position for event in page] == list(range(after + 1, after + 1 + len(page)))
        for event in page:
            assert event.event_id not in seen
            seen[event.event_id] = event.position
        after += len(page)
        if last_round and not page:
            return seen
        await asyncio.sleep(0)


@pytest.mark.slow
async def test_a_log_survives_the_death_of_its_writers(dsn: str, tmp_path: Path) -> None:
    print(f"seed {SEED}")  # noqa: T201 - shown when the test fails
    stop = asyncio.Event()
    writers: list[Writer] = []
    try:
        for number in range(WRITERS):
            folder = tmp_path / str(number)
            folder.mkdir()
            writers.append(Writer(dsn, folder))
        async with patient_store(dsn, "follower") as store, asyncio.TaskGroup() as tasks:
            follower = tasks.create_task(follow(store, stop))
            await torment(writers, random.Random(SEED))
            for writer in writers:
                writer.kill()
            await eventually(lambda: nobody_writes(store))
            stop.set()
    finally:
        for writer in writers:
            with contextlib.suppress(AssertionError, ProcessLookupError):
                writer.kill()
    seen = follower.result()
    told = told_by(writers)
    assert {event: seen.get(event) for event in told} == told
    assert len(await assert_log_is_whole(dsn)) == len(seen)


async def nobody_writes(store: PgEventStore) -> bool:
    """The server may still be at work on the last call of a writer that is dead."""
    return not await store.pool.fetchval(
        "select count(*) from pg_stat_activity"
        " where application_name = 'triggerhub chaos writer' and datname = current_database()"
    )
