"""What a runner remembers of the queues of serial runs."""

import asyncio
from typing import cast
from uuid import UUID

import pytest

from consumers.kafka.lanes import Lanes
from consumers.runner.executor import Executor
from consumers.runner.family import Family
from consumers.runner.head_starts import HeadStarts
from consumers.runner.serial_runs import SerialRuns
from consumers.runner.shares.room import Rooms
from domain.log.partitioning import partition_of
from sql.log.event_store import PgEventStore

KEY = UUID(int=7)


class OneQueue:
    """A database with one queue."""

    @property
    def pool(self) -> "OneQueue":
        return self

    async def fetch(self, _query: str) -> list[tuple[UUID]]:
        return [(KEY,)]


async def test_queues_of_partitions_that_had_to_be_given_up_in_a_hurry_are_forgotten() -> None:
    lanes = Lanes(10)
    hold = asyncio.Event()

    async def hang() -> None:
        await hold.wait()

    lanes.submit(KEY, hang, KEY)
    family = Family(cast(Executor, None), lanes, cast(Rooms, None), HeadStarts(12))
    serial = SerialRuns(cast(PgEventStore, OneQueue()), family, partitions=12)
    partition = partition_of(KEY, 12)
    await serial.own([partition])
    assert serial.knows(KEY)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await serial.give_up([partition])
    assert not serial.any
    hold.set()
    await lanes.drain(1)
