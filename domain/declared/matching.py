"""A text that a regular expression matches, where that has only the usual parts."""

import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

from domain.declared.form import matches

MAX_PATTERN = 1_000
MAX_TEXT = 1_000
"""Characters: of a pattern that is looked at, and of a text that is made."""
MAX_VARIANTS = 8
"""So many choices of an alternation are tried, the same one in all of a pattern."""
_parser: Any = import_module("re._parser")
"""No public name gives the parts of a pattern."""
_LIKED = "".join(map(chr, [*range(97, 123), *range(48, 58), *range(65, 91), *range(33, 127), *b" \t\n"]))
"""Characters to choose from, the plainest ones first."""
_SORTS: Mapping[str, Callable[[str], bool]] = {
    "CATEGORY_DIGIT": str.isdigit,
    "CATEGORY_WORD": lambda one: one.isalnum() or one == "_",
    "CATEGORY_SPACE": str.isspace,
}


class _Unknown(Exception):
    """No text is made for this part."""


def text_for(pattern: str, least: int = 0, most: int = MAX_TEXT) -> str | None:
    """A text of `least` to `most` characters that matches the whole pattern by RE2; None where none is found."""
    if len(pattern) > MAX_PATTERN:
        return None
    try:
        with warnings.catch_warnings():  # of what Python may read otherwise one day; RE2 has the last word anyway
            warnings.simplefilter("ignore")
            parts = _parser.parse(pattern)
        for low in (max(least, 1), least):  # rather one that says something
            for variant in range(MAX_VARIANTS):
                text = _text(parts, low, variant)
                if low <= len(text) <= min(most, MAX_TEXT) and matches(pattern, text):
                    return text
    except (re.error, _Unknown, OverflowError, RecursionError):
        return None
    return None


def _text(parts: Any, low: int, variant: int) -> str:
    shortest = _Making(variant, 0).of(parts)
    return _Making(variant, max(0, low - len(shortest))).of(parts)


class _Making:
    """One text: repeats are taken as seldom as they may be, and more often while characters are `missing`."""

    def __init__(self, variant: int, missing: int) -> None:
        self._variant = variant
        self._missing = missing

    def of(self, parts: Iterable[Any]) -> str:
        """Raises _Unknown."""
        text = "".join([self._part(str(name), of) for name, of in parts])
        if len(text) > MAX_TEXT:
            raise _Unknown
        return text

    def _part(self, name: str, of: Any) -> str:
        match name:
            case "LITERAL":
                return chr(of)
            case "NOT_LITERAL" | "ANY" | "IN":
                return _one(name, of)
            case "AT":
                return ""  # the end checks whether it is a place of that kind
            case "SUBPATTERN":
                return self.of(of[3])
            case "BRANCH":
                return self.of(of[1][min(self._variant, len(of[1]) - 1)])
            case "MAX_REPEAT" | "MIN_REPEAT":
                return self._repeated(*of)
        raise _Unknown

    def _repeated(self, low: int, high: int, parts: Any) -> str:
        one = _Making(self._variant, 0).of(parts)
        more = min(high - low, -(-self._missing // len(one))) if one else 0
        self._missing = max(0, self._missing - more * len(one))
        times = low + more
        if times * len(one) > MAX_TEXT:
            raise _Unknown
        if not self._missing or not high:
            return one * times
        return one * (times - 1) + self.of(parts)  # what is inside may take more, too


def _one(name: str, of: Any) -> str:
    """The plainest character of a class."""
    parts: list[tuple[Any, Any]] = [] if name == "ANY" else [("LITERAL", of)] if name == "NOT_LITERAL" else of
    items = [(str(kind), x) for kind, x in parts]
    negated = name != "IN" or items[0][0] == "NEGATE"
    own = [chr(x if kind == "LITERAL" else x[0]) for kind, x in items if kind in ("LITERAL", "RANGE")]
    for char in _LIKED + "".join(own):
        if any(_has(kind, x, char) for kind, x in items) is not negated:
            return char
    raise _Unknown


def _has(kind: str, of: Any, char: str) -> bool:
    match kind:
        case "LITERAL":
            return char == chr(of)
        case "RANGE":
            return bool(of[0] <= ord(char) <= of[1])
        case "CATEGORY":
            plain = str(of).replace("_NOT_", "_")
            return char.isascii() and _SORTS[plain](char) is (plain == str(of))
    return False
