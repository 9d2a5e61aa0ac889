"""What each route takes besides its body: path, query and header parameters, with their types and rules."""

import re
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, ParameterKwarg, PathParameter, QueryParameter
from litestar.types import Empty
from litestar.typing import FieldDefinition

from domain.values.json import Json
from domain.values.shapes import options

In: TypeAlias = Literal["path", "query", "header"]
_KINDS: Mapping[type, In] = {PathParameter: "path", QueryParameter: "query", HeaderParameter: "header"}
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_RULES = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length")


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter: its type has the rules that its value keeps."""

    name: str
    place: In
    type: Any
    required: bool
    default: Any = None
    description: str = ""

    @property
    def repeats(self) -> bool:
        """Whether it may be given several times."""
        return any(get_origin(option) in (list, tuple) for option in options(self.type))

    def read(self, text: str) -> Json:
        """A query's text as the JSON value that it stands for; left as text where it is no such value."""
        wanted = options(self.type)
        inner = [part for option in wanted for part in options(get_args(option)[0])] if self.repeats else wanted
        if int in inner and _INTEGER.fullmatch(text):
            return int(text)
        if bool in inner and text in ("true", "false"):
            return text == "true"
        return text


def parameters(handler: HTTPRouteHandler) -> list[Parameter]:
    """All that a route takes, what its dependencies take included."""
    fields = dict(handler.parsed_fn_signature.parameters)
    for provider in handler.resolve_dependencies().values():
        if provider.parsed_fn_signature.parameters and _is_asked_for(handler, provider):
            fields = dict(provider.parsed_fn_signature.parameters) | fields
    return list(_parameters(fields))


def _is_asked_for(handler: HTTPRouteHandler, provider: object) -> bool:
    wanted = handler.parsed_fn_signature.parameters
    return any(found is provider for name, found in handler.resolve_dependencies().items() if name in wanted)


def _parameters(fields: Mapping[str, FieldDefinition]) -> Iterator[Parameter]:
    for name, field in fields.items():
        kwarg = field.kwarg_definition
        place = _KINDS.get(type(kwarg))
        if place is None or not isinstance(kwarg, ParameterKwarg):
            continue
        rules = {rule: value for rule in _RULES if (value := getattr(kwarg, rule)) is not None}
        yield Parameter(
            name=kwarg.name or name,
            place=place,
            type=_with_rules(field.annotation, rules),
            required=place == "path" or field.default is Empty,
            default=None if field.default is Empty else field.default,
            description=kwarg.description or "",
        )


def _with_rules(annotation: Any, rules: Mapping[str, Any]) -> Any:
    """The type of a value that is given: what is left out is None, and rules are about the rest."""
    kept = [option for option in options(annotation) if option is not type(None)]
    wanted = reduce(or_, kept)
    return Annotated[wanted, msgspec.Meta(**rules)] if rules else wanted
