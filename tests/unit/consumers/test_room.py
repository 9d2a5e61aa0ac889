"""Room for payloads: bytes are bounded, each gets its turn, and one that is too large for all is not refused."""

import asyncio
import random

import pytest

from consumers.runner.room import LARGE_BYTES, Room, Rooms
from domain.envelope import MAX_INLINE_DATA


@pytest.mark.parametrize("seed", range(20))
async def test_never_more_than_the_limit_is_held_but_for_one_alone(seed: int) -> None:
    chance = random.Random(seed)
    room, held, order = Room(100), [], []

    async def hold(number: int, size: int) -> None:
        await room.take(size)
        order.append(number)
        held.append(size)
        assert sum(held) <= 100 or len(held) == 1
        for _ in range(chance.randrange(5)):
            await asyncio.sleep(0)
        held.remove(size)
        room.give(size)

    async with asyncio.TaskGroup() as tasks:
        for number in range(50):
            tasks.create_task(hold(number, chance.choice([1, 30, 60, 100, 500])))
    assert order == list(range(50))


async def test_small_runs_do_not_wait_for_large_ones() -> None:
    rooms = Rooms()
    async with rooms.of(LARGE_BYTES):
        large = asyncio.create_task(_through(rooms, MAX_INLINE_DATA + 1))
        await _through(rooms, MAX_INLINE_DATA)
        assert not large.done()
    await large


async def test_who_gives_up_waiting_takes_nothing() -> None:
    room = Room(10)
    await room.take(10)
    waiting = asyncio.create_task(room.take(5))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    room.give(10)
    await asyncio.wait_for(room.take(10), 1)


async def _through(rooms: Rooms, size: int) -> None:
    async with rooms.of(size):
        pass
