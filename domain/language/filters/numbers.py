"""Filters that calculate: on decimals, as on paper, so that 0.1 plus 0.2 is 0.3."""

import re
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, DecimalException
from typing import TypeAlias

from domain.language.filters.filter import FilterError, Filters, whole_number
from domain.language.spelling import described, spelled

ALL = Filters()
Number: TypeAlias = int | Decimal

MAX_DIGITS = 400
"""Digits of a number that filters calculate with."""
_CONTEXT = Context(prec=2 * MAX_DIGITS, Emax=2 * MAX_DIGITS, Emin=-2 * MAX_DIGITS)
_DIVISION = Context(prec=28, Emax=2 * MAX_DIGITS, Emin=-2 * MAX_DIGITS)
_NUMBER = re.compile(r"-?[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,18})?")
_LEADING = re.compile(r"\s{0,9}[+-]?[0-9]{1,400}(?![0-9])")


def number(value: object) -> Number:
    """A value as a number; as in Liquid, of other text the whole number that it begins with, and 0 for anything else.

    Raises FilterError.
    """
    found = _read(value)
    if found is None and isinstance(value, str) and (leading := _LEADING.match(value)):
        return int(leading[0])
    return 0 if found is None else found


def _read(value: object) -> Number | None:
    match value:
        case bool():
            return None
        case int() | Decimal():
            return value
        case float():
            return Decimal(repr(value))
        case str() if _NUMBER.fullmatch(value.strip()):
            text = value.strip()
            return _bounded(Decimal(text)) if set(text) & set(".eE") else int(text)
    return None


def result(value: Number) -> int | float:
    """A calculated number as JSON has it. Raises FilterError."""
    value = _bounded(value)
    return float(value) if isinstance(value, Decimal) else value


def _bounded(value: Number) -> Number:
    too_large = (
        value.bit_length() > MAX_DIGITS * 10 // 3 if isinstance(value, int) else value.adjusted() > min(MAX_DIGITS, 307)
    )
    if too_large:
        raise FilterError("the number is too large")
    return value


def _of_two(value: object, other: object, calculate: Callable[[Number, Number], Number]) -> int | float:
    one, two = number(value), number(other)
    if not (isinstance(one, int) and isinstance(two, int)):
        one, two = Decimal(one), Decimal(two)
    _bounded(one)
    _bounded(two)
    try:
        return result(calculate(one, two))
    except DecimalException:
        raise FilterError("the number is too large") from None


@ALL.add("plus", "{{ 0.1 | plus: 0.2 }}", "0.3")
def plus(value: object, other: object) -> int | float:
    """Adds a number."""
    return _of_two(value, other, lambda a, b: _CONTEXT.add(a, b) if isinstance(a, Decimal) else a + b)


@ALL.add("minus", "{{ 1 | minus: 0.9 }}", "0.1")
def minus(value: object, other: object) -> int | float:
    """Subtracts a number."""
    return _of_two(value, other, lambda a, b: _CONTEXT.subtract(a, b) if isinstance(a, Decimal) else a - b)


@ALL.add("times", "{{ 1.1 | times: 3 }}", "3.3")
def times(value: object, other: object) -> int | float:
    """Multiplies by a number."""
    return _of_two(value, other, lambda a, b: _CONTEXT.multiply(a, b) if isinstance(a, Decimal) else a * b)


@ALL.add("divided_by", "{{ 7 | divided_by: 2.0 }}", "3.5")
def divided_by(value: object, other: object) -> int | float:
    """Divides by a number; two whole numbers give a whole number, rounded down."""
    if not number(other):
        raise FilterError("can not divide by 0")
    return _of_two(value, other, lambda a, b: _DIVISION.divide(a, b) if isinstance(a, Decimal) else a // b)


@ALL.add("modulo", "{{ 7 | modulo: 3 }}", "1")
def modulo(value: object, other: object) -> int | float:
    """The remainder of a division."""
    if not number(other):
        raise FilterError("can not divide by 0")
    return _of_two(value, other, _remainder)


def _remainder(one: Number, two: Number) -> Number:
    if isinstance(one, int):
        return one % two
    left = _CONTEXT.remainder(one, two)
    return _CONTEXT.add(left, two) if left and (left < 0) != (two < 0) else left


@ALL.add("abs", "{{ -3 | abs }}", "3")
def abs_(value: object) -> int | float:
    """Drops the sign."""
    exact = number(value)
    return result(_CONTEXT.abs(exact) if isinstance(exact, Decimal) else abs(exact))


@ALL.add("at_least", "{{ 3 | at_least: 5 }}", "5")
def at_least(value: object, least: object) -> int | float:
    """The larger of two numbers."""
    one, other = number(value), number(least)
    return result(max(one, other))


@ALL.add("at_most", "{{ 7 | at_most: 5 }}", "5")
def at_most(value: object, most: object) -> int | float:
    """The smaller of two numbers."""
    one, other = number(value), number(most)
    return result(min(one, other))


@ALL.add("ceil", "{{ 1.2 | ceil }}", "2")
def ceil(value: object) -> int:
    """Rounds up to a whole number."""
    return _rounded(number(value), 0, ROUND_CEILING)


@ALL.add("floor", "{{ 1.8 | floor }}", "1")
def floor(value: object) -> int:
    """Rounds down to a whole number."""
    return _rounded(number(value), 0, ROUND_FLOOR)


@ALL.add("round", "{{ 2.675 | round: 2 }}", "2.68")
def round_(value: object, digits: object = 0) -> int | float:
    """Rounds to a whole number, or to that many decimal places; halves are rounded away from zero."""
    exact, places = number(value), max(-MAX_DIGITS, min(MAX_DIGITS, whole_number(digits or 0)))
    if places <= 0:
        return _rounded(exact, places, ROUND_HALF_UP)
    if isinstance(exact, int) or -int(_exponent(exact)) <= places:
        return result(exact)
    return result(exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _CONTEXT))


@ALL.add("format_number", "{{ 1234.5 | format_number: 2, ',', '.' }}", "1.234,50")
def format_number(value: object, digits: object = 2, point: object = ".", groups: object = "") -> str:
    """Writes a number as money is: with so many decimal places, what stands before them, and between thousands."""
    places = whole_number(digits)
    if not 0 <= places <= 30:
        raise FilterError("a number is written with 0 to 30 decimal places")
    found = _read(value)
    if found is None:
        raise FilterError(f"expected a number, found {described(value)}")
    try:
        exact = Decimal(found).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _CONTEXT)
    except DecimalException:
        raise FilterError("the number is too large") from None
    whole, _, part = f"{exact + 0:,f}".partition(".")
    return whole.replace(",", spelled(groups)) + (spelled(point) + part if part else "")


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


def _rounded(value: Number, places: int, how: str) -> int:
    value = _bounded(Decimal(value))
    try:
        return int(Decimal(value).quantize(Decimal(1).scaleb(-places), how, _CONTEXT))
    except DecimalException:
        return 0
