"""The ticks of schedules: over the changes of clocks, and while nobody was there to fire them."""

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.values.json import JsonObject
from domain.zap.definition import Trigger
from domain.zap.schedule import (
    LATE,
    AnySchedule,
    CronSchedule,
    EverySchedule,
    Missed,
    due,
    local,
    next_tick,
    problems,
    schedule_of,
)

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = timedelta(days=4)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def ticks(schedule: AnySchedule, start: datetime, end: datetime) -> list[datetime]:
    """All ticks in (start, end]."""
    found: list[datetime] = []
    while (tick := next_tick(schedule, found[-1] if found else start)) is not None and tick <= end:
        found.append(tick)
    return found


@pytest.mark.parametrize(
    ("cron", "zone", "day", "utc"),
    [
        ("30 2 * * *", "Europe/Berlin", "2026-03-29", ["01:00"]),
        ("30 2 * * *", "Europe/Berlin", "2026-03-30", ["00:30"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25", ["00:30"]),
        ("30 2 * * *", "America/New_York", "2026-03-08", ["07:00"]),
        ("30 1 * * *", "America/New_York", "2026-11-01", ["05:30"]),
        ("15 2,3 * * *", "America/New_York", "2026-03-08", ["07:00", "07:15"]),
        ("0 9 * * MON-FRI", "Europe/Berlin", "2026-03-30", ["07:00"]),
        ("0 9 * * MON-FRI", "Europe/Berlin", "2026-03-27", ["08:00"]),
        ("0 9 * * MON-FRI", "Europe/Berlin", "2026-03-28", []),
    ],
)
def test_a_time_of_day_fires_once_over_a_change_of_clocks(cron: str, zone: str, day: str, utc: list[str]) -> None:
    schedule = CronSchedule(cron=cron, time_zone=zone)
    start = at(f"{day}T00:00:00").replace(tzinfo=ZoneInfo(zone)) - timedelta(seconds=1)
    found = ticks(schedule, start.astimezone(UTC), start.astimezone(UTC) + timedelta(hours=23))
    assert [tick.strftime("%H:%M") for tick in found] == utc


CHANGES = {
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Australia/Lord_Howe": ("2026-04-05", "2026-10-04"),
}


@pytest.mark.parametrize("zone", CHANGES)
@pytest.mark.parametrize("cron", ["17 4 * * *", "45 1 * * *", "15 2 * * *", "*/30 * * * *", "0 * * * *"])
def test_over_both_changes_ticks_are_what_the_clocks_of_the_zone_showed(cron: str, zone: str) -> None:
    """Compared with a walk through all minutes by the zone's own clock."""
    schedule = CronSchedule(cron=cron, time_zone=zone)
    for day in CHANGES[zone]:
        start = at(f"{day}T00:00:00Z") - timedelta(days=2)
        assert ticks(schedule, start, start + DAYS) == _walked(cron, ZoneInfo(zone), start)


def _walked(cron: str, zone: ZoneInfo, start: datetime) -> list[datetime]:
    minute, hour = cron.split()[:2]
    found: list[datetime] = []
    shown: datetime | None = None
    skipped = False
    for number in range(DAYS // timedelta(minutes=1) + 1):
        moment = start + timedelta(minutes=number)
        before, shown = shown, moment.astimezone(zone).replace(tzinfo=None)
        if hour == "*":
            hit = shown.minute % 30 == 0 if minute == "*/30" else shown.minute == int(minute)
        else:
            wanted = shown.replace(hour=int(hour), minute=int(minute))
            skipped = before is not None and before < wanted < shown and shown - before > timedelta(minutes=1)
            hit = (shown == wanted and moment.astimezone(zone).fold == 0) or skipped
        if hit and number:
            found.append(moment)
    return found


@pytest.mark.parametrize("zone", CHANGES)
@pytest.mark.parametrize("missed", ["latest", "all", "skip"])
def test_over_a_year_with_outages_each_tick_is_fired_or_missed_and_none_is_both(missed: Missed, zone: str) -> None:
    """Whatever the clocks do, and however long nothing runs: what is told adds up to all ticks there were."""
    schedule = CronSchedule(cron="*/30 1,2,3 * * *", time_zone=zone, missed=missed, missed_within_s=86_400)
    chance = random.Random(11)
    fired: list[datetime] = []
    lost: list[datetime] = []
    more, position, now = 0, NEW_YEAR, NEW_YEAR
    while now < NEW_YEAR + timedelta(days=365):
        upcoming = next_tick(schedule, now)
        assert upcoming is not None
        outage = timedelta(days=chance.uniform(0, 30)) if chance.random() < 0.02 else timedelta()
        now = upcoming + outage + timedelta(seconds=chance.uniform(0, 5))
        found = due(schedule, position, now)
        fired += found.ticks
        lost += found.missed
        more, position = more + found.more, now
    wanted = ticks(schedule, NEW_YEAR, now)
    assert len(set(fired)) + len(set(lost)) == len(fired) + len(lost) == len(set(fired) | set(lost))
    assert set(fired) | set(lost) <= set(wanted)
    assert len(fired) + len(lost) + more == len(wanted)


@pytest.mark.parametrize("missed", ["latest", "all", "skip"])
def test_a_year_with_outages_fires_each_tick_once_or_counts_it_as_missed(missed: Missed) -> None:
    schedule = CronSchedule(cron="7 */3 * * *", time_zone="Europe/Berlin", missed=missed, missed_within_s=7_200)
    wanted = ticks(schedule, NEW_YEAR, NEW_YEAR + timedelta(days=370))
    fired: list[datetime] = []
    lost, position, now = 0, NEW_YEAR, NEW_YEAR
    chance = random.Random(7)
    while now < NEW_YEAR + timedelta(days=365):
        upcoming = next_tick(schedule, now)
        assert upcoming is not None
        outage = timedelta(hours=chance.uniform(1, 40)) if chance.random() < 0.02 else timedelta()
        now = upcoming + outage + timedelta(seconds=chance.uniform(0, 5))
        found = due(schedule, position, now)
        assert all(tick <= now for tick in found.ticks)
        late = [tick for tick in found.ticks if now - tick > LATE]
        if missed == "skip":
            assert not late
        if missed == "latest":
            assert all(now - tick <= timedelta(seconds=7_200) for tick in late)
        fired += found.ticks
        lost, position = lost + len(found.missed) + found.more, now
    assert all(one < other for one, other in pairwise(fired))
    assert set(fired) <= set(wanted)
    assert len(fired) + lost == len([tick for tick in wanted if tick <= now])
    assert missed != "all" or not lost


@given(st.integers(10, 100_000), st.integers(0, 10**9), st.integers(0, 10**6))
def test_every_so_often_counts_from_its_anchor(every_s: int, offset_s: int, passed_s: int) -> None:
    anchor = datetime(1990, 1, 1, tzinfo=UTC) + timedelta(seconds=offset_s)
    schedule = EverySchedule(every_s=every_s, anchor=anchor)
    after = NEW_YEAR + timedelta(seconds=passed_s)
    tick = next_tick(schedule, after)
    assert tick is not None
    assert timedelta(0) < tick - after <= timedelta(seconds=every_s)
    assert (tick - anchor).total_seconds() % every_s == 0


def test_from_and_to_bound_a_schedule() -> None:
    schedule = EverySchedule(every_s=60, from_=NEW_YEAR, to=NEW_YEAR + timedelta(minutes=2))
    minutes = [NEW_YEAR + timedelta(minutes=minute) for minute in range(3)]
    assert ticks(schedule, NEW_YEAR - timedelta(days=1), NEW_YEAR + timedelta(days=1)) == minutes
    assert due(schedule, NEW_YEAR - timedelta(days=1), NEW_YEAR + timedelta(days=1)).next is None
    assert not due(schedule, NEW_YEAR - timedelta(days=2), NEW_YEAR - timedelta(days=1)).ticks


def test_the_tick_is_told_as_the_clocks_of_its_zone_show_it() -> None:
    assert local(CronSchedule(cron="0 9 * * *", time_zone="Europe/Berlin"), at("2026-07-01T07:00:00Z")) == (
        "2026-07-01T09:00:00+02:00"
    )


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"cron": "61 * * * *", "time_zone": "UTC"}, "cron"),
        ({"cron": "0 0 30 2 *", "time_zone": "UTC"}, "cron"),
        ({"cron": "* * * * * *", "time_zone": "UTC"}, "cron"),
        ({"cron": "0 9 * * *", "time_zone": "Berlin"}, "time_zone"),
        ({"cron": "0 9 * * *", "time_zone": "UTC", "to": "2027-01-01T00:00:00"}, "to"),
    ],
)
def test_a_mistake_is_told_by_its_path(config: dict[str, object], path: str) -> None:
    assert list(problems("schedule.cron", config)) == [path]  # type: ignore[arg-type]


