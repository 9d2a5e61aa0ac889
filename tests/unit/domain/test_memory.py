"""What can be done to a remembered value, and a memory for tests of drafts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.memory.changes import Add, Change, Push, Put, Remove, Stored, Unremembered, encoded, made, output_of
from domain.memory.memory import Place, Scratch
from tests.support.clock import FixedClock

NOW = datetime(2026, 11, 26, tzinfo=UTC)
HERE = Place("zap", "k")


def test_a_value_is_put_over_any_or_over_one_version_only() -> None:
    there = Stored(1, 7)
    assert made(Put(2, ttl_s=60), there, 8, NOW).after == Stored(2, 8, NOW + timedelta(seconds=60))
    assert made(Put(2, if_version=7), there, 8, NOW).output == {"stored": True, "version": 8}
    refused = made(Put(2, if_version=6), there, 8, NOW)
    assert (refused.after, refused.output, refused.changed) == (
        there,
        {"stored": False, "value": 1, "version": 7},
        False,
    )
    assert made(Put(2, if_version=0), there, 8, NOW).output["stored"] is False
    assert made(Put(2, if_version=0), None, 8, NOW).output["stored"] is True


def test_numbers_and_lists_grow_and_keep_the_time_that_they_have() -> None:
    later = NOW + timedelta(seconds=5)
    assert made(Add(2), None, 1, NOW).output == {"value": 2, "version": 1}
    assert made(Add(-0.5, ttl_s=60), Stored(2, 1, later), 2, NOW).after == Stored(1.5, 2, later)
    assert made(Push("c", 2), Stored(["a", "b"], 1), 2, NOW).after == Stored(["b", "c"], 2)
    assert made(Push("a", 2, ttl_s=5), None, 1, NOW).after == Stored(["a"], 1, later)


@pytest.mark.parametrize(
    ("change", "value", "code"),
    [
        (Add(1), "1", "not_a_number"),
        (Add(1), True, "not_a_number"),
        pytest.param(Add(1), 2**1000, "too_large", id="digits"),
        (Add(1e308), 1e308, "too_large"),
        (Push(1, 5), {}, "not_a_list"),
    ],
)
def test_what_cannot_be_changed_says_why(change: Change, value: Any, code: str) -> None:
    with pytest.raises(Unremembered) as raised:
        made(change, Stored(value, 1), 2, NOW)
    assert raised.value.code == code


def test_values_that_are_too_large_are_refused() -> None:
    assert encoded(2**70) == b"1180591620717411303424"
    with pytest.raises(Unremembered):
        encoded("x" * 300_000)


async def test_a_value_is_forgotten_when_its_time_is_over() -> None:
    clock = FixedClock()
    memory = Scratch(clock)
    await memory.change(HERE, Put("v", ttl_s=60), "run.a")
    assert output_of(await memory.get(HERE), "d")["value"] == "v"
    clock.advance(60)
    assert output_of(await memory.get(HERE), "d") == {"found": False, "value": "d", "version": 0, "expires_at": None}
    assert (await memory.change(HERE, Add(1), "run.b"))["value"] == 1


async def test_a_step_changes_once_and_what_was_refused_may_be_tried_again() -> None:
    memory = Scratch(FixedClock())
    assert await memory.change(HERE, Add(1), "run.a") == await memory.change(HERE, Add(1), "run.a")
    assert (await memory.change(HERE, Put(9, if_version=0), "run.b"))["stored"] is False
    await memory.change(HERE, Remove(), "run.c")
    assert (await memory.change(HERE, Put(9, if_version=0), "run.b"))["stored"] is True


async def test_keys_are_new_once_within_the_window() -> None:
    clock = FixedClock()
    memory = Scratch(clock)
    minute = timedelta(seconds=60)
    assert await memory.first(HERE, [b"a", b"b"], minute, "run.a") == {b"a", b"b"}
    assert await memory.first(HERE, [b"a", b"b"], minute, "run.a") == {b"a", b"b"}
    assert await memory.first(HERE, [b"b", b"c"], minute, "run.b") == {b"c"}
    clock.advance(60)
    assert await memory.first(HERE, [b"a"], minute, "run.c") == {b"a"}


@given(st.lists(st.integers(-1000, 1000)))
def test_increments_add_up(numbers: list[int]) -> None:
    stored = None
    for version, number in enumerate(numbers, 1):
        stored = made(Add(number), stored, version, NOW).after
    assert (stored.value if stored else 0) == sum(numbers)
