"""When a delay ends, from what its template gave: a moment, or the next time that it is so late in the day."""

import re
from datetime import UTC, datetime, time, timedelta, tzinfo

from domain.connector.outcome import Failed
from domain.flow.steps import MAX_DELAY_S, DelayStep
from domain.language.moments import iso_moment
from domain.language.spelling import spelled
from domain.language.template import has_template
from domain.language.zones import zone_of
from domain.values.json import Json

_NEITHER = "is not a date and time such as 2030-01-31T12:00:00Z, nor a time such as 09:00"
_IS_PAST = "delay_is_past"
_TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")


def end_of_delay(step: DelayStep, rendered: Json, now: datetime) -> datetime | Failed:
    """The end of a delay `until` what was rendered, in UTC.

    A time that the clocks skip in spring is taken as an hour later. Of one that they repeat in autumn it is the first.
    """
    zone = (zone_of(step.time_zone) if step.time_zone else None) or UTC
    text = spelled(rendered).strip()
    end = _read(text, zone)
    if end is None:
        return _wrong(f"{text[:100]!r} {_NEITHER}")
    if isinstance(end, time):
        return _next(end, now, zone)
    if end - now > timedelta(seconds=MAX_DELAY_S):
        return _wrong(f"{text} is more than {MAX_DELAY_S // 86_400} days away")
    if end <= now and step.if_past == "fail":
        return Failed(code=_IS_PAST, message=f"until: {text} has passed already")
    return end


def always_fails(step: DelayStep, now: datetime) -> bool:
    """Whether a delay fails every run from now on, as it is until a fixed moment that has passed."""
    if not step.until or has_template(step.until):
        return False
    end = end_of_delay(step, step.until, now)
    return isinstance(end, Failed) and end.code == _IS_PAST


def mistake_in_until(text: str) -> str | None:
    """What is wrong with a text without templates; None where it says when."""
    return None if _read(text.strip(), UTC) is not None else _NEITHER


def _read(text: str, zone: tzinfo) -> datetime | time | None:
    """The moment, in UTC, or the time of day."""
    clock = _TIME_OF_DAY.fullmatch(text)
    if clock is not None:
        hour, minute, second = (int(part or 0) for part in clock.groups())
        return time(hour, minute, second)
    try:
        return iso_moment(text, zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _next(clock: time, now: datetime, zone: tzinfo) -> datetime:
    today = now.astimezone(zone).date()
    ends = (datetime.combine(today + timedelta(days=day), clock, zone).astimezone(UTC) for day in range(3))
    return next(end for end in ends if end > now)


def _wrong(message: str) -> Failed:
    return Failed(code="template", message=f"until: {message}")
