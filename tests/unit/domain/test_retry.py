"""Retry delays: the schedule, its spread, and how far a target may stretch it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.retry import JITTER, MAX_WISH_FACTOR, SCHEDULE_S, retry_delay_s

numbers = st.integers(1, len(SCHEDULE_S))


@given(numbers, st.floats(allow_nan=False))
def test_a_delay_is_within_a_fifth_of_the_schedule(attempt: int, jitter: float) -> None:
    delay = retry_delay_s(attempt, jitter)
    assert delay is not None
    scheduled = SCHEDULE_S[attempt - 1]
    assert scheduled * (1 - JITTER) <= delay <= scheduled * (1 + JITTER) * 1.000001


@given(numbers, st.floats(0, 1), st.floats())
def test_a_wish_only_lengthens_a_delay_and_only_to_a_limit(attempt: int, jitter: float, wish_s: float) -> None:
    plain, wished = retry_delay_s(attempt, jitter), retry_delay_s(attempt, jitter, wish_s)
    assert plain is not None
    assert wished is not None
    assert plain <= wished <= max(plain, SCHEDULE_S[attempt - 1] * MAX_WISH_FACTOR)


@given(numbers, st.floats(0, 1))
def test_jitter_spreads_the_whole_range(attempt: int, jitter: float) -> None:
    low, middle, high = (retry_delay_s(attempt, value) for value in (0.0, jitter, 1.0))
    assert low is not None
    assert middle is not None
    assert high is not None
    assert low <= middle <= high
    assert high - low == pytest.approx(SCHEDULE_S[attempt - 1] * 2 * JITTER)


def test_delays_grow() -> None:
    assert list(SCHEDULE_S) == sorted(SCHEDULE_S)


@pytest.mark.parametrize("attempt", [-1, 0, len(SCHEDULE_S) + 1, 1_000])
def test_there_is_no_attempt_after_the_last(attempt: int) -> None:
    assert retry_delay_s(attempt, 0.5) is None


@pytest.mark.parametrize(("wish_s", "delay"), [(None, 5), (7, 7), (1, 5), (-5, 5), (60, 10), (float("inf"), 10)])
def test_a_wish_in_figures(wish_s: float | None, delay: float) -> None:
    assert retry_delay_s(1, 0.5, wish_s) == pytest.approx(delay)
