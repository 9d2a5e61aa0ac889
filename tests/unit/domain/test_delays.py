"""When a delay ends: moments, times of day, zones, and the changes of clocks in 2026."""

from datetime import UTC, datetime

import pytest

from domain.connector.outcome import Failed
from domain.flow.delays import end_of_delay
from domain.flow.steps import DelayStep
from domain.language.zones import zone_of

NOW = datetime(2026, 3, 28, 20, 0, tzinfo=UTC)


def end(text: str, zone: str = "Europe/Berlin", now: datetime = NOW) -> datetime | Failed:
    return end_of_delay(DelayStep("nap", until="{{ x }}", time_zone=zone), text, now)


@pytest.mark.parametrize(
    ("text", "zone", "ends"),
    [
        ("2026-04-01T12:00:00+02:00", "America/New_York", "2026-04-01T10:00:00Z"),
        ("2026-04-01T12:00:00", "America/New_York", "2026-04-01T16:00:00Z"),
        ("2026-04-01", "UTC", "2026-04-01T00:00:00Z"),
        ("2026-04-01t12:00:00z", "Europe/Berlin", "2026-04-01T12:00:00Z"),
        ("2026-04-01T01:59:60+02:00", "Europe/Berlin", "2026-04-01T00:00:00Z"),
        ("09:00", "Europe/Berlin", "2026-03-29T07:00:00Z"),
        ("23:30:15", "Europe/Berlin", "2026-03-28T22:30:15Z"),
        ("2026-03-29T02:30:00", "Europe/Berlin", "2026-03-29T01:30:00Z"),
        ("02:30", "Europe/Berlin", "2026-03-29T01:30:00Z"),
        ("2026-10-25T02:30:00", "Europe/Berlin", "2026-10-25T00:30:00Z"),
        ("2026-11-01T01:30:00", "America/New_York", "2026-11-01T05:30:00Z"),
        ("2026-04-05T01:45:00", "Australia/Lord_Howe", "2026-04-04T14:45:00Z"),
        ("2026-10-04T02:15:00", "Australia/Lord_Howe", "2026-10-03T15:45:00Z"),
    ],
)
def test_a_delay_ends_at_the_moment_that_is_meant(text: str, zone: str, ends: str) -> None:
    assert end(text, zone) == datetime.fromisoformat(ends)


@pytest.mark.parametrize(
    "text", ["noon", "25:00", "9", "", "2026-13-01", "2126-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "x" * 100_000]
)
def test_what_is_no_moment_fails_the_step_with_the_text(text: str) -> None:
    found = end(text)
    assert isinstance(found, Failed)
    assert found.code == "template"
    assert len(found.message) < 300


def test_a_moment_that_has_passed_goes_on_or_fails_as_the_step_says() -> None:
    past = "2026-03-28T19:59:59Z"
    assert end(past) == datetime.fromisoformat(past)
    failed = end_of_delay(DelayStep("nap", until="{{ x }}", if_past="fail"), past, NOW)
    assert isinstance(failed, Failed)
    assert failed.code == "delay_is_past"


@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_a_zone_is_found_by_its_name(name: str) -> None:
    assert zone_of(name) is not None


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "../../etc/passwd", "Europe", "/etc/localtime", "a" * 10_000, "Europe/"]
)
def test_what_is_no_name_is_no_zone(name: str) -> None:
    assert zone_of(name) is None
