"""Durations that are counted by length: percentiles are off by less than five in a hundred, and counts add up."""

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from domain.history.durations import LEAST_MS, length_of, milliseconds_of, percentiles

durations = st.floats(LEAST_MS, 1e10)


@given(durations)
def test_a_duration_is_known_to_five_in_a_hundred(milliseconds: float) -> None:
    assert abs(milliseconds_of(length_of(milliseconds)) - milliseconds) <= 0.05 * milliseconds


@given(st.lists(durations, min_size=1, max_size=100), st.sampled_from([0.5, 0.95, 0.99]))
def test_percentiles_are_those_of_the_sorted_durations(found: list[float], share: float) -> None:
    exact = sorted(found)[math.ceil(share * len(found)) - 1]
    (answer,) = percentiles(Counter(map(length_of, found)), [share])
    assert answer is not None
    assert abs(answer - exact) <= 0.05 * exact


def test_of_nothing_there_is_no_percentile() -> None:
    assert percentiles({}, [0.5, 0.99]) == [None, None]
    assert length_of(0) == length_of(-1) == 0
