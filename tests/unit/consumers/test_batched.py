"""Many questions asked as one."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from consumers.runner.shares.batched import Batched


class Asked:
    """Squares of what is asked for, but for negative numbers; each question waits until `go_on`."""

    def __init__(self) -> None:
        self.questions: list[Sequence[int]] = []
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def squares(self, numbers: Sequence[int]) -> Mapping[int, int]:
        self.questions.append(numbers)
        self.begun.set()
        await self.go_on.wait()
        if 13 in numbers:
            raise RuntimeError("unlucky")
        return {number: number * number for number in numbers if number >= 0}


async def test_who_comes_while_a_question_is_under_way_joins_the_next() -> None:
    asked = Asked()
    batched = Batched(asked.squares, 3)
    tasks = [asyncio.create_task(batched.of(1))]
    await asked.begun.wait()
    tasks += [asyncio.create_task(batched.of(number)) for number in (2, 3, -4, 5)]
    await asyncio.sleep(0)
    asked.go_on.set()
    assert await asyncio.gather(*tasks) == [1, 4, 9, None, 25]
    assert asked.questions == [[1], [2, 3, -4], [5]]


async def test_an_error_is_told_to_those_who_asked_and_to_no_other() -> None:
    asked = Asked()
    batched = Batched(asked.squares, 2)
    tasks = [asyncio.create_task(batched.of(number)) for number in (1, 13, 3)]
    asked.go_on.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [RuntimeError, RuntimeError, int]
    assert await batched.of(4) == 16


async def test_who_does_not_wait_any_more_is_not_asked_about() -> None:
    asked = Asked()
    batched = Batched(asked.squares, 2)
    first, second, third = [asyncio.create_task(batched.of(number)) for number in (1, 2, 3)]
    await asked.begun.wait()
    third.cancel()
    with pytest.raises(asyncio.CancelledError):
        await third
    asked.go_on.set()
    assert [await first, await second] == [1, 4]
    assert await batched.of(4) == 16
    assert asked.questions == [[1, 2], [4]]
