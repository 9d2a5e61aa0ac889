"""When a zap starts by itself: the ticks of its schedule, and what becomes of those that nobody was there for.

Cron expressions have five fields and follow Debian's cron where clocks change. A time that is skipped in spring fires
right after the gap, one that is repeated in autumn fires once; hours that are written with `*` follow the clock alone.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Annotated, Literal, TypeAlias, assert_never

import msgspec
from cronsim import CronSim, CronSimError

from domain.language.zones import zone_of
from domain.values.json import JsonObject
from domain.zap.definition import NamedTrigger, Trigger

LATE = timedelta(seconds=60)
"""A tick that fires later than this was missed, and the schedule's `missed` says what becomes of it."""
MAX_MISSED = 100
"""Ticks that are made up at a time, and missed ones that are told one by one."""
MAX_COUNTED = 10_000
"""Missed ticks of a cron expression that are counted."""
LEAST_S = 10
FIRST_YEAR, LAST_YEAR = 1970, 2999
_YEAR_S = 366 * 24 * 3600
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Missed: TypeAlias = Literal["latest", "all", "skip"]


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all schedules share.

    `missed`: of the ticks while nothing ran, the latest starts a run if it is not older than `missed_within_s`, or each
    of them does (100 at most, the oldest first), or none. `jitter_s`: each zap has a delay of its own, up to so long.
    `from` and `to` bound the schedule.
    """

    missed: Missed = "latest"
    missed_within_s: Annotated[int, msgspec.Meta(ge=0, le=_YEAR_S)] = 86_400
    jitter_s: Annotated[int, msgspec.Meta(ge=0, le=3_600)] = 0
    from_: datetime | None = msgspec.field(default=None, name="from")
    to: datetime | None = None


class CronSchedule(Schedule, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The times of a cron expression in a time zone."""

    cron: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    time_zone: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class EverySchedule(Schedule, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A moment every so many seconds, counted from `anchor`."""

    every_s: Annotated[int, msgspec.Meta(ge=LEAST_S, le=_YEAR_S)]
    anchor: datetime | None = None


AnySchedule: TypeAlias = CronSchedule | EverySchedule
SCHEDULES: Mapping[str, type[AnySchedule]] = {"schedule.cron": CronSchedule, "schedule.every": EverySchedule}
"""The triggers that are schedules."""


class Due(msgspec.Struct, frozen=True):
    """The ticks that start runs now, those that were missed for good, and the next one, if there is any.

    `more` were missed besides, from `more_from` on.
    """

    ticks: tuple[datetime, ...]
    missed: tuple[datetime, ...]
    next: datetime | None
    more: int = 0
    more_from: datetime | None = None


def schedule_of(trigger: Trigger | NamedTrigger) -> AnySchedule | None:
    """The schedule of a trigger; None for other triggers, and for one that this release does not understand."""
    schedule = _read(trigger)
    return schedule if schedule is not None and not _beyond_reckoning(schedule) else None


def _read(trigger: Trigger | NamedTrigger) -> AnySchedule | None:
    kind = SCHEDULES.get(trigger.type)
    try:
        return msgspec.convert(trigger.config, kind) if kind else None
    except msgspec.ValidationError:
        return None


def _moments(schedule: AnySchedule) -> dict[str, datetime]:
    found = {"from": schedule.from_, "to": schedule.to}
    if isinstance(schedule, EverySchedule):
        found["anchor"] = schedule.anchor
    return {name: at for name, at in found.items() if at is not None}


def _beyond_reckoning(schedule: AnySchedule) -> list[str]:
    """The moments that are so near the ends of the calendar that nothing can be added to them."""
    return [name for name, at in _moments(schedule).items() if not FIRST_YEAR <= at.year <= LAST_YEAR]


def problems(trigger_type: str, config: JsonObject) -> dict[str, str]:
    """What is wrong with a schedule beyond the types of its fields, by path."""
    schedule = _read(Trigger(trigger_type, config))
    if schedule is None:
        return {}
    beyond = _beyond_reckoning(schedule)
    if beyond:
        return dict.fromkeys(beyond, f"a date from {FIRST_YEAR} to {LAST_YEAR}")
    unzoned = [name for name, at in _moments(schedule).items() if not at.tzinfo]
    if unzoned:
        return dict.fromkeys(unzoned, "a date and time with its offset, such as 2027-01-01T00:00:00Z")
    if schedule.from_ and schedule.to and schedule.to < schedule.from_:
        return {"to": "a moment behind `from`"}
    return _in_cron(schedule) if isinstance(schedule, CronSchedule) else {}


def _in_cron(schedule: CronSchedule) -> dict[str, str]:
    if len(schedule.cron.split()) != 5:
        return {"cron": "minute, hour, day of the month, month and day of the week, such as 0 9 * * MON-FRI"}
    if zone_of(schedule.time_zone) is None:
        return {"time_zone": "not the name of a time zone, such as Europe/Berlin"}
    try:
        first = next_tick(schedule, _EPOCH)
    except CronSimError as error:
        return {"cron": _NO_DATE if _is_of_no_month(schedule) else f"not a cron expression: {error}"}
    return {"cron": _NO_DATE} if first is None and schedule.to is None else {}


_NO_DATE = "there is no such date"


def _is_of_no_month(schedule: CronSchedule) -> bool:
    """Whether it is right but for days that its months do not have, such as 31 February."""
    minute, hour, day, month, weekday = schedule.cron.split()
    try:
        for one in (f"{minute} {hour} {day} * {weekday}", f"{minute} {hour} 1 {month} {weekday}"):
            CronSim(one, _EPOCH)
    except CronSimError:
        return False
    return True


def next_tick(schedule: AnySchedule, after: datetime) -> datetime | None:
    """The first tick after a moment, in UTC; None where there is none any more."""
    return next(_ticks(schedule, after), None)


def upcoming(schedule: AnySchedule, after: datetime, count: int) -> list[datetime]:
    """The next ticks after a moment."""
    return list(islice(_ticks(schedule, after), count))


def due(schedule: AnySchedule, after: datetime, now: datetime) -> Due:
    """What becomes of the ticks after a moment, up to now."""
    newest = _newest(schedule, now)
    if newest is None or newest <= after:
        return Due((), (), next_tick(schedule, now))
    in_time = now - newest <= LATE
    match schedule.missed:
        case "all":
            ticks = tuple(islice(_up_to(schedule, after, newest), MAX_MISSED))
        case "latest":
            ticks = (newest,) if in_time or now - newest <= timedelta(seconds=schedule.missed_within_s) else ()
        case "skip":
            ticks = (newest,) if in_time else ()
        case _:
            assert_never(schedule.missed)
    return _accounted(schedule, after, newest, ticks, next_tick(schedule, now))


def _accounted(
    schedule: AnySchedule, after: datetime, newest: datetime, ticks: tuple[datetime, ...], upcoming: datetime | None
) -> Due:
    """All ticks up to the newest: each starts a run, or is missed."""
    first = islice(_up_to(schedule, after, newest), MAX_MISSED + len(ticks) + 1)
    lost = tuple(tick for tick in first if tick not in ticks)
    told, behind = lost[:MAX_MISSED], lost[MAX_MISSED:]
    more = _count(schedule, after, newest) - len(ticks) - len(told) if behind else 0
    return Due(ticks, told, upcoming, more, behind[0] if behind else None)


def local(schedule: AnySchedule, tick: datetime) -> str:
    """The tick as the clocks of the schedule's zone show it."""
    zone = zone_of(schedule.time_zone) if isinstance(schedule, CronSchedule) else None
    return tick.astimezone(zone or UTC).isoformat()


def _ticks(schedule: AnySchedule, after: datetime) -> Iterator[datetime]:
    """All ticks after a moment, in their order."""
    if schedule.from_ is not None and schedule.from_ > after:
        after = schedule.from_ - timedelta(microseconds=1)
    for tick in _unbounded(schedule, after):
        if schedule.to is not None and tick > schedule.to:
            return
        yield tick


def _unbounded(schedule: AnySchedule, after: datetime) -> Iterator[datetime]:
    match schedule:
        case CronSchedule():
            for tick in CronSim(schedule.cron, after.astimezone(zone_of(schedule.time_zone) or UTC)):
                yield tick.astimezone(UTC)
        case EverySchedule():
            every = timedelta(seconds=schedule.every_s)
            anchor = schedule.anchor or _EPOCH
            tick = anchor + ((after - anchor) // every + 1) * every
            while True:
                yield tick.astimezone(UTC)
                tick += every
        case _:
            assert_never(schedule)


def _newest(schedule: AnySchedule, now: datetime) -> datetime | None:
    """The last tick that is not after now."""
    until = min(now, schedule.to) if schedule.to else now
    tick = _newest_unbounded(schedule, until)
    return tick if tick is not None and (schedule.from_ is None or tick >= schedule.from_) else None


def _newest_unbounded(schedule: AnySchedule, until: datetime) -> datetime | None:
    if isinstance(schedule, EverySchedule):
        every, anchor = timedelta(seconds=schedule.every_s), schedule.anchor or _EPOCH
        return (anchor + ((until - anchor) // every) * every).astimezone(UTC)
    zone = zone_of(schedule.time_zone) or UTC
    back = CronSim(schedule.cron, (until + timedelta(microseconds=1)).astimezone(zone), reverse=True)
    tick = next(iter(back), None)
    return tick.astimezone(UTC) if tick else None


def _count(schedule: AnySchedule, after: datetime, newest: datetime) -> int:
    """How many ticks there are after a moment, up to the newest; counting those of a cron expression stops."""
    if isinstance(schedule, EverySchedule):
        start = max(after, schedule.from_ - timedelta(microseconds=1)) if schedule.from_ else after
        return -((start - newest) // timedelta(seconds=schedule.every_s))
    return sum(1 for _tick in islice(_up_to(schedule, after, newest), MAX_COUNTED))


def _up_to(schedule: AnySchedule, after: datetime, newest: datetime) -> Iterator[datetime]:
    return takewhile(lambda tick: tick <= newest, _ticks(schedule, after))
