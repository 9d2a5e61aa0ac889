"""Sums of statistics add up in any order; what is taken out is as if it had never been there."""

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.history.sums import Sums, packed, unpacked

names = st.dictionaries(st.sampled_from(["accepted", "paused", "completed"]), st.integers(1, 5))
lengths = st.dictionaries(st.integers(0, 300), st.integers(1, 5), max_size=4)
some = st.lists(st.builds(Sums, names, names, lengths, lengths), max_size=4)


def total(parts: list[Sums]) -> Sums:
    found = Sums()
    for part in parts:
        found.add(part)
    return found


@settings(max_examples=50)
@given(some, some, st.randoms())
def test_order_and_detours_make_no_difference(stay: list[Sums], gone: list[Sums], dice) -> None:  # type: ignore[no-untyped-def]  # random.Random, or Hypothesis's
    mixed = [*stay, *gone]
    dice.shuffle(mixed)
    sums = total(mixed)
    assert packed(sums) == packed(total([*gone, *stay]))
    assert packed(unpacked(packed(sums))) == packed(sums)
    assert packed(total([sums.of_runs(), sums.of_requests()])) == packed(sums)
    sums.take_out(total(gone))
    assert packed(sums) == packed(total(stay))
    sums.take_out(total(stay))
    assert sums.is_empty()
