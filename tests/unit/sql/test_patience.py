"""Waiting: until something happens or a time is over, and longer after each failure in a row."""

import asyncio
import weakref

from sql.process.patience import BackOff, Patience, rest
from tests.support.eventually import eventually


async def test_a_rest_ends_with_its_time_or_with_the_event() -> None:
    event = asyncio.Event()
    assert not await rest(event, 0.01)
    asyncio.get_running_loop().call_soon(event.set)
    assert await rest(event, 60)


def test_pauses_double_up_to_the_longest_and_begin_again_once_healed() -> None:
    back_off = BackOff(0.2, 1.0)
    assert [back_off.pause_s() for _ in range(5)] == [0.2, 0.4, 0.8, 1.0, 1.0]
    assert back_off.failures == 5
    back_off.heal()
    assert back_off.pause_s() == 0.2


def test_no_number_of_failures_is_too_large() -> None:
    back_off = BackOff(0.1, 2.0)
    assert {back_off.pause_s() for _ in range(2_000)} == {0.1, 0.2, 0.4, 0.8, 1.6, 2.0}


async def test_what_is_not_over_in_time_is_given_up_in_turn() -> None:
    loop = asyncio.get_running_loop()
    given_up: list[asyncio.Future[None]] = []
    patience = Patience[asyncio.Future[None]](0.02, lambda future: future.done(), given_up.append)
    futures = [loop.create_future() for _ in range(100)]
    began = loop.time()
    for future in futures:
        patience.watch(future)
    for future in futures[::2]:
        future.set_result(None)
    await eventually(lambda: len(given_up) >= 50)
    assert loop.time() - began >= 0.02
    assert given_up == futures[1::2]


async def test_what_is_over_is_forgotten_before_its_time() -> None:
    patience = Patience[asyncio.Future[None]](60, lambda future: future.done(), lambda _future: None)
    future = asyncio.get_running_loop().create_future()
    known = weakref.ref(future)
    patience.watch(future)
    future.set_result(None)
    del future
    patience.watch(asyncio.get_running_loop().create_future())
    assert known() is None
    patience.close()
