"""Which part of a file a request wants: one range of bytes (RFC 9110 §14)."""

import re

import msgspec

_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)


class NoSuchRange(ValueError):
    """The file ends before the range begins."""


class Span(msgspec.Struct, frozen=True):
    """The bytes from `start` up to, but not with, `end`."""

    start: int
    end: int


def span_of(header: str, size: int) -> Span | None:
    """The range that a Range header asks for; None for all of the file, which is what other units, several ranges and
    what is no range get. Raises NoSuchRange.
    """
    found = _RANGE.fullmatch(header)
    first, last = found.groups() if found else ("", "")
    if (not first and not last) or (first and last and int(last) < int(first)):
        return None
    if not first:  # the last so many
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    if start >= end:
        raise NoSuchRange(f"the file has {size:,} bytes, so there is nothing in this range")
    return Span(start, end)
