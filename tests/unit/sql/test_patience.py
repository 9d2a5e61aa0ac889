"""Waiting: until something happens or a time is over, and longer after each failure in a row."""

import asyncio

from sql.process.patience import BackOff, rest


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
