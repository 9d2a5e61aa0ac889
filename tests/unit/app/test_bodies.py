"""Room for bodies: counted, given in turn, and always given back."""

import asyncio
from typing import Any

import pytest

from app.intake.reading import bodies as module
from app.intake.reading.bodies import SMALL, Bodies, Whose
from app.intake.refusals import NoRoom, TooSlow

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
    await bodies.take(LARGE, Whose())
    for chunks in ((b"x" * SMALL,), (b"x",) * 10, (b"",)):
        with bodies.share() as share:
            assert await share.read(receiving(*chunks), None) == b"".join(chunks)


async def test_who_finds_no_room_is_asked_to_come_again() -> None:
    bodies = Bodies(LARGE, room=LARGE, patience_s=0.01)
    await bodies.take(LARGE, Whose())
    with bodies.share() as share, pytest.raises(NoRoom) as refused:
        await share.read(receiving(b"x" * LARGE), str(LARGE))
    assert refused.value.retry_after_s == 1
    bodies.give(LARGE, Whose())
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


async def silence() -> Any:
    """A receive to which nothing comes."""
    await asyncio.get_running_loop().create_future()


def first_then_silence(chunk: bytes) -> Any:
    """A receive that gives one piece, and promises more."""
    given = False

    async def receive() -> Any:
        nonlocal given
        if given:
            await silence()
        given = True
        return {"type": "http.request", "body": chunk, "more_body": True}

    return receive


@pytest.mark.parametrize("receive", [silence, first_then_silence(b""), first_then_silence(b"x" * 2 * SMALL)])
@pytest.mark.parametrize("announced", [None, "100", str(LARGE)])
async def test_a_body_that_does_not_come_is_given_up(
    receive: Any, announced: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIME_S", 0.05)
    bodies = Bodies(LARGE, room=2 * LARGE)
    with pytest.raises(TooSlow), bodies.share() as share:
        await asyncio.wait_for(share.read(receive, announced), 60)
    assert bodies.free == 2 * LARGE


async def test_a_body_that_comes_late_is_whole() -> None:
    queue: asyncio.Queue[Any] = asyncio.Queue()
    with Bodies(LARGE).share() as share:
        reading = asyncio.create_task(share.read(queue.get, None))
        for number in range(5):
            await asyncio.sleep(0)
            queue.put_nowait({"type": "http.request", "body": b"%d" % number, "more_body": number < 4})
        assert await reading == b"01234"


async def test_a_reader_that_is_cancelled_while_it_waits_gives_its_room_back() -> None:
    bodies = Bodies(LARGE, room=2 * LARGE)
    reading = asyncio.create_task(_read(bodies, first_then_silence(b"x" * 2 * SMALL)))
    waiting = asyncio.create_task(_read(bodies, silence))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert bodies.free == LARGE
    for task in (reading, waiting):
        task.cancel()
    await asyncio.gather(reading, waiting, return_exceptions=True)
    assert bodies.free == 2 * LARGE


async def _read(bodies: Bodies, receive: Any) -> bytes:
    with bodies.share() as share:
        return await share.read(receive, None)


async def test_who_announces_much_and_sends_little_holds_nothing() -> None:
    bodies = Bodies(LARGE, room=2 * LARGE)
    readers = [asyncio.create_task(_read(bodies, first_then_silence(b"x" * SMALL))) for _ in range(100)]
    await asyncio.sleep(0)
    assert bodies.free == 2 * LARGE
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)


async def test_no_hook_and_no_tenant_has_all_the_room() -> None:
    bodies = Bodies(LARGE, room=8 * LARGE, patience_s=0.01)
    for hook in (1, 1, 1, 1, 2, 2):
        await bodies.take(LARGE, Whose(hook, "one tenant"))
    for hook in (1, 2, 3):
        with pytest.raises(NoRoom):
            await bodies.take(LARGE, Whose(hook, "one tenant"))
    for _ in range(2):
        await bodies.take(LARGE, Whose(4, "another"))
    assert bodies.free == 0


async def test_who_waits_for_a_share_does_not_hold_up_others() -> None:
    bodies = Bodies(LARGE, room=4 * LARGE, patience_s=5)
    for _ in range(2):
        await bodies.take(LARGE, Whose(1, 1))
    waiting = asyncio.create_task(bodies.take(LARGE, Whose(1, 1)))
    await asyncio.sleep(0)
    await bodies.take(LARGE, Whose(2, 2))
    assert not waiting.done()
    bodies.give(LARGE, Whose(1, 1))
    await waiting


async def test_room_is_given_back_once() -> None:
    bodies = Bodies(LARGE, room=LARGE)
    with bodies.share() as share:
        await share.read(receiving(b"x" * LARGE), str(LARGE))
        share.give_back()
        assert bodies.free == LARGE
    assert bodies.free == LARGE
