"""Room for payloads: bytes are bounded, each tenant has its share, and one that is too large for all is not refused."""

import asyncio
import random
from uuid import UUID

import pytest

from consumers.outbound import turns
from consumers.runner.shares import share
from consumers.runner.shares.room import LARGE_BYTES, Room, Rooms
from consumers.runner.shares.share import SOON_S, Busy
from domain.envelope import MAX_INLINE_DATA
from sql.process.clock import new_id

A, B, C = new_id(), new_id(), new_id()


@pytest.mark.parametrize("seed", range(20))
async def test_never_more_than_the_limit_is_held_but_for_one_alone(seed: int) -> None:
    chance = random.Random(seed)
    room, held = Room(100), list[int]()
    order: dict[UUID, list[int]] = {A: [], B: [], C: []}

    async def hold(tenant_id: UUID, number: int, size: int) -> None:
        mine = await room.take(tenant_id, size)
        order[tenant_id].append(number)
        held.append(size)
        assert sum(held) <= 100 or len(held) == 1
        for _ in range(chance.randrange(5)):
            await asyncio.sleep(0)
        held.remove(size)
        room.give(mine)

    async with asyncio.TaskGroup() as tasks:
        for number in range(50):
            tasks.create_task(hold(chance.choice([A, B, C]), number, chance.choice([1, 30, 60, 100, 500])))
    assert all(numbers == sorted(numbers) for numbers in order.values())
    assert sum(map(len, order.values())) == 50
    assert room.take_now(A, 100), "all of it is free again"


async def test_a_tenant_leaves_room_for_the_next_one() -> None:
    room = Room(100)
    held = [room.take_now(A, 10) for _ in range(10)]
    assert len([one for one in held if one]) == 5, "as much as is free"
    assert room.take_now(B, 10), "the next tenant does not wait"


async def test_what_is_given_back_goes_to_the_tenant_that_holds_the_least() -> None:
    room = Room(100)
    first = [held for _ in range(5) if (held := room.take_now(A, 10))]
    others = [held for _ in range(2) if (held := room.take_now(B, 10))]
    again = asyncio.create_task(room.take(A, 10))
    large = asyncio.create_task(room.take(C, 60))
    await asyncio.sleep(0)
    for held in [*first[:2], *others]:
        room.give(held)
        await asyncio.sleep(0)
    assert large.done(), "it holds nothing, so it was next, although it is large and came last"
    assert not again.done()
    room.give(await large)
    await again


async def test_nobody_passes_who_waits_for_an_empty_room_however_many_come() -> None:
    room = Room(100)
    held = room.take_now(B, 10)
    large = [asyncio.create_task(room.take(A, 100)) for _ in range(2)]
    await asyncio.sleep(0)
    for done in large:
        newcomer = asyncio.create_task(room.take(new_id(), 10))
        await asyncio.sleep(0)
        assert not newcomer.done(), "it would keep the room from becoming empty"
        assert held
        room.give(held)
        await asyncio.sleep(0)
        assert done.done(), "the one that came first is next, whoever is new"
        room.give(await done)
        held = await newcomer
    assert held
    room.give(held)


async def test_small_runs_do_not_wait_for_large_ones() -> None:
    rooms = Rooms()
    async with rooms.of(A, LARGE_BYTES):
        large = asyncio.create_task(_through(rooms, MAX_INLINE_DATA + 1))
        await _through(rooms, MAX_INLINE_DATA)
        assert not large.done()
    await large


async def test_who_gives_up_waiting_takes_nothing() -> None:
    room = Room(10)
    held = await room.take(A, 10)
    waiting = asyncio.create_task(room.take(B, 5))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    room.give(held)
    await asyncio.wait_for(room.take(C, 10), 60)


async def test_who_has_waited_for_long_is_told_when_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "PATIENCE_S", 0.2)
    monkeypatch.setattr(turns, "JITTER", 0.0)
    room = Room(10)
    held = await room.take(A, 10)
    patient = [asyncio.create_task(room.take(A, 1)) for _ in range(2)]
    with pytest.raises(Busy) as busy:
        await room.take(A, 1, patient=False)
    assert busy.value.after_s >= SOON_S
    with pytest.raises(Busy) as again:
        await room.take(A, 1, patient=False)
    assert again.value.after_s > busy.value.after_s, "they come back one after the other"
    room.give(held)
    await asyncio.gather(*patient)


async def _through(rooms: Rooms, size: int) -> None:
    async with rooms.of(B, size):
        pass