@pytest.mark.parametrize("cron", ["0 0 31 2 *", "0 0 31 4,6 *", "0 0 30 FEB *"])
def test_a_date_that_no_year_has_is_called_that(cron: str) -> None:
    assert problems("schedule.cron", {"cron": cron, "time_zone": "UTC"}) == {"cron": "there is no such date"}


def test_a_schedule_that_is_over_before_it_begins_is_told() -> None:
    bounds: JsonObject = {"from": "2027-01-01T00:00:00Z", "to": "2026-12-31T23:59:59Z"}
    assert list(problems("schedule.every", {"every_s": 60, **bounds})) == ["to"]


def test_what_is_no_schedule_or_not_understood_is_none() -> None:
    assert schedule_of(Trigger("webhook.catch")) is None
    assert schedule_of(Trigger("schedule.every", {"every_s": 1})) is None
    assert schedule_of(Trigger("schedule.every", {"every_s": 60, "newer": True})) is None


def test_of_a_crowd_of_missed_ticks_the_first_hundred_are_made_up() -> None:
    found = due(EverySchedule(every_s=10, missed="all"), NEW_YEAR, NEW_YEAR + timedelta(minutes=30))
    assert list(found.ticks) == [NEW_YEAR + timedelta(seconds=10 * number) for number in range(1, 101)]
    assert (len(found.missed), found.more) == (80, 0)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("schedule.every", {"every_s": 60, "from": "0001-01-01T00:00:00Z"}),
        ("schedule.every", {"every_s": 60, "from": "9999-12-31T23:59:59-14:00"}),
        ("schedule.cron", {"cron": "* * * * *", "time_zone": "Pacific/Kiritimati", "from": "9999-12-31T23:59:59Z"}),
    ],
)
def test_moments_at_the_ends_of_the_calendar_are_told_and_never_reckoned_with(kind: str, config: JsonObject) -> None:
    assert problems(kind, config) == {"from": "a date from 1970 to 2999"}
    assert schedule_of(Trigger(kind, config)) is None
    anchored: JsonObject = {"every_s": 60, "anchor": "0001-01-01T00:00:00+14:00", "to": "9999-12-31T23:59:59Z"}
    assert set(problems("schedule.every", anchored)) == {"anchor", "to"}
