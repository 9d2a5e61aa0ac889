"""Reads a value as a struct, and lists everything that is wrong with it at once, each with its JSON pointer."""

import types
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, Any, TypeAlias, TypeVar, Union, get_args, get_origin

import msgspec

from domain.connector.config import fields_of, problems
from domain.values.json import Json, JsonObject
from domain.values.shapes import in_words

S = TypeVar("S", bound=msgspec.Struct)
MAX_MISTAKES = 100
Place: TypeAlias = tuple[str, ...]


class Mistake(msgspec.Struct, frozen=True):
    """One mistake in a file. `allowed`: what may stand there; `did_you_mean`: what was probably meant."""

    at: Place
    code: str
    reason: str
    did_you_mean: str = ""
    allowed: tuple[str, ...] = ()

    @property
    def pointer(self) -> str:
        """Where it is (RFC 6901)."""
        return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in self.at)

    def as_json(self) -> JsonObject:
        """As a problem shows it."""
        shown: JsonObject = {
            "path": ".".join(self.at), "pointer": self.pointer, "code": self.code, "reason": self.reason,
        }  # fmt: skip
        if self.did_you_mean:
            shown["did_you_mean"] = self.did_you_mean
        if self.allowed:
            shown["allowed"] = list[Json](self.allowed)
        return shown


def mistakes(kind: type[msgspec.Struct], value: Json, at: Place = ()) -> Iterator[Mistake]:
    """Everything that keeps a value from being read as this struct."""
    if not isinstance(value, dict):
        yield Mistake(at, "invalid", "must be an object")
        return
    fields = fields_of(kind)
    for name in value:
        if name not in fields:
            yield unknown(name, fields, at)
    for name, field in fields.items():
        if name in value:
            yield from _of(field.type, value[name], (*at, name))
        elif field.required:
            yield Mistake((*at, name), "required", "required")


def unknown(name: str, known: Mapping[str, object], at: Place) -> Mistake:
    """A name that is none of those."""
    near = get_close_matches(name[:100], list(known), 1)
    guess = near[0] if near else ""
    reason = "unknown field" + (f"; did you mean {guess}?" if guess else "")
    return Mistake((*at, name), "unknown_field", reason, guess, tuple(known))


def _of(kind: Any, value: Json, at: Place) -> Iterator[Mistake]:
    plain = _plain(kind)
    if isinstance(plain, type) and issubclass(plain, msgspec.Struct):
        yield from mistakes(plain, value, at)
        return
    inner = get_args(plain)
    if get_origin(plain) is dict and isinstance(value, dict) and _is_struct(inner[1]):
        for name, item in value.items():
            yield from _of_key(inner[0], name, at)
            yield from _of(inner[1], item, (*at, name))
    elif get_origin(plain) is tuple and isinstance(value, list) and _is_struct(inner[0]):
        for index, item in enumerate(value):
            yield from _of(inner[0], item, (*at, str(index)))
    else:
        yield from _of_leaf(kind, value, at)


def _of_key(kind: Any, name: str, at: Place) -> Iterator[Mistake]:
    try:
        msgspec.convert(name, kind)
    except msgspec.ValidationError:
        yield Mistake((*at, name), "invalid", "no name: letters, digits and _, beginning with a letter")


def _of_leaf(kind: Any, value: Json, at: Place) -> Iterator[Mistake]:
    holder = _holder(kind)
    for path, reason in problems(holder, {"it": value}).items() if value not in (None, "") else _empty(kind, value):
        below = [key for key in path.removeprefix("it").replace("[", ".").replace("]", "").split(".") if key]
        choices = reason.removeprefix("must be one of ").split(", ") if reason.startswith("must be one of") else []
        near = get_close_matches(str(value)[:100], choices, 1)
        guess = near[0] if near else ""
        words = reason + (f"; did you mean {guess}?" if guess else "")
        yield Mistake((*at, *below), "invalid", words, guess, tuple(choices))


@lru_cache(maxsize=500)
def _holder(kind: Any) -> type[msgspec.Struct]:
    return msgspec.defstruct("_Holder", [("it", kind)])


def _empty(kind: Any, value: Json) -> list[tuple[str, str]]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return [("it", _lower(in_words(error).partition(" - at")[0]))]
    return []


def _lower(reason: str) -> str:
    return reason[:1].lower() + reason[1:]


def _plain(kind: Any) -> Any:
    """The type without annotations, and without the possibility that it is not there."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        parts = [part for part in get_args(kind) if part not in (msgspec.UnsetType, type(None))]
        return _plain(parts[0]) if len(parts) == 1 else kind
    return kind


def _is_struct(kind: Any) -> bool:
    plain = _plain(kind)
    return isinstance(plain, type) and issubclass(plain, msgspec.Struct)
