"""What a type of msgspec is made of: the ways that a value may take, the structs and the items in it; and its words."""

import ast
import re
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Union

import msgspec

from domain.values.email import EMAIL_PATTERN

HOST = r"^(\*\.)?([A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+\.?(:[0-9]{1,5})?\Z|^\[[0-9A-Fa-f:.]*[0-9A-Fa-f:]\](:[0-9]{1,5})?\Z"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*\Z"
_CALLED: Mapping[str, str] = {
    EMAIL_PATTERN: "an e-mail address",
    HOST: "a host such as api.example.com or *.example.com",
    VARIABLE: "a name of letters, digits and _ that begins with no digit",
}
"""Patterns that people break, by what fits them."""
_PATTERN = re.compile(r"""matching regex ('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")


def ecma(pattern: str) -> str:
    r"""A pattern as JSON Schema has it. Ours end with `\Z`, as to Python `$` is also before a last line break."""
    return pattern.replace(r"\Z", "$")


def in_words(error: Exception) -> str:
    """What msgspec says is wrong with a value; patterns as JSON Schema has them, where it spells them for Python."""
    return _PATTERN.sub(lambda found: _fits(ast.literal_eval(found[1])), str(error))


def _fits(pattern: str) -> str:
    return f"that is {_CALLED[pattern]}" if pattern in _CALLED else f"that matches {ecma(pattern)}"


def options(wanted: Any) -> list[Any]:
    """The types that a union has, and any other type alone; without Annotated around them."""
    while typing.get_origin(wanted) is Annotated:
        wanted = typing.get_args(wanted)[0]
    if typing.get_origin(wanted) in (Union, types.UnionType):
        return [inner for part in typing.get_args(wanted) for inner in options(part)]
    return [wanted]


def structs_of(wanted: Any) -> list[type[msgspec.Struct]]:
    """The structs among them: several where a tag tells them apart."""
    return [option for option in options(wanted) if isinstance(option, type) and issubclass(option, msgspec.Struct)]


def item_type(option: object) -> object | None:
    """The type of the items of a list or tuple; None for what is neither."""
    origin, arguments = typing.get_origin(option), typing.get_args(option)
    is_list = origin is list or (origin is tuple and len(arguments) == 2 and arguments[1] is ...)
    return arguments[0] if is_list else None


def value_type(option: object) -> object | None:
    """The type of the values of a mapping; None for what is none."""
    origin = typing.get_origin(option)
    is_mapping = isinstance(origin, type) and issubclass(origin, Mapping)
    return typing.get_args(option)[1] if is_mapping else None
