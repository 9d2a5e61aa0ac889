"""Ids: UUIDv7 of the moment of their making, in order."""

import time

from sql.process.clock import new_id


def test_ids_that_are_made_one_after_the_other_sort_that_way_and_carry_their_moment() -> None:
    before = time.time_ns() // 1_000_000
    ids = [new_id() for _ in range(10_000)]
    after = time.time_ns() // 1_000_000
    assert ids == sorted(set(ids))
    assert {(made.version, made.variant) for made in ids} == {(7, "specified in RFC 4122")}
    assert before <= ids[0].int >> 80 <= ids[-1].int >> 80 <= after
