"""A config that is declared as one struct: its JSON Schema, its checks and its reading follow from that."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import TypeVar, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo

from domain.language.template import makes_text
from domain.values.json import Json, JsonObject
from domain.values.shapes import ecma, in_words

C = TypeVar("C", bound=msgspec.Struct)
_TEMPLATE = re.compile(r"\{\{|\{%")
_MADE_OF_PARTS = re.compile(r"Expected `(array|object)(?: \| null)?`, got `str`")
_MARKED = re.compile(r"`([^`]*)`")
"""What msgspec marks as JSON; a pattern may hold the mark itself."""
_PLACE = re.compile(r" - at `\$\.?(.*)`\Z", re.DOTALL)


class BadConfig(ValueError):
    """A rendered config that no action can work with. The message begins with the path of the field."""


@cache
def fields_of(kind: type[msgspec.Struct]) -> Mapping[str, FieldInfo]:
    """The fields of a struct by their names in JSON. Cached: to work them out takes a tenth of a millisecond."""
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


def is_template(text: Json) -> bool:
    """Whether the value is text that is rendered before it is used."""
    return isinstance(text, str) and bool(_TEMPLATE.search(text))


def config_schema(config: type[msgspec.Struct]) -> JsonObject:
    """The struct as a JSON Schema object, as the catalog shows it; structs inside of it stand where they are named."""
    (reference,), components = msgspec.json.schema_components([config], ref_template="{name}")
    schema = _whole(components[str(reference["$ref"])], components)
    assert isinstance(schema, dict), "a struct's schema is an object"
    schema.pop("title")
    schema.pop("description", None)
    return {"required": [], "additionalProperties": False, **schema}


def _whole(schema: Json, components: Mapping[str, JsonObject]) -> Json:
    """A schema without references. What stands beside a reference counts more than what it leads to."""
    if isinstance(schema, list):
        return [_whole(part, components) for part in schema]
    if not isinstance(schema, dict):
        return schema
    others = {key: _whole(part, components) for key, part in schema.items() if key != "$ref"}
    if isinstance(pattern := others.get("pattern"), str):
        others["pattern"] = ecma(pattern)
    if "$ref" not in schema:
        return others
    known = {key: part for key, part in components[str(schema["$ref"])].items() if key != "title"}
    named = _whole(known, components)
    return {**named, **others} if isinstance(named, dict) else others


def problems(config: type[msgspec.Struct], saved: JsonObject) -> dict[str, str]:
    """What is wrong with a config as saved, by path; a template fits any type."""
    fields = fields_of(config)
    found = {name: _unknown(name, fields) for name in saved if name not in fields}
    for name, field in fields.items():
        value = saved.get(name)
        if value is None or value == "":
            if field.required:
                found[name] = "required"
        elif is_template(value):
            lacking = _no_text(field.type) if makes_text(str(value)) else None
            if lacking:
                found[name] = f"{lacking}, and this template gives text, as filters do but for parse_json at their end"
        else:
            try:
                msgspec.convert(value, field.type)
            except msgspec.ValidationError as error:
                path, reason = _explained(error, field.type)
                found[f"{name}.{path}".replace(".[", "[").rstrip(".")] = reason
    return found


def _no_text(wanted: object) -> str | None:
    """What a field takes that can never be made of text; None where text may fit."""
    try:
        msgspec.convert("", wanted, strict=False)
    except msgspec.ValidationError as error:
        found = _MADE_OF_PARTS.match(in_words(error))
        return f"expected {found[1]}" if found else None
    return None


def _unknown(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name[:100], list(known), 1)
    return f"unknown field; known: {', '.join(known)}" + (f"; did you mean {near[0]}?" if near else "")


def fixed_problems(config: type[msgspec.Struct], saved: JsonObject) -> dict[str, str]:
    """The same for a config that is used as it is saved, as triggers' are: no template stands in for a value."""
    found = problems(config, saved)
    if found:
        return found
    try:
        read(config, saved, strict=True)
    except BadConfig as error:
        path, mark, reason = str(error).partition(": ")
        return {path: reason} if mark else {"": path}
    return {}


def present(rendered: JsonObject, *, but: str = "") -> JsonObject:
    """The fields that are set: what a template gives as null is left out, `but` for one of which null is a value."""
    return {name: value for name, value in rendered.items() if value is not None or name == but}


def read(config: type[C], rendered: JsonObject, *, strict: bool = False) -> C:
    """The rendered config; text that a template has made may be a number, unless `strict`. Raises BadConfig."""
    try:
        return msgspec.convert(rendered, config, strict=strict)
    except msgspec.ValidationError as error:
        path, reason = _explained(error, None)
        field = fields_of(config).get(path)
        if field is not None:
            reason = _explained(error, field.type)[1]
        raise BadConfig(f"{path}: {reason}" if path else reason) from None


def _explained(error: msgspec.ValidationError, wanted: object) -> tuple[str, str]:
    """The place inside the value, and the reason in the words of the user's JSON."""
    text = in_words(error)
    place = _PLACE.search(text)
    reason = _MARKED.sub(r"\1", _PLACE.sub("", text))
    choices = _choices(wanted)
    if choices:
        reason = f"must be one of {', '.join(choices)}"
    known, _, _behind = (place[1] if place else "").partition("[...]")  # msgspec does not say under which key
    return known, reason[:1].lower() + reason[1:]


def _choices(wanted: object) -> list[str]:
    """The values of a Literal, also inside Annotated and unions."""
    found: list[str] = []
    for part in get_args(wanted):
        found += [part] if isinstance(part, str) and get_origin(wanted) is not None else _choices(part)
    return found
