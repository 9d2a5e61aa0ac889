"""Retry delays: the policies, their spread, how far a target may stretch them, and which failures they are for."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.flow.retry import (
    DAY_S,
    DEFAULT,
    JITTER,
    MAX_ATTEMPTS,
    RETRY_AFTER_FACTOR,
    RETRY_AFTER_MAX_S,
    ExponentialRetry,
    FixedRetry,
    Policy,
    classes_of,
    is_retried,
    retry_delay_s,
    schedule_s,
    scheduled_s,
)

delays = st.floats(0.1, 100_000)
exponentials = st.builds(
    ExponentialRetry,
    max_total_s=st.floats(1, 10 * DAY_S),
    first_s=delays,
    factor=st.floats(1, 10),
    max_delay_s=delays,
    max_attempts=st.integers(1, MAX_ATTEMPTS),
)
fixed = st.builds(FixedRetry, max_total_s=st.floats(1, 10 * DAY_S), delays_s=st.lists(delays, max_size=20).map(tuple))
policies: st.SearchStrategy[Policy] = exponentials | fixed
numbers = st.integers(-3, MAX_ATTEMPTS + 3)


@given(policies, numbers, st.floats(allow_nan=False), st.floats(0, 20 * DAY_S))
def test_a_delay_is_within_a_fifth_of_the_schedule_and_the_total_is_kept(
    policy: Policy, attempt: int, jitter: float, elapsed_s: float
) -> None:
    scheduled = scheduled_s(policy, attempt)
    delay = retry_delay_s(policy, attempt, jitter, elapsed_s=elapsed_s)
    if scheduled is None:
        assert delay is None
    elif delay is None:
        assert elapsed_s + scheduled * (1 + JITTER) * 1.000001 > policy.max_total_s
    else:
        assert scheduled * (1 - JITTER) * 0.999999 <= delay <= scheduled * (1 + JITTER) * 1.000001
        assert elapsed_s + delay <= policy.max_total_s


@given(policies, numbers, st.floats(0, 1), st.floats())
def test_a_wish_only_lengthens_a_delay_and_only_to_a_limit(
    policy: Policy, attempt: int, jitter: float, retry_after_s: float
) -> None:
    unbounded = msgspec.structs.replace(policy, max_total_s=1e12)
    plain = retry_delay_s(unbounded, attempt, jitter)
    wished = retry_delay_s(unbounded, attempt, jitter, retry_after_s=retry_after_s)
    assert (plain is None) == (wished is None)
    if plain is not None and wished is not None:
        scheduled = scheduled_s(unbounded, attempt)
        assert scheduled is not None
        assert plain <= wished <= max(plain, scheduled * RETRY_AFTER_FACTOR, RETRY_AFTER_MAX_S)


@given(policies, numbers, st.floats(0, 1))
def test_jitter_spreads_the_whole_range(policy: Policy, attempt: int, jitter: float) -> None:
    unbounded = msgspec.structs.replace(policy, max_total_s=1e12)
    low, middle, high = (retry_delay_s(unbounded, attempt, value) for value in (0.0, jitter, 1.0))
    if low is None or middle is None or high is None:
        assert low is middle is high is None
        return
    assert low <= middle <= high
    assert high - low == pytest.approx((scheduled_s(policy, attempt) or 0) * 2 * JITTER)


@given(exponentials)
def test_exponential_delays_grow_to_their_bound_and_end(policy: ExponentialRetry) -> None:
    schedule = schedule_s(policy)
    assert schedule == sorted(schedule)
    assert sum(schedule) <= policy.max_total_s
    assert len(schedule) < policy.max_attempts
    assert all(delay <= policy.max_delay_s for delay in schedule)


def test_the_default_begins_with_seconds_and_spans_most_of_a_day() -> None:
    schedule = schedule_s(DEFAULT)
    assert schedule[:4] == [5, 15, 45, 135]
    assert 0.8 * DAY_S < sum(schedule) <= DAY_S


def test_a_fixed_list_is_taken_as_it_is() -> None:
    assert schedule_s(FixedRetry(delays_s=(60.0, 5.0, 3600.0))) == [60, 5, 3600]
    assert schedule_s(FixedRetry()) == []


@pytest.mark.parametrize(
    ("retry_after_s", "delay"),
    [(None, 5), (7, 7), (1, 5), (-5, 5), (60, 60), (3600, 3600), (1e9, 3600), (float("inf"), 3600), (float("nan"), 5)],
)
def test_a_wish_in_figures(retry_after_s: float | None, delay: float) -> None:
    assert retry_delay_s(DEFAULT, 1, 0.5, retry_after_s=retry_after_s) == pytest.approx(delay)


@pytest.mark.parametrize(
    ("code", "classes"),
    [
        ("connect", {"connection"}),
        ("dns", {"connection"}),
        ("tls", {"connection"}),
        ("broken", {"connection"}),
        ("timeout", {"timeout"}),
        ("crashed", {"crash"}),
        ("unknown_outcome", {"unknown_outcome"}),
        ("http_503", {"503", "5xx"}),
        ("http_404", {"404", "4xx"}),
        ("http_301", {"301", "3xx"}),
        ("http_410", {"410"}),
        ("template", set()),
        ("address_refused", set()),
        ("http_200", set()),
        ("http_5030", set()),
    ],
)
def test_the_classes_of_failures(code: str, classes: set[str]) -> None:
    assert classes_of(code) == classes


@pytest.mark.parametrize(
    ("on", "code", "may_heal", "retried"),
    [
        (None, "http_500", True, True),
        (None, "http_404", False, False),
        (("404",), "http_404", False, True),
        (("4xx",), "http_404", False, True),
        (("4xx",), "http_410", False, False),
        (("410",), "http_410", False, True),
        (("5xx",), "connect", True, False),
        ((), "http_500", True, False),
        (("connection", "5xx"), "template", False, False),
    ],
)
def test_which_failures_are_retried_is_the_policys_to_say(
    on: tuple[str, ...] | None, code: str, may_heal: bool, retried: bool
) -> None:
    assert is_retried(FixedRetry(delays_s=(1.0,), on=on), code, may_heal=may_heal) is retried


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "linear"},
        {"kind": "fixed", "delays_s": [0]},
        {"kind": "fixed", "delays_s": [1] * MAX_ATTEMPTS},
        {"kind": "fixed", "first_s": 1},
        {"kind": "exponential", "factor": 0.5},
        {"kind": "exponential", "max_attempts": 0},
        {"kind": "exponential", "max_total_s": 0},
        {"kind": "exponential", "on": ["teapot"]},
        {"kind": "exponential", "on": ["200"]},
        {},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, Policy)
