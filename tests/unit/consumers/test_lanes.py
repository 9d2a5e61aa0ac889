"""Lanes: whose turn it is to begin, and what is open when they are drained."""

import asyncio
import time
from uuid import UUID

from consumers.kafka.lanes import MOST_AT_ONCE, Lanes

FIRST, SECOND = UUID(int=1), UUID(int=2)
TENANT, OTHER = UUID(int=3), UUID(int=4)


async def test_a_job_that_is_begun_while_lanes_are_drained_is_waited_for() -> None:
    """Otherwise it would go on without the connections that are closed behind the drain."""
    lanes, go_on, done = Lanes(10), asyncio.Event(), list[str]()

    async def second() -> None:
        await go_on.wait()
        done.append("second")

    async def first() -> None:
        await asyncio.sleep(0)
        lanes.submit(SECOND, second, TENANT)
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        done.append("first")

    lanes.submit(FIRST, first, TENANT)
    assert await lanes.drain(5)
    assert done == ["first", "second"]


async def test_what_does_not_end_in_time_is_cancelled() -> None:
    lanes, ended = Lanes(10), list[str]()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    lanes.submit(FIRST, endless, TENANT)
    assert not await lanes.drain(0.01)
    assert ended == ["cancelled"]


async def test_a_job_that_gives_itself_up_takes_no_other_along() -> None:
    lanes, done = Lanes(2), list[str]()

    async def gives_up() -> None:
        raise asyncio.CancelledError

    async def other() -> None:
        done.append("other")

    lanes.submit(FIRST, gives_up, TENANT)
    lanes.submit(FIRST, other, TENANT)
    assert await lanes.drain(5)
    assert done == ["other"]
    async with asyncio.timeout(60):
        await lanes.room()


async def test_a_lone_run_does_not_wait_behind_ten_thousand_of_another_tenant() -> None:
    lanes, begun, ahead = Lanes(100_000), list[int](), list[int]()

    async def work() -> None:
        until = time.perf_counter() + 0.000_05
        while time.perf_counter() < until:
            pass
        begun.append(1)
        await asyncio.sleep(0)

    async def lone() -> None:
        ahead.append(len(begun))

    for number in range(10_000):
        lanes.submit(UUID(int=100 + number), work, TENANT)
    lanes.submit(FIRST, lone, OTHER)
    assert await lanes.drain(60)
    assert len(begun) == 10_000
    assert ahead[0] <= 2 * MOST_AT_ONCE


async def test_fewer_begin_at_once_where_that_takes_long() -> None:
    """So what waits for the event loop meanwhile, such as the answers of targets, has it soon."""
    lanes, rounds = Lanes(10_000), list[float]()

    async def slow() -> None:
        until = time.perf_counter() + 0.002
        while time.perf_counter() < until:
            pass

    async def watch() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0)
            rounds.append(time.perf_counter() - began)

    for number in range(300):
        lanes.submit(UUID(int=100 + number), slow, TENANT)
    watcher = asyncio.create_task(watch())
    assert await lanes.drain(60)
    watcher.cancel()
    assert sorted(rounds)[len(rounds) // 2] < 0.03, "64 of them would take 0.13 s"


async def test_jobs_of_one_key_go_in_order_also_while_they_wait() -> None:
    lanes, done = Lanes(10_000), list[int]()

    async def job(number: int) -> None:
        done.append(number)

    for number in range(300):
        lanes.submit(UUID(int=100 + number), lambda: asyncio.sleep(0), TENANT)
    for number in range(3):
        lanes.submit(FIRST, lambda number=number: job(number), TENANT)  # type: ignore[misc]
    assert lanes.is_busy(FIRST)
    await lanes.finished([FIRST])
    assert done == [0, 1, 2]
    assert not lanes.is_busy(FIRST)
    assert await lanes.drain(5)
