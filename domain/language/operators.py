"""The operators of conditions: their names, how a rule's value is prepared, and the comparison.

Comparisons never raise. Numbers may come as text, because forms, query strings and headers have only text; apart
from that, types have to agree. Each negative operator is exactly the opposite of its positive.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from domain.language.moments import moment_of
from domain.language.patterns import Pattern, pattern_of
from domain.values.json import Json
from domain.values.path import MISSING, Missing

MAX_TEXT = 10_000
"""Characters of a rule's value."""
MAX_ITEMS = 1_000
"""Items of the list of `in`."""
MAX_SEARCHED = 32 * 1024
"""Characters of text that a regular expression looks at; longer text does not match."""

Prepared: TypeAlias = Any
"""What `prepare` made of a rule's value: each operator has its own kind."""
Actual: TypeAlias = Json | Missing

_NUMBER = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?")


class Operator(msgspec.Struct, frozen=True):
    """`prepare` takes the whole rule and raises ValueError for a value that does not fit."""

    name: str
    prepare: Callable[[Mapping[str, Json]], Prepared]
    holds: Callable[[Actual, Prepared], bool]

    @property
    def takes_nothing(self) -> bool:
        """Whether a rule has no value with it."""
        return self.prepare is _nothing


# --- preparing a rule's value


NO_VALUE = "this operator takes no value"


def _nothing(rule: Mapping[str, Json]) -> None:
    if rule.get("value") is not None:
        raise ValueError(NO_VALUE)


def _anything(rule: Mapping[str, Json]) -> Json:
    if "value" not in rule:
        raise ValueError("required")
    value = rule["value"]
    if len(msgspec.json.encode(value)) > MAX_TEXT:
        raise ValueError(f"at most {MAX_TEXT} bytes")
    return value


def _text(rule: Mapping[str, Json]) -> str:
    value = rule.get("value")
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT:
        raise ValueError(f"text of 1 to {MAX_TEXT} characters")
    return value


def _number(rule: Mapping[str, Json]) -> float:
    return _required(_as_number(rule.get("value")), "a number")


def _range(rule: Mapping[str, Json]) -> tuple[float, float]:
    match rule.get("value"):
        case [low, high]:
            bounds = _as_number(low), _as_number(high)
            if bounds[0] is not None and bounds[1] is not None and bounds[0] <= bounds[1]:
                return bounds[0], bounds[1]
    raise ValueError("two numbers, the smaller one first")


def _list(rule: Mapping[str, Json]) -> list[Json]:
    value = rule.get("value")
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_ITEMS:
        raise ValueError(f"a list of 1 to {MAX_ITEMS} values")
    if len(msgspec.json.encode(value)) > MAX_TEXT * 10:
        raise ValueError(f"at most {MAX_TEXT * 10} bytes")
    return value


def _moment(rule: Mapping[str, Json]) -> float:
    return _required(_as_moment(rule.get("value")), "a date like 2026-01-31 or 2026-01-31T12:00:00Z, or unix seconds")


def _required(value: float | None, what: str) -> float:
    if value is None:
        raise ValueError(what)
    return value


def _pattern(rule: Mapping[str, Json]) -> Pattern:
    value = rule.get("value")
    return pattern_of(value if isinstance(value, str) else "", captures=False)


# --- comparing


def same(one: object, other: object) -> bool:
    """JSON equality: true is not 1, and 1 is 1.0."""
    if one != other:  # Python's equality is wider, and quick
        return False
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    return True


def _as_number(value: Actual) -> int | float | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value) if "." in value or "e" in value.lower() else int(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _as_moment(value: Actual) -> float | None:
    """Seconds since 1970; a date without a zone is in UTC."""
    moment = moment_of(value) if isinstance(value, str) else None
    return _as_number(value) if moment is None else moment.timestamp()


def _compares(
    convert: Callable[[Actual], float | None], holds: Callable[[float, Any], bool]
) -> Callable[[Actual, Prepared], bool]:
    def compare(actual: Actual, prepared: Prepared) -> bool:
        value = convert(actual)
        return value is not None and holds(value, prepared)

    return compare


def contains(actual: object, wanted: object) -> bool:
    """Whether text has a part, a list an item, or an object a field."""
    match actual:
        case str():
            return isinstance(wanted, str) and wanted in actual
        case list():
            return wanted in actual and any(same(item, wanted) for item in actual)
        case dict():
            return isinstance(wanted, str) and wanted in actual
    return False


def _matches(actual: Actual, pattern: Prepared) -> bool:
    if not isinstance(actual, str) or len(actual) > MAX_SEARCHED:
        return False
    try:
        return pattern.search(actual) is not None
    except UnicodeEncodeError:  # half a surrogate pair: JSON can hold it, UTF-8 can not
        return False


def _exists(actual: Actual, _: Prepared) -> bool:
    return actual is not MISSING and actual is not None


def _is(word: bool) -> Callable[[Actual, Prepared], bool]:
    spelling = str(word).lower()
    return lambda actual, _: actual is word or (isinstance(actual, str) and actual.lower() == spelling)


def _is_empty(actual: Actual, _: Prepared) -> bool:
    return actual is MISSING or actual is None or (isinstance(actual, str | list | dict) and not actual)


def _opposite(holds: Callable[[Actual, Prepared], bool]) -> Callable[[Actual, Prepared], bool]:
    return lambda actual, prepared: not holds(actual, prepared)


OPERATORS: dict[str, Operator] = {
    operator.name: operator
    for operator in (
        Operator("equals", _anything, same),
        Operator("not_equals", _anything, _opposite(same)),
        Operator("contains", _anything, contains),
        Operator("not_contains", _anything, _opposite(contains)),
        Operator("starts_with", _text, lambda actual, text: isinstance(actual, str) and actual.startswith(text)),
        Operator("ends_with", _text, lambda actual, text: isinstance(actual, str) and actual.endswith(text)),
        Operator("greater_than", _number, _compares(_as_number, lambda one, other: one > other)),
        Operator("less_than", _number, _compares(_as_number, lambda one, other: one < other)),
        Operator("between", _range, _compares(_as_number, lambda one, both: both[0] <= one <= both[1])),
        Operator("in", _list, lambda actual, items: any(same(actual, item) for item in items)),
        Operator("exists", _nothing, _exists),
        Operator("not_exists", _nothing, _opposite(_exists)),
        Operator("is_true", _nothing, _is(True)),
        Operator("is_false", _nothing, _is(False)),
        Operator("is_empty", _nothing, _is_empty),
        Operator("matches", _pattern, _matches),
        Operator("before", _moment, _compares(_as_moment, lambda one, other: one < other)),
        Operator("after", _moment, _compares(_as_moment, lambda one, other: one > other)),
    )
}
"""All operators by name."""
