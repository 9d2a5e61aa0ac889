"""Turns: a queue of which only the end is remembered."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from consumers.outbound.turns import JITTER, MAX_WAIT_S, Turns


def test_those_who_come_at_once_return_one_after_the_other() -> None:
    turns = Turns(lambda: 0.0)
    assert [turns.after_s(100, 105, 2) for _ in range(4)] == [5, 7, 9, 11]


def test_a_queue_that_was_served_is_forgotten() -> None:
    turns = Turns(lambda: 0.0)
    for _ in range(4):
        turns.after_s(0, 5, 2)
    assert turns.after_s(100, 101, 2) == 1


def test_beyond_the_longest_wait_moments_are_random() -> None:
    turns = Turns(Random(1).random)
    waits = [turns.after_s(0, 1, 60) for _ in range(10_000)][1_000:]
    assert min(waits) >= MAX_WAIT_S / 2
    assert max(waits) <= MAX_WAIT_S
    assert len({int(wait) for wait in waits}) > 1_500


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e5), st.floats(1e-6, 1e3))), st.integers())
def test_nobody_returns_too_early_or_never(asked: list[tuple[float, float, float]], seed: int) -> None:
    turns, now = Turns(Random(seed).random), 0.0
    for passed, ahead, every_s in asked:
        now += passed
        wait = turns.after_s(now, now + ahead, every_s)
        assert min(ahead, MAX_WAIT_S / 2) - 1e-6 <= wait <= MAX_WAIT_S * (1 + JITTER)
