"""What a type of msgspec is made of: the ways that a value may take, the structs and the items in it; and its words."""

import ast
import re
import types
import typing
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal, Union

import msgspec

from domain.values.email import EMAIL_PATTERN

_PATTERN = re.compile(r"""matching regex ('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")


HOST = r"^(\*\.)?([A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+\.?(:[0-9]{1,5})?\Z|^\[[0-9A-Fa-f:.]*[0-9A-Fa-f:]\](:[0-9]{1,5})?\Z"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*\Z"
NAME = r"^[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*\Z"
TRIMMED = r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?\Z"
LINE = r"^[^\x00-\x1f\x7f]+\Z"
"""Control characters are no part of a name or a code, and NUL the database would refuse."""
_NO_CONTROLS = "without line breaks and other control characters"
_IN_WORDS: Mapping[str, str] = MappingProxyType(
    {
        EMAIL_PATTERN: "that is an e-mail address",
        NAME: f"that begins with no blank, and is {_NO_CONTROLS}",
        TRIMMED: f"that neither begins nor ends with a blank, and is {_NO_CONTROLS}",
        LINE: _NO_CONTROLS,
        LINE.replace("+", "*"): _NO_CONTROLS,
        r"^[^\x00]*\Z": "without NUL characters",
        HOST: "that is a host such as api.example.com or *.example.com",
        VARIABLE: "of letters, digits and _ that does not begin with a digit",
    }
)
_CODE = re.compile(r"\^\[a-z\]\[a-z0-9_\]\{0,(\d+)\}\\Z")


def ecma(pattern: str) -> str:
    r"""A pattern as JSON Schema has it. Ours end with `\Z`, as to Python `$` is also before a last line break."""
    return pattern.replace(r"\Z", "$")


def in_words(error: Exception) -> str:
    """What msgspec says is wrong with a value; patterns in words, or else as JSON Schema has them."""
    return _PATTERN.sub(lambda found: _fits(ast.literal_eval(found[1])), str(error))


def _fits(pattern: str) -> str:
    if code := _CODE.fullmatch(pattern):
        return f"of small letters, digits and _ that begins with a letter, with at most {int(code[1]) + 1} characters"
    return _IN_WORDS.get(pattern, f"that matches {ecma(pattern)}")


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


def literals(wanted: object) -> list[str]:
    """The texts of a Literal, and of those in a union."""
    return [
        str(choice)
        for option in options(wanted)
        if typing.get_origin(option) is Literal
        for choice in typing.get_args(option)
    ]


def literals_at(wanted: object, names: Sequence[str], value: object) -> list[str]:
    """The same of the field that the names lead to; `value`, what stands there, tells which struct of several it is."""
    for name in names:
        structs = structs_of(wanted)
        if len(structs) > 1:
            tag = value.get(structs[0].__struct_config__.tag_field) if isinstance(value, Mapping) else None
            structs = [struct for struct in structs if struct.__struct_config__.tag == tag]
        types_ = {field.encode_name: field.type for struct in structs for field in msgspec.structs.fields(struct)}
        wanted, value = types_.get(name), value.get(name) if isinstance(value, Mapping) else None
    return literals(wanted)


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
