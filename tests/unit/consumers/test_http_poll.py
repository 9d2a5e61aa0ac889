"""What may be set of a poll, and which source it is."""

from typing import Any

import pytest

from consumers.connectors import catalog
from domain.zap.news import fingerprint

GOOD: dict[str, Any] = {"request": {"url": "https://example.com/list"}, "items": "body.results"}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"request": {}}, "request"),
        ({"request": "{{ now }}"}, "request"),
        ({"every_s": None}, "every_s"),
        ({"every_s": "{{ now }}"}, "every_s"),
        ({"request": {"url": "example.com"}}, "request.url"),
        ({"request": {"url": "https://example.com", "method": "DELETE"}}, "request.method"),
        ({"request": {"url": "https://example.com/{{ trigger.body.id }}"}}, "request.url"),
        ({"request": {"url": "https://example.com", "query": {"since": "{{ cursr }}"}}}, "request.query.since"),
        ({"request": {"url": "https://example.com", "query": {"since": "{{ cursor"}}}, "request.query.since"),
        ({"every_s": 9}, "every_s"),
        ({"key": "a b"}, "key"),
        ({"changed_by": ["ok", "not ok"]}, "changed_by.1"),
        ({"cursor": {"path": "[0"}}, "cursor.path"),
        ({"cursor": {"path": "at", "overlap_s": -1}}, "cursor.overlap_s"),
        ({"next_page": {"lnk": "body.next"}}, "next_page"),
        ({"next_page": {"link": "body.next", "in": "body"}}, "next_page"),
        ({"next_page": {"token": "body.next", "in": "body"}}, "next_page.in"),
        ({"start_from": "yesterday"}, "start_from"),
        ({"start_from": "2026-01-01"}, "start_from"),
        ({"max_items": 0}, "max_items"),
        ({"order": "random"}, "order"),
        ({"evry_s": 10}, "evry_s"),
    ],
)
def test_a_mistake_is_told_at_its_place(fields: dict[str, Any], path: str) -> None:
    assert path in catalog().triggers["http.poll"].problems({**GOOD, **fields})


def test_what_is_right_has_no_mistakes() -> None:
    trigger = catalog().triggers["http.poll"]
    whole = {
        **GOOD,
        "request": {"url": "https://example.com/list", "query": {"since": "{{ cursor | default: '' }}"}},
        "changed_by": ["updated_at"],
        "cursor": {"path": "updated_at", "overlap_s": 60},
        "next_page": {"link": "body.next"},
        "start_from": "2026-01-01",
    }
    assert trigger.problems(GOOD) == trigger.problems(whole) == {}


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ({"every_s": 60}, True),
        ({"max_items": 5}, True),
        ({"start_from": "all"}, True),
        ({"request": {"url": "https://example.com/list", "headers": {"Authorization": "new"}}}, True),
        ({"request": {"url": "https://example.com/other"}}, False),
        ({"items": "body.other"}, False),
        ({"changed_by": ["state"]}, False),
    ],
)
def test_a_source_is_the_same_whatever_is_set_of_when_and_how_much(fields: dict[str, Any], *, same: bool) -> None:
    poll = catalog().triggers["http.poll"].poll
    assert poll is not None
    one, other = (fingerprint("http.poll", poll.source(config)) for config in (GOOD, {**GOOD, **fields}))
    assert (one == other) == same


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({}, "url"),
        ({"url": "feed"}, "url"),
        ({"url": "https://example.com", "max_items": None}, "max_items"),
        ({"url": "https://example.com/{{ now }}"}, "url"),
        ({"url": "https://example.com", "start_from": "soon"}, "start_from"),
    ],
)
def test_a_mistake_in_a_feed_is_told_at_its_place(config: dict[str, Any], path: str) -> None:
    assert list(catalog().triggers["rss.feed"].problems(config)) == [path]


@pytest.mark.parametrize("every_s", [None, "{{ now }}", "60"])
def test_a_schedule_takes_no_template_for_a_number(every_s: object) -> None:
    assert list(catalog().triggers["schedule.every"].problems({"every_s": every_s})) == ["every_s"]  # type: ignore[dict-item]
