"""A filter: a function over JSON values that knows its name, its line of documentation and an example."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, TypeVar

import msgspec

from domain.language.spelling import described

Function: TypeAlias = Callable[..., object]
F = TypeVar("F", bound=Function)


class FilterError(ValueError):
    """A filter cannot use its input or an argument; the message says what it needs."""


class Filter(msgspec.Struct, frozen=True, eq=False):
    """`example` is a template over EXAMPLE that gives `result`. `any_size`: its work does not grow with its input.

    `work` is that of a call beside its input and output, in characters handled.
    """

    name: str
    call: Function
    example: str
    result: str
    any_size: bool = False
    work: int = 20

    @property
    def doc(self) -> str:
        """What it does, in one line."""
        return (self.call.__doc__ or "").splitlines()[0]

    def misuse(self, positional: int, named: Sequence[str]) -> str | None:
        """What is wrong with a call that has this many arguments; None where nothing is."""
        parameters = list(inspect.signature(self.call).parameters.values())[1:]
        takes = [parameter for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
        needs = sum(parameter.default is parameter.empty for parameter in takes)
        options = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
        unknown = [name for name in named if name not in options]
        if unknown:
            return f"{self.name} has no option {unknown[0]}"
        if needs <= positional <= len(takes):
            return None
        many = f"{needs}" if needs == len(takes) else f"{needs} to {len(takes)}"
        return f"{self.name} takes {many if takes else 'no'} argument{'s' * (many != '1')}, like {self.example}"


class Filters:
    """Collects the filters of one module."""

    def __init__(self) -> None:
        self.filters: list[Filter] = []

    def add(self, name: str, example: str, result: str, *, any_size: bool = False, work: int = 20) -> Callable[[F], F]:
        """Registers the decorated function as a filter."""

        def keep(call: F) -> F:
            self.filters.append(Filter(name, call, example, result, any_size, work))
            return call

        return keep


def whole_number(value: object) -> int:
    """An argument as a whole number. Raises FilterError."""
    match value:
        case bool() | None:
            pass
        case int():
            return max(-(2**62), min(2**62, value))
        case float() if value.is_integer():
            return int(value)
        case str() if len(value) <= 20 and value.strip().lstrip("-").isdecimal() and value.isascii():
            return int(value)
    raise FilterError(f"expected a whole number, found {described(value)}")


def field(item: object, key: object) -> object:
    """A field of an item, None where it has no such field."""
    return item.get(key if isinstance(key, str) else str(key)) if isinstance(item, Mapping) else None
