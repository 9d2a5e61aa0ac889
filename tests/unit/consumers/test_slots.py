"""Slots: who waits, who is sent away, and that nothing of it is ever lost."""

import asyncio
from contextlib import suppress
from itertools import pairwise
from uuid import UUID

import pytest

from consumers.runner.shares import share
from consumers.runner.shares.share import WAITERS, Busy
from consumers.runner.shares.slots import Slots

ZAP, OTHER = UUID(int=1), UUID(int=2)
ADA, BOB, EVE = UUID(int=11), UUID(int=12), UUID(int=13)


class Work:
    """Actions that run until they are told to end."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.running = self.most = self.done = 0
        self.waits: list[float] = []
        self.end = asyncio.Event()

    async def do(self, zap_id: UUID, limit: int | None = None, tenant_id: UUID = ADA) -> None:
        try:
            async with self.slots.of(tenant_id, zap_id, limit):
                self.running += 1
                self.most = max(self.most, self.running)
                try:
                    await self.end.wait()
                finally:
                    self.running -= 1
                self.done += 1
        except Busy as busy:
            self.waits.append(busy.after_s)

    def start(
        self, count: int, zap_id: UUID = ZAP, limit: int | None = None, tenant_id: UUID = ADA
    ) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.do(zap_id, limit, tenant_id)) for _ in range(count)]


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "PATIENCE_S", 0.02)


async def test_a_hanging_zap_leaves_room_for_others_in_slots_and_memory() -> None:
    hanging, healthy = Work(shared := Slots(40, 10)), Work(shared)
    tasks = hanging.start(10_000)
    await settled()
    assert hanging.running == 10
    assert len(hanging.waits) == 10_000 - 10 - WAITERS
    healthy.end.set()
    await asyncio.gather(*healthy.start(50, OTHER))
    assert healthy.done == 50
    hanging.end.set()
    await asyncio.gather(*tasks)
    assert hanging.done == 10 + WAITERS
    assert hanging.most == 10


async def test_a_zap_whose_actions_are_quick_has_none_sent_away() -> None:
    work = Work(Slots(40, 10))
    work.end.set()
    await asyncio.gather(*work.start(500))
    await asyncio.gather(*work.start(10_000))
    assert work.done == 10_500
    assert work.waits == []


@pytest.mark.usefixtures("impatient")
async def test_who_has_waited_too_long_is_sent_away_and_others_after_it_at_once() -> None:
    work = Work(Slots(40, 10))
    tasks = work.start(110)
    await asyncio.gather(*tasks[10:])
    assert len(work.waits) == 100
    assert work.running == 10
    assert not work.slots._tenants[ADA].zaps[ZAP].waiting
    tasks += work.start(5_000)
    await asyncio.sleep(0)
    assert len(work.waits) > 5_000
    work.end.set()
    await asyncio.gather(*tasks)


async def test_those_who_are_sent_away_return_as_they_can_be_served() -> None:
    work = Work(Slots(40, 10))
    tasks = work.start(10_010 + WAITERS)
    await settled()
    spread = sorted(work.waits)
    assert spread[0] >= share.SOON_S
    assert spread[-1] >= 0.9 * (10_000 * share.GUESS_S / 10)
    assert max(later - earlier for earlier, later in pairwise(spread)) < 20
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_zap_has_its_own_limit_and_never_more_than_half_of_all_slots() -> None:
    for limit, expected in ((3, 3), (None, 10), (1_000, 20)):
        work = Work(Slots(40, 10))
        tasks = work.start(40, limit=limit)
        await settled()
        assert work.running == expected
        work.end.set()
        await asyncio.gather(*tasks)
        assert work.most == expected


async def test_a_changed_limit_counts_from_the_next_action_on() -> None:
    work = Work(Slots(40, 10))
    tasks = work.start(10, limit=2)
    await settled()
    assert work.running == 2
    tasks += work.start(1, limit=5)
    await settled()
    assert work.running == 5
    work.end.set()
    await asyncio.gather(*tasks)
    assert work.done == 11


async def test_cancelled_ones_leave_nothing_behind() -> None:
    shared = Slots(40, 2)
    work = Work(shared)
    for moment in range(8):
        tasks = work.start(30)
        for _ in range(moment):
            await asyncio.sleep(0)
        if moment % 2:
            work.end.set()
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        work.end.clear()
    assert shared._tenants == {}
    work.done = 0
    work.end.set()
    await asyncio.gather(*work.start(100))
    assert work.done == 100
    assert work.most == 2


async def test_a_slot_that_comes_as_its_waiter_is_cancelled_goes_to_the_next() -> None:
    shared = Slots(40, 1)
    first, others = Work(shared), Work(shared)
    done = first.start(1)
    tasks = others.start(3)
    await settled()
    first.end.set()
    await asyncio.sleep(0)
    assert first.done == 1
    assert others.running == 0
    tasks[0].cancel()
    await settled()
    assert others.running == 1
    others.end.set()
    await asyncio.gather(*done, *tasks, return_exceptions=True)
    assert others.done == 2


async def test_a_tenant_that_hangs_with_many_zaps_leaves_room_for_whoever_comes_next() -> None:
    shared = Slots(400, 100)
    hanging = Work(shared)
    tasks = [task for zap in range(3) for task in hanging.start(240, UUID(int=zap))]
    await settled()
    assert hanging.running == 200
    for number, expected in ((1, 100), (2, 50), (3, 25)):
        other = Work(shared)
        tasks += other.start(300, OTHER, tenant_id=UUID(int=100 + number))
        await settled()
        assert other.running == expected
    late = Work(shared)
    late.end.set()
    await asyncio.gather(*late.start(100, OTHER, tenant_id=EVE))
    assert (late.done, late.waits) == (100, [])
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (shared._tenants, shared._free, shared._waiting) == ({}, 400, 0)


async def test_shares_become_equal_as_slots_come_free() -> None:
    shared = Slots(30, 100)
    running: dict[UUID, list[asyncio.Event]] = {ADA: [], BOB: []}

    async def run(tenant: UUID) -> None:
        async with shared.of(tenant, ZAP):
            running[tenant].append(end := asyncio.Event())
            await end.wait()

    tasks = [asyncio.create_task(run(ADA)) for _ in range(100)]
    await settled()
    assert len(running[ADA]) == 15
    tasks += [asyncio.create_task(run(BOB)) for _ in range(100)]
    await settled()
    for _ in range(6):
        running[ADA].pop(0).set()
        await settled()
    assert {tenant: len(held) for tenant, held in running.items()} == {ADA: 10, BOB: 10}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_zaps_of_a_tenant_take_turns_however_many_wait() -> None:
    shared = Slots(2, 5)
    done: list[int] = []

    async def run(tenant: UUID, zap: int) -> None:
        async with shared.of(tenant, UUID(int=zap)):
            await asyncio.sleep(0)
            done.append(zap)

    tasks = [asyncio.create_task(run(ADA, 1)) for _ in range(100)]
    tasks += [asyncio.create_task(run(ADA, zap)) for zap in (2, 3)]
    tasks += [asyncio.create_task(run(BOB, 4)) for _ in range(3)]
    await asyncio.gather(*tasks)
    assert set(done[:12]) == {1, 2, 3, 4}
    assert len(done) == 105


async def test_nobody_who_waits_is_starved_by_newcomers() -> None:
    shared = Slots(1, 5)
    done: list[UUID] = []

    async def run(tenant: UUID, followers: int = 0) -> None:
        async with shared.of(tenant, ZAP):
            done.append(tenant)
            if followers:
                following.append(asyncio.create_task(run(UUID(int=100 + followers), followers - 1)))
            await settled()

    following = [asyncio.create_task(run(tenant, followers)) for tenant, followers in ((ADA, 0), (ADA, 0), (BOB, 20))]
    for task in following:
        await task
    assert len(done) == 23
    assert ADA in done[1:3]
