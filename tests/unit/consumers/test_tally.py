"""What a loop knows of its items adds up, in whatever order and however often it hears of them."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from consumers.children.tally import Tally
from domain.run.children import MAX_FAILURES, ItemFailure, ItemStatus

STATUSES: tuple[ItemStatus, ...] = ("completed", "failed", "filtered", "cancelled")
COUNT = 40
HEARD = st.lists(st.tuples(st.integers(0, COUNT - 1), st.sampled_from((None, *STATUSES))), max_size=200)
"""Items that begin (None) or end, in any order, also again and in another way."""


def failure(index: int) -> ItemFailure:
    return ItemFailure(index=index, run_id=UUID(int=index), code="x")


@given(HEARD)
def test_the_first_end_counts_and_all_add_up(heard: list[tuple[int, ItemStatus | None]]) -> None:
    tally, begun = Tally(COUNT), set[int]()
    ends: dict[int, ItemStatus] = {}
    for index, status in heard:
        begun.add(index)
        if status is None:
            tally.begin(index)
        else:
            tally.end(index, status, failure(index) if status == "failed" else None)
            ends.setdefault(index, status)
        assert tally.running == len(begun - ends.keys())
    of = {status: sum(end == status for end in ends.values()) for status in STATUSES}
    counts, final = tally.counts, tally.final
    assert (counts.succeeded, counts.failed, counts.filtered, counts.cancelled) == tuple(of[s] for s in STATUSES)
    assert final.cancelled == counts.cancelled + COUNT - len(begun)
    assert final.ended + tally.running == COUNT
    assert [known.index for known in tally.failures] == sorted(i for i in ends if ends[i] == "failed")[:MAX_FAILURES]


@given(HEARD, st.integers(1, 7))
def test_each_item_begins_once_in_order_never_too_many_at_once(
    heard: list[tuple[int, ItemStatus | None]], at_once: int
) -> None:
    """`heard` says how those under way end; where it runs out, they complete."""
    tally, begun = Tally(COUNT), list[int]()
    under_way: list[int] = []
    ways = iter(heard)
    while page := tally.next(at_once - tally.running):
        begun += page
        under_way += page
        for index in page:
            tally.begin(index)
        assert tally.running == len(under_way) <= at_once
        place, status = next(ways, (0, None))
        tally.end(under_way.pop(place % len(under_way)), status or "completed", None)
    assert begun == list(range(COUNT))
    assert tally.counts.ended == COUNT - len(under_way)
