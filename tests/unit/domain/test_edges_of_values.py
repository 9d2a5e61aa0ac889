"""Moments that UTC has no date for, as programs write them where they know none; and numbers of few characters."""

import time
from datetime import UTC, datetime

import pytest

from consumers.connectors.rss import entries
from domain.connector.cursor import before, greatest
from domain.connector.http_client import HttpReply
from domain.language.moments import moment_of
from domain.zap.settings import SearchKey, ZapSettings
from projections.search.declared import found_keys

NOW = datetime(2027, 1, 1, tzinfo=UTC)
BEYOND = ("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-05:00")


@pytest.mark.parametrize("text", BEYOND)
def test_a_moment_that_has_no_date_in_utc_is_none(text: str) -> None:
    assert moment_of(text) is None
    settings = ZapSettings(search_keys=(SearchKey(name="due", path="trigger.body.at", type="date"),))
    assert list(found_keys(settings, {"trigger": {"body": {"at": text}}})) == []
    feed = f"<feed><entry><id>1</id><published>{text}</published></entry></feed>".encode()
    (item,) = entries(HttpReply(status=200, headers={}, body=feed, size=len(feed)))
    assert item.body["published"] is None  # type: ignore[index, call-overload]  # it is an object


@pytest.mark.parametrize("value", [*BEYOND, "0001-01-01T00:00:00Z", "9" * 400, 10**400, -(10**400), 1e308])
def test_no_item_of_a_source_breaks_its_cursor(value: str | float) -> None:
    cursor = greatest([value, "2026-01-01T00:00:00Z"], NOW)
    assert before(cursor, 300)
    assert before(str(value), 300)


@pytest.mark.parametrize("text", ["1e999999", "-1e999999999", "1e99999999999", "1e-99999999999", "1e49000"])
def test_a_number_that_takes_nine_characters_takes_no_time(text: str) -> None:
    settings = ZapSettings(search_keys=(SearchKey(name="n", path="trigger.body.n", type="number"),))
    before_it = time.process_time()
    list(found_keys(settings, {"trigger": {"body": {"n": text}}}))
    assert time.process_time() - before_it < 1
