"""Moments in time from text and numbers. A moment keeps the zone that it came with, or has the one that is given."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import cast

from dateutil import parser
from dateutil.relativedelta import relativedelta

MAX_DATE = 100
"""Characters of a date."""
MAX_FORMAT = 200
UNITS = ("years", "months", "weeks", "days", "hours", "minutes", "seconds")
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ].*)?|[0-9]{8}[Tt][0-9].*", re.DOTALL)
_LEAP_SECOND = re.compile(r"(?<=:[0-5][0-9]):60(?![0-9])")
_SECONDS = re.compile(r"[0-9]{1,11}(?:\.[0-9]{1,9})?")
_YEAR = re.compile(r"(?<![0-9])[0-9]{4}(?![0-9])")
_DIRECTIVE = re.compile(r"%([-_0^#:]{0,2})([369]?)([A-Za-z+%])")
_KNOWN = frozenset("aAbBcCdDeFgGhHIjklLmMnNpPrRsStTuUvVwWxXyYzZ+%")
_ZONE_BEFORE_OFFSET = re.compile(r"\b(?:GMT|UTC) ?(?=[+-][0-9])")
"""As JavaScript writes it. dateutil would turn the sign round, as POSIX does in TZ."""
_COMMENT = re.compile(r" ?\([^()]*\)\Z")
"""Behind a date, as in mail and JavaScript: `+0100 (CET)`."""
_HOURS = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "CET": 1, "CEST": 2}
"""Names of zones that mean one thing everywhere (RFC 5322 §4.3), and those of central Europe."""
_UNSAID = datetime(2000, 1, 1), datetime(1999, 2, 1)  # noqa: DTZ001 - parts that a date does not say
"""What comes out with both was said: year and month. A date without its day is the first."""
_DOTTED = re.compile(r"[0-9]{1,2}\. ?[0-9]{1,2}\.")


def moment_of(value: object, zone: tzinfo = UTC) -> datetime | None:
    """The moment that a value names, in its own zone, else in `zone`; None where it names none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _unix(value)
    if not isinstance(value, str) or len(value) > MAX_DATE:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return _unix(float(text))
    return _read(text, zone)


def _unix(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def iso_moment(text: str, zone: tzinfo = UTC) -> datetime:
    """The moment of a date, or of a date and time, as in RFC 3339 and ISO 8601. Raises ValueError."""
    plain, leap_seconds = _LEAP_SECOND.subn(":59", text.upper().replace(" UTC", "Z"))
    try:
        moment = datetime.fromisoformat(plain) + timedelta(seconds=leap_seconds)
    except OverflowError:
        raise ValueError(text) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _read(text: str, zone: tzinfo) -> datetime | None:
    for reader in (_iso, _free):
        try:
            moment = reader(text, zone)
            moment.astimezone(UTC)
        except (ValueError, OverflowError, TypeError, IndexError, AttributeError, RecursionError):
            continue
        return moment
    return None


def _iso(text: str, zone: tzinfo) -> datetime:
    if not _ISO.fullmatch(text):
        raise ValueError(text)
    return iso_moment(text, zone)


def _free(text: str, zone: tzinfo) -> datetime:
    """Dates as people write them: `March 14, 2016 4:40 pm`, `14.3.2016`, and with slashes the month first."""
    if not _YEAR.search(text):
        raise ValueError(text)
    plain = _ZONE_BEFORE_OFFSET.sub("", _COMMENT.sub("", text))
    day_first = _DOTTED.match(plain) is not None
    one, other = (
        cast(datetime, parser.parse(plain, default=unsaid, tzinfos=_zone, dayfirst=day_first)) for unsaid in _UNSAID
    )
    if one != other:
        raise ValueError(text)
    return one if one.tzinfo else one.replace(tzinfo=zone)


def _zone(name: str | None, offset: int | None) -> timezone | None:
    if name is None:
        return None if offset is None else timezone(timedelta(seconds=offset))
    if name in {"UTC", "GMT", "Z"}:
        return UTC
    if name not in _HOURS or offset is not None:
        raise ValueError(f"no zone is called {name}")  # better no date than one that is hours off
    return timezone(timedelta(hours=_HOURS[name]))


def moved(moment: datetime, by: Mapping[str, int]) -> datetime:
    """The moment so many UNITS later. Days and longer keep the time of day, hours are real ones.

    Raises ValueError or OverflowError beyond the calendar.
    """
    days = {unit: many for unit, many in by.items() if unit in UNITS[:4]}
    hours = {unit: many for unit, many in by.items() if unit in UNITS[4:]}
    day: datetime = moment + relativedelta(**days)
    return (day.astimezone(UTC) + timedelta(**hours)).astimezone(moment.tzinfo)


def written(moment: datetime, form: str) -> str:
    """The moment in a form of strftime. Raises ValueError."""
    if len(form) > MAX_FORMAT:
        raise ValueError(f"a form of a date may have {MAX_FORMAT} characters")
    at, parts = 0, list[str]()
    for found in _DIRECTIVE.finditer(form):
        parts += [_literal(form[at : found.start()]), _directive(moment, *found.groups())]
        at = found.end()
    return "".join((*parts, _literal(form[at:])))


def _literal(text: str) -> str:
    if "%" in text:
        raise ValueError(f"{text[text.index('%') :][:10]!r} is no directive of a date; see %Y-%m-%d %H:%M:%S %z")
    return text


def _directive(moment: datetime, flags: str, digits: str, letter: str) -> str:
    if letter not in _KNOWN or (digits and letter not in "NL"):
        raise ValueError(f"%{flags}{digits}{letter} is no directive of a date; see %Y-%m-%d %H:%M:%S %z")
    match letter:
        case "%" | "n" | "t":
            return {"%": "%", "n": "\n", "t": "\t"}[letter]
        case "s":
            return str(int((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)))
        case "L" | "N":
            return f"{moment.microsecond:06}000"[: int(digits or (3 if letter == "L" else 9))]
        case "Y":
            return f"{moment.year:04}"
        case "z":
            return _offset(moment, ":" in flags)
        case "Z":
            return "UTC" if not moment.utcoffset() else _offset(moment, colon=True)
        case "v":
            return moment.strftime("%e-%^b-%Y")
        case "+":
            return written(moment, "%a %b %e %H:%M:%S %Z %Y")
    return moment.strftime(f"%{flags.replace(':', '')}{letter}")


def _offset(moment: datetime, colon: bool) -> str:
    text = moment.strftime("%z")
    return f"{text[:3]}:{text[3:]}" if colon else text
