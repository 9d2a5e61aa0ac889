"""Steps that work on dates and times."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Literal, TypeAlias

import msgspec
from dateutil.relativedelta import relativedelta
from msgspec import UNSET, Meta
from msgspec import UnsetType as Unset

from domain.data.operation import Operation, Unfit
from domain.language.moments import moment_of, moved, written
from domain.language.zones import zone_of
from domain.values.json import Json, JsonObject

Unit: TypeAlias = Literal["year", "month", "week", "day", "hour", "minute"]
Zone = Annotated[str, Meta(max_length=100, description="An IANA name, such as Europe/Berlin")]
_MANY = Annotated[int, Meta(ge=-1_000_000, le=1_000_000)]


class Shift(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So much later; with negative numbers, earlier. Days and longer keep the time of day, hours are real ones."""

    years: _MANY = 0
    months: _MANY = 0
    weeks: _MANY = 0
    days: _MANY = 0
    hours: _MANY = 0
    minutes: _MANY = 0
    seconds: Annotated[int, Meta(ge=-(10**10), le=10**10)] = 0


class Dates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One moment, moved and written as you wish, and how far it is from another."""

    value: Annotated[Json, Meta(title="Date", description="A date, a time, Unix seconds, or now")] = "now"
    time_zone: Annotated[Zone, Meta(title="Time zone", description="Of the result, and of dates without one")] = "UTC"
    add: Annotated[Shift, Meta(title="Add")] | Unset = UNSET
    start_of: Annotated[Unit, Meta(title="Beginning of the", description="Weeks begin on Monday")] | Unset = UNSET
    end_of: Annotated[Unit, Meta(title="End of the")] | Unset = UNSET
    format: (
        Annotated[str, Meta(title="Format", max_length=200, description="As in strftime: %d.%m.%Y %H:%M")] | Unset
    ) = UNSET
    until: Annotated[Json, Meta(title="Difference to", description="Another date")] = None


def dates(wanted: Dates, now: datetime) -> Json:
    """The moment in several forms; `difference` says how far `until` is."""
    zone = zone_of(wanted.time_zone)
    if zone is None:
        raise Unfit("time_zone: not the name of a time zone, such as Europe/Berlin")
    try:
        moment = _moved(_moment(wanted.value, "value", now, zone), wanted)
        found = _forms(moment, wanted)
        if wanted.until is not None:
            found["difference"] = _difference(moment, _moment(wanted.until, "until", now, zone))
    except (OverflowError, OSError):
        raise Unfit("value: this date is out of range") from None
    return found


def _moment(value: Json, field: str, now: datetime, zone: tzinfo) -> datetime:
    found = now if value in ("now", "today") else moment_of(value, zone)
    if found is None:
        raise Unfit(f"{field}: {str(value)[:50]!r} is no date, such as 2026-11-26T09:00:00+01:00")
    return found.astimezone(zone)


def _moved(moment: datetime, wanted: Dates) -> datetime:
    if wanted.add:
        try:
            moment = moved(moment, msgspec.structs.asdict(wanted.add))
        except ValueError:
            raise Unfit("add: this date is out of range") from None
    if wanted.start_of:
        moment = _start(moment, wanted.start_of)
    if wanted.end_of:
        moment = _start(moment, wanted.end_of) + _LENGTHS[wanted.end_of] - timedelta(microseconds=1)
    return moment


_LENGTHS = {
    "year": relativedelta(years=1),
    "month": relativedelta(months=1),
    "week": relativedelta(weeks=1),
    "day": relativedelta(days=1),
    "hour": relativedelta(hours=1),
    "minute": relativedelta(minutes=1),
}


def _start(moment: datetime, unit: Unit) -> datetime:
    moment = moment.replace(second=0, microsecond=0)
    if unit == "minute":
        return moment
    if unit == "hour":
        return moment.replace(minute=0)
    moment = moment.replace(hour=0, minute=0, fold=0)
    match unit:
        case "week":
            return moment - timedelta(days=moment.weekday())
        case "month":
            return moment.replace(day=1)
        case "year":
            return moment.replace(month=1, day=1)
    return moment


def _forms(moment: datetime, wanted: Dates) -> JsonObject:
    year, week, weekday = moment.isocalendar()
    found: JsonObject = {
        "iso": moment.isoformat(),
        "utc": moment.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "date": moment.date().isoformat(),
        "time": moment.time().isoformat("seconds"),
        "unix": int(moment.timestamp()),
        "unix_ms": int(moment.timestamp() * 1000),
        "year": moment.year,
        "month": moment.month,
        "day": moment.day,
        "hour": moment.hour,
        "minute": moment.minute,
        "weekday": weekday,
        "weekday_name": moment.strftime("%A"),
        "week": week,
        "week_year": year,
        "quarter": (moment.month + 2) // 3,
        "day_of_year": moment.timetuple().tm_yday,
    }
    if wanted.format:
        try:
            found["text"] = written(moment, wanted.format)
        except ValueError as error:
            raise Unfit(f"format: {error}") from None
    return found


def _difference(moment: datetime, other: datetime) -> JsonObject:
    seconds = (other - moment).total_seconds()
    calendar = relativedelta(other, moment)
    return {
        "seconds": seconds,
        "minutes": seconds / 60,
        "hours": seconds / 3_600,
        "days": seconds / 86_400,
        "calendar": {
            "years": calendar.years,
            "months": calendar.months,
            "days": calendar.days,
            "hours": calendar.hours,
            "minutes": calendar.minutes,
            "seconds": calendar.seconds,
        },
    }


def _problems(saved: JsonObject) -> dict[str, str]:
    found: dict[str, str] = {}
    zone, form = saved.get("time_zone"), saved.get("format")
    if isinstance(zone, str) and "{{" not in zone and zone_of(zone) is None:
        found["time_zone"] = "not the name of a time zone, such as Europe/Berlin"
    if isinstance(form, str) and "{{" not in form:
        try:
            written(datetime(2026, 1, 1, tzinfo=UTC), form)
        except ValueError as error:
            found["format"] = str(error)
    return found


DATES = {
    "data.dates": Operation(
        name="Work with dates",
        description="Moves a date, writes it in another form or zone, and says how far it is from another.",
        icon="calendar-days",
        config=Dates,
        work=dates,
        example={"value": "{{ trigger.body.due }}", "add": {"days": 14}, "time_zone": "Europe/Berlin"},
        sample={"iso": "2026-11-26T09:00:00+01:00", "date": "2026-11-26", "unix": 1795680000},
        check=_problems,
    ),
}
