"""Room for bodies: counted, given in turn, and always given back."""

import asyncio
from typing import Any

import pytest

from app.intake.bodies import SMALL, Bodies
from app.refusals.problems import Problem

LARGE = 10 * SMALL


def receiving(*chunks: bytes) -> Any:
    """A receive that gives these pieces."""
    waiting = list(chunks)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    return receive


async def test_a_large_body_holds_room_until_it_is_answered() -> None:
    bodies = Bodies(LARGE, room=2 * LARGE)
    with bodies.share() as share:
        assert len(await share.read(receiving(b"x" * LARGE), str(LARGE))) == LARGE
        assert bodies.free == LARGE
        assert share.body == b"x" * LARGE
    assert bodies.free == 2 * LARGE


async def test_of_unknown_length_it_holds_as_much_as_it_may_become() -> None:
    bodies = Bodies(LARGE, room=2 * LARGE)
    with bodies.share() as share:
        await share.read(receiving(*[b"x" * SMALL] * 3), None)
        assert bodies.free == LARGE


async def test_small_ones_need_no_room() -> None:
    bodies = Bodies(LARGE, room=LARGE, patience_s=0)
    await bodies.take(LARGE)
    for chunks in ((b"x" * SMALL,), (b"x",) * 10, (b"",)):
        with bodies.share() as share:
            assert await share.read(receiving(*chunks), None) == b"".join(chunks)


async def test_who_finds_no_room_is_asked_to_come_again() -> None:
    bodies = Bodies(LARGE, room=LARGE, patience_s=0.01)
    await bodies.take(LARGE)
    with bodies.share() as share, pytest.raises(Problem) as refused:
        await share.read(receiving(b"x" * LARGE), str(LARGE))
    assert (refused.value.kind.status, refused.value.headers) == (503, {"retry-after": "1"})
    bodies.give(LARGE)
    assert bodies.free == LARGE


async def test_room_is_given_in_turn_and_nobody_s_share_is_lost() -> None:
    bodies = Bodies(LARGE, room=LARGE, patience_s=5)
    order: list[int] = []

    async def one(number: int) -> None:
        with bodies.share() as share:
            await share.read(receiving(b"x" * LARGE), str(LARGE))
            order.append(number)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(one(number)) for number in range(20)]
    await asyncio.sleep(0)
    for task in tasks[5:15:2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == sorted(order)
    assert len(order) == 15
    assert bodies.free == LARGE
