"""When a zap will start by itself next, and what the next change of clocks does to that."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from domain.language.zones import zone_of
from domain.zap.definition import Definition, NamedTrigger, Trigger
from domain.zap.schedule import AnySchedule, CronSchedule, local, schedule_of, upcoming

SHOWN = 5
_AHEAD = 400
"""Days in which a change of clocks is looked for."""
_AROUND = timedelta(hours=12)


class NextRun(msgspec.Struct, frozen=True, kw_only=True):
    """A moment at which a trigger will start a run; `local` is the same by the clocks of its zone."""

    trigger_id: str
    due_at: datetime
    local: str


class ClockChange(msgspec.Struct, frozen=True, kw_only=True):
    """The next change of clocks in the zone of a schedule, from one offset to another; and the runs around it."""

    at: datetime
    from_offset: str
    to_offset: str
    next_runs: tuple[NextRun, ...]


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """When a trigger will start runs: the next times, and those around the next change of clocks, if there is one.

    Empty for triggers that start none by the clock.
    """

    next_runs: tuple[NextRun, ...] = ()
    clock_change: ClockChange | None = None


def next_runs(definition: Definition, now: datetime) -> tuple[NextRun, ...]:
    """The next times of all schedules together."""
    schedules = [(trigger.id, schedule_of(trigger)) for trigger in definition.starts]
    found = [run for name, schedule in schedules if schedule for run in _runs(name, schedule, now)]
    return tuple(sorted(found, key=lambda run: run.due_at)[:SHOWN])


def outlook(trigger: Trigger | NamedTrigger, trigger_id: str, now: datetime) -> Outlook:
    """What a schedule will do."""
    schedule = schedule_of(trigger)
    if schedule is None:
        return Outlook()
    zone = zone_of(schedule.time_zone) if isinstance(schedule, CronSchedule) else None
    at = _next_change(zone, now) if zone else None
    return Outlook(next_runs=_runs(trigger_id, schedule, now), clock_change=_change(trigger_id, schedule, zone, at))


def _change(trigger_id: str, schedule: AnySchedule, zone: ZoneInfo | None, at: datetime | None) -> ClockChange | None:
    if zone is None or at is None:
        return None
    return ClockChange(
        at=at,
        from_offset=_offset(zone, at - timedelta(seconds=1)),
        to_offset=_offset(zone, at),
        next_runs=_runs(trigger_id, schedule, at - _AROUND),
    )


def _runs(trigger_id: str, schedule: AnySchedule, after: datetime) -> tuple[NextRun, ...]:
    ticks = upcoming(schedule, after, SHOWN)
    return tuple(NextRun(trigger_id=trigger_id, due_at=tick, local=local(schedule, tick)) for tick in ticks)


def _next_change(zone: ZoneInfo, now: datetime) -> datetime | None:
    """The first moment, to the second, at which the zone has another offset than before."""
    low = now.replace(microsecond=0)
    for _day in range(_AHEAD):
        high = low + timedelta(days=1)
        if _offset(zone, low) != _offset(zone, high):
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                middle = middle.replace(microsecond=0)
                low, high = (low, middle) if _offset(zone, low) != _offset(zone, middle) else (middle, high)
            return high
        low = high
    return None


def _offset(zone: ZoneInfo, moment: datetime) -> str:
    return moment.astimezone(zone).isoformat()[19:]
