"""Filters that write dates, and move them."""

from datetime import UTC, tzinfo

from domain.language.filters.filter import FilterError, Filters, whole_number
from domain.language.moments import UNITS, moment_of, moved, written
from domain.language.spelling import described, spelled
from domain.language.zones import zone_of

ALL = Filters()
_WORK = 10_000


@ALL.add("date", "{{ '2026-11-25T10:00:00Z' | date: '%d.%m. %H:%M', 'Europe/Berlin' }}", "25.11. 11:00", work=_WORK)
def date(value: object, form: object = "", zone: object = None) -> object:
    """Formats a date (RFC 3339, unix seconds, 'now', 'today'), such as %Y-%m-%d, in its own zone or the one named."""
    named = _zone(zone)
    if value is None or not spelled(form):
        return value
    moment = moment_of(value, named or UTC)
    if moment is None:
        return spelled(value)
    try:
        return written(moment.astimezone(named) if named else moment, spelled(form))
    except (ValueError, OverflowError) as error:
        raise FilterError(str(error)) from None


@ALL.add("date_add", "{{ '2026-01-31T10:00:00Z' | date_add: 1, 'month' }}", "2026-02-28T10:00:00+00:00", work=_WORK)
def date_add(value: object, many: object, unit: object, zone: object = None) -> object:
    """Moves a date by so many years, months, weeks, days, hours, minutes or seconds; back with a negative number."""
    named, name = _zone(zone), spelled(unit).rstrip("s") + "s"
    if name not in UNITS:
        raise FilterError(f"the unit is one of {', '.join(UNITS)}")
    by = whole_number(many)
    if value is None:
        return None
    moment = moment_of(value, named or UTC)
    if moment is None:
        raise FilterError(f"expected a date, found {described(value)}")
    try:
        return moved(moment.astimezone(named) if named else moment, {name: by}).isoformat()
    except (ValueError, OverflowError):
        raise FilterError("this date is out of range") from None


def _zone(name: object) -> tzinfo | None:
    if name is None:
        return None
    zone = zone_of(spelled(name))
    if zone is None:
        raise FilterError(f"{spelled(name)[:50]!r} is not the name of a time zone, such as Europe/Berlin")
    return zone
