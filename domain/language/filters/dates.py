"""The filter that writes dates."""

from domain.language.filters.filter import FilterError, Filters
from domain.language.moments import moment_of, written
from domain.language.spelling import spelled

ALL = Filters()


@ALL.add("date", "{{ '2026-11-25T10:00:00+01:00' | date: '%d.%m.%Y %H:%M %z' }}", "25.11.2026 10:00 +0100", work=10_000)
def date(value: object, form: object = "") -> object:
    """Formats a date, such as %Y-%m-%d. Takes RFC 3339 text, unix seconds, 'now' or 'today', and keeps the zone."""
    if value is None or not spelled(form):
        return value
    moment = moment_of(value)
    if moment is None:
        return spelled(value)
    try:
        return written(moment, spelled(form))
    except ValueError as error:
        raise FilterError(str(error)) from None
