"""Ids: UUIDv7, in order of the millisecond they were made in."""

import time
from datetime import timedelta

from sql.clock import new_id, now


def test_ids_are_uuid_7_and_unique() -> None:
    ids = [new_id() for _ in range(2_000)]
    assert {(made.version, made.variant) for made in ids} == {(7, "specified in RFC 4122")}
    assert len(set(ids)) == len(ids)


def test_ids_begin_with_the_moment_they_were_made() -> None:
    before = time.time_ns() // 1_000_000
    millis = [new_id().int >> 80 for _ in range(100)]
    after = time.time_ns() // 1_000_000
    assert millis == sorted(millis)
    assert before <= millis[0] <= millis[-1] <= after


def test_now_is_utc() -> None:
    assert now().utcoffset() == timedelta(0)
