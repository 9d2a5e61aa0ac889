"""What is new at a source, what is remembered of it, and when it is asked again."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.connector.cursor import before, greatest
from domain.connector.poll import Item, start_problem
from domain.zap.news import (
    FORGET_DAYS,
    MAX_BYTES,
    NOTHING,
    Known,
    dedupe_key,
    dump,
    fingerprint,
    load,
    news,
    remember,
    wanted,
)
from domain.zap.polls import Course, Turn, failed, next_at, succeeded

NOW = datetime(2027, 1, 1, tzinfo=UTC)
ZAP = UUID(int=7)


def item(key: str, state: str = "", at: datetime | None = None) -> Item:
    return Item(key=key, body={"id": key}, state=state, at=at)


keys = st.lists(st.sampled_from("abcdef"), max_size=6)


@given(st.lists(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz")), max_size=5), max_size=8))
def test_news_are_keys_and_states_that_were_not_the_last_to_be_seen(polls: list[list[tuple[str, str]]]) -> None:
    known: Known = NOTHING
    model: dict[str, str] = {}
    runs: list[bytes] = []
    for poll in polls:
        items = [item(key, state) for key, state in dict(poll).items()]
        fresh = news(known, items)
        assert {one.key for one in fresh} == {one.key for one in items if model.get(one.key) != one.state}
        runs += [dedupe_key(ZAP, b"s", known, one) for one in fresh]
        known = load(dump(remember(known, items, NOW)))
        model |= {one.key: one.state for one in items}
    assert len(runs) == len(set(runs))


@given(keys)
def test_the_same_items_have_the_same_runs_until_they_are_remembered(found: list[str]) -> None:
    items = [item(key, "x") for key in found]
    once = [dedupe_key(ZAP, b"s", NOTHING, one) for one in news(NOTHING, items)]
    assert once == [dedupe_key(ZAP, b"s", NOTHING, one) for one in news(NOTHING, items)]
    assert len(once) == len(set(found))


def test_a_key_is_forgotten_ninety_days_after_the_source_showed_it_last() -> None:
    known = remember(NOTHING, [item("old"), item("kept")], NOW)
    later = NOW + timedelta(days=FORGET_DAYS - 1)
    known = remember(known, [item("kept")], later)
    known = remember(known, [item("new")], NOW + timedelta(days=FORGET_DAYS + 1))
    assert [one.key for one in news(known, [item("old"), item("kept"), item("new")])] == ["old"]


def test_what_is_known_is_bounded_and_those_go_first_that_were_seen_longest_ago() -> None:
    known = remember(NOTHING, [item(f"old {number}") for number in range(20_000)], NOW)
    known = remember(known, [item(f"new {number}") for number in range(20_000)], NOW + timedelta(days=1))
    assert len(dump(known)) <= MAX_BYTES
    assert news(known, [item("new 0"), item("new 19999")]) == []


def test_what_is_seen_again_on_the_same_day_changes_nothing() -> None:
    known = remember(NOTHING, [item("a", "x")], NOW)
    assert remember(known, [item("a", "x")], NOW + timedelta(hours=1)) is known


def test_the_first_poll_starts_what_it_is_told_to() -> None:
    items = [item("none"), item("old", at=NOW - timedelta(days=9)), item("new", at=NOW)]
    assert wanted("now", items) == []
    assert wanted("all", items) == items
    assert [one.key for one in wanted("2026-12-30", items)] == ["new"]


def test_a_source_is_the_same_in_whatever_order_its_fields_come() -> None:
    assert fingerprint("http.poll", {"a": 1, "b": 2}) == fingerprint("http.poll", {"b": 2, "a": 1})
    assert fingerprint("http.poll", {"a": 1}) != fingerprint("rss.feed", {"a": 1})


@pytest.mark.parametrize(
    ("values", "cursor"),
    [
        ([3, 20, 5], "20"),
        (["2026-01-02T00:00:00Z", "2026-01-01T23:00:00-05:00"], "2026-01-01T23:00:00-05:00"),
        (["2026-01-02T00:00:00Z", "2031-01-01T00:00:00Z"], "2027-01-01T00:00:00Z"),
        ([None, "b", "a"], "b"),
        ([None], ""),
    ],
)
def test_the_cursor_is_the_greatest_value_and_never_in_the_future(values: list[object], cursor: str) -> None:
    assert greatest(values, NOW) == cursor  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cursor", "overlap_s", "sent"),
    [("20", 0, "20"), ("120", 60, "60"), ("2026-01-01T00:01:00Z", 90, "2025-12-31T23:59:30Z"), ("abc", 9, "abc")],
)
def test_the_request_names_the_cursor_some_seconds_back(cursor: str, overlap_s: int, sent: str) -> None:
    assert before(cursor, overlap_s) == sent


def test_a_start_is_now_all_or_a_date_that_items_have() -> None:
    assert start_problem("now", dated=False) is None
    assert start_problem("2026-01-01", dated=True) is None
    assert start_problem("2026-01-01", dated=False)
    assert start_problem("tomorrow", dated=True)


def turn(minute: int) -> Turn:
    moment = NOW + timedelta(minutes=minute)
    return Turn(ZAP, "trigger", moment, moment)


@given(st.lists(st.sampled_from(["news", "empty", "failed"]), max_size=200))
def test_every_poll_is_accounted_for_once_and_empty_ones_in_few_events(outcomes: list[str]) -> None:
    course, told = Course(), []
    for minute, outcome in enumerate(outcomes):
        if outcome == "failed":
            course, ticks = failed(course, turn(minute), "http_500")
        else:
            course, ticks = succeeded(course, turn(minute), 1 if outcome == "news" else 0, ())
        told += ticks
    assert sum(tick.count for tick in told) + course.empties == len(outcomes)
    assert sum(tick.status == "failed" for tick in told) == outcomes.count("failed")
    assert sum(tick.status == "fired" for tick in told) == outcomes.count("news")
    assert all(tick.fired_at is not None and tick.due_at <= tick.fired_at for tick in told)
    if set(outcomes) == {"empty"}:
        assert len(told) <= 1 + len(outcomes) / 60


def test_failures_are_tried_again_later_and_later_up_to_an_hour() -> None:
    pauses = [next_at(Course(failures=failures), 60, NOW) - NOW for failures in range(8)]
    assert [pause.total_seconds() for pause in pauses] == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert next_at(Course(failures=1), 7_200, NOW) - NOW == timedelta(hours=2)
    assert next_at(Course(failures=1), 60, NOW, wish_s=10**9) - NOW == timedelta(days=1)
