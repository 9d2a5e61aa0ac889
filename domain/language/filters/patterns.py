"""Filters with regular expressions, of RE2."""

from collections.abc import Iterator

import re2

from domain.language.filters.filter import FilterError, Filters
from domain.language.patterns import Pattern, pattern_of
from domain.language.spelling import MAX_MADE, spelled

ALL = Filters()
_WORK = 50_000
"""Of an expression that has to be prepared first."""


@ALL.add("regex_find", r"{{ 'Order #42' | regex_find: '#([0-9]+)' }}", "42", work=_WORK)
def regex_find(value: object, pattern: object) -> str | None:
    """The first part of text that matches a regular expression (RE2), or what its first group found; null for none."""
    return next(_found(spelled(value), _pattern(pattern)), None)


@ALL.add("regex_find_all", r"{{ 'a1 b22' | regex_find_all: '[0-9]+' | join }}", "1 22", work=_WORK)
def regex_find_all(value: object, pattern: object) -> list[str | None]:
    """All parts of text that match a regular expression (RE2), or what its first group found, as a list."""
    return list(_found(spelled(value), _pattern(pattern)))


@ALL.add("regex_replace", r"{{ '11-27' | regex_replace: '([0-9]+)-([0-9]+)', '\2.\1.' }}", "27.11.", work=_WORK)
def regex_replace(value: object, pattern: object, by: object = "") -> str:
    """Replaces each part that matches a regular expression (RE2); \\1 stands for what the first group found."""
    text, searched, new = spelled(value), _pattern(pattern), spelled(by)
    most = len(new) * sum(1 for _ in searched.finditer(text)) + len(text) * new.count("\\")
    if most > MAX_MADE:
        raise FilterError(f"this makes more than {MAX_MADE:,} characters")
    try:
        return str(searched.sub(new, text))
    except (re2.error, IndexError, ValueError):
        raise FilterError("the expression has no such group") from None


def _pattern(pattern: object) -> Pattern:
    try:
        return pattern_of(spelled(pattern))
    except ValueError as error:
        raise FilterError(str(error)) from None


def _found(text: str, pattern: Pattern) -> Iterator[str | None]:
    for match in pattern.finditer(text):
        yield match.group(1) if pattern.groups else match.group(0)
