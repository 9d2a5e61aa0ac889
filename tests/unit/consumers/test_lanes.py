"""Lanes that are drained: what is open then, and what that begins."""

import asyncio
from uuid import UUID

from consumers.kafka.lanes import Lanes

FIRST, SECOND = UUID(int=1), UUID(int=2)


async def test_a_job_that_is_begun_while_lanes_are_drained_is_waited_for() -> None:
    """Otherwise it would go on without the connections that are closed behind the drain."""
    lanes, go_on, done = Lanes(10), asyncio.Event(), list[str]()

    async def second() -> None:
        await go_on.wait()
        done.append("second")

    async def first() -> None:
        await asyncio.sleep(0)
        lanes.submit(SECOND, second)
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        done.append("first")

    lanes.submit(FIRST, first)
    assert await lanes.drain(5)
    assert done == ["first", "second"]


async def test_what_does_not_end_in_time_is_cancelled() -> None:
    lanes, ended = Lanes(10), list[str]()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    lanes.submit(FIRST, endless)
    assert not await lanes.drain(0.01)
    assert ended == ["cancelled"]


async def test_a_job_that_gives_itself_up_takes_no_other_along() -> None:
    lanes, done = Lanes(2), list[str]()

    async def gives_up() -> None:
        raise asyncio.CancelledError

    async def other() -> None:
        done.append("other")

    lanes.submit(FIRST, gives_up)
    lanes.submit(FIRST, other)
    assert await lanes.drain(5)
    assert done == ["other"]
    async with asyncio.timeout(5):
        await lanes.room()
