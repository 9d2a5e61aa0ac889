"""Shared things go to the tenants in turn, each to one user at a time, whoever gives up meanwhile."""

import asyncio
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sql.process.sharing import Crowded, Shared

ADA, BOB = UUID(int=1), UUID(int=2)


async def test_who_comes_after_hundreds_of_another_tenant_is_next_but_one() -> None:
    shared = Shared("a")
    order: list[UUID] = []

    async def use(tenant_id: UUID) -> None:
        async with shared.one(tenant_id):
            order.append(tenant_id)
            await asyncio.sleep(0)

    crowd = [asyncio.create_task(use(ADA)) for _ in range(300)]
    await asyncio.sleep(0)
    await asyncio.gather(use(BOB), use(BOB), *crowd)
    assert [place for place, tenant in enumerate(order) if tenant == BOB] == [3, 5], "two had their turns already"


async def test_a_tenant_has_only_so_many_waiting_and_others_are_not_counted() -> None:
    shared = Shared("a", most_waiting=1)
    async with shared.one(ADA):
        waiting = asyncio.ensure_future(shared.one(ADA).__aenter__())
        await asyncio.sleep(0)
        with pytest.raises(Crowded):
            await shared.one(ADA).__aenter__()
        others = asyncio.ensure_future(shared.one(BOB).__aenter__())
        await asyncio.sleep(0)
    assert await asyncio.wait_for(waiting, 60) == "a"
    others.cancel()


async def test_the_last_ones_are_for_who_uses_none() -> None:
    shared = Shared(range(4), spare=1)
    held = [shared.one(ADA) for _ in range(3)]
    for one in held:
        await one.__aenter__()
    waiting = asyncio.ensure_future(shared.one(ADA).__aenter__())
    await asyncio.sleep(0)
    assert not waiting.done()
    async with asyncio.timeout(60), shared.one(BOB):
        await held.pop().__aexit__(None, None, None)
        await asyncio.sleep(0)
        assert not waiting.done(), "the one that is free now is the last"
    await asyncio.wait_for(waiting, 60)


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3), st.booleans()), max_size=40),
    st.integers(1, 3),
    st.integers(0, 2),
)
async def test_no_thing_is_lost_or_used_twice(users: list[tuple[int, int, bool]], count: int, spare: int) -> None:
    shared, used = Shared(range(count), spare=spare), set[int]()

    async def use(tenant: int, rounds: int) -> None:
        async with shared.one(UUID(int=tenant)) as thing:
            assert thing not in used
            used.add(thing)
            try:
                for _ in range(rounds):
                    await asyncio.sleep(0)
            finally:
                used.remove(thing)

    tasks = []
    for tenant, rounds, gives_up in users:
        tasks.append(asyncio.create_task(use(tenant, rounds)))
        await asyncio.sleep(0)
        if gives_up:
            tasks[len(tasks) // 2].cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert result is None or isinstance(result, asyncio.CancelledError)
    async with asyncio.timeout(60):
        held = [shared.one(UUID(int=10 + number)) for number in range(count)]
        for one in held:
            await one.__aenter__()
