"""The form of an approval, which is a JSON Schema of its zap's owner: its fields, and what people write into them."""

import re
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from domain.connector.input_schema import mistake_in, violations
from domain.values.json import Json, JsonObject, MalformedJson, parse_strictly

MAX_FORM = 16 * 1024
"""Bytes of a form's schema."""
MAX_FIELDS = 50
MAX_NAME = 100
RESERVED = ("decision", "comment")
"""Fields of every answer."""
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_ON = frozenset({"on", "true", "yes", "1"})
_OFF = frozenset({"off", "false", "no", "0", ""})


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field. `kind` says how it is filled in, `default` is the text that it begins with."""

    name: str
    title: str
    about: str = ""
    kind: Literal["text", "long", "number", "date", "choice", "check", "json"] = "text"
    choices: tuple[str, ...] = ()
    required: bool = False
    default: str = ""


_REFERENCES = (b'"$ref"', b'"$dynamicRef"', b'"$recursiveRef"')
"""They multiply: a small schema could take longer than anybody lives, and answers are checked while people wait."""


def mistake_in_form(form: JsonObject) -> str | None:
    """Why a schema is no form; None where it is."""
    written = msgspec.json.encode(form)
    if len(written) > MAX_FORM:
        return f"a form may have {MAX_FORM:,} bytes"
    if any(reference in written for reference in _REFERENCES):
        return "a form has no references: write each field out"
    reason = mistake_in(form)
    if reason:
        return reason
    properties = form.get("properties", {})
    if form.get("type") != "object" or not isinstance(properties, dict):
        return "a form is a JSON Schema of type object, with a property for each field"
    if len(properties) > MAX_FIELDS:
        return f"a form may have {MAX_FIELDS} fields"
    for name in properties:
        if name in RESERVED:
            return f"{name} is a field of every answer: give this one another name"
        if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
            return f"the name of a field has 1 to {MAX_NAME} printable characters"
    return None


def fields(form: Mapping[str, Json]) -> Iterator[Field]:
    """The fields in their order."""
    required = form.get("required", [])
    for name, rules in _properties(form).items():
        yield Field(
            name=name,
            title=_text(rules, "title") or name,
            about=_text(rules, "description"),
            kind=_kind(rules),
            choices=tuple(_said(choice) for choice in _choices(rules)),
            required=isinstance(required, list) and name in required,
            default=_said(rules["default"]) if "default" in rules else "",
        )


def filled_in(form: Mapping[str, Json], given: Mapping[str, str]) -> JsonObject:
    """The values that texts of a web form stand for. A text that is no such value stays one, so that it is refused.

    An empty text says nothing, so the field is left out.
    """
    found: JsonObject = {}
    for name, rules in _properties(form).items():
        text = given.get(name, "")
        if _type(rules) == "boolean":
            found[name] = _boolean(text)
        elif text:
            found[name] = _value(rules, text)
    return found


def wrong(form: Mapping[str, Json], values: JsonObject, *, complete: bool) -> list[tuple[str, str]]:
    """Where values break a form, and how: JSON pointers and reasons. Without `complete` fields may be missing."""
    if _has_nul(values):
        return [("", "there is a NUL character in it, which no text needs")]
    if not form:
        return [(f"/{name}", "this approval has no form") for name in list(values)[:1]]
    asked = {name: rule for name, rule in form.items() if complete or name != "required"}
    return list(violations(asked, values))


def _has_nul(value: Json) -> bool:
    """Whether a text somewhere in it has a NUL character, which the database takes in no text."""
    match value:
        case str():
            return "\0" in value
        case list():
            return any(map(_has_nul, value))
        case dict():
            return any(_has_nul(name) or _has_nul(item) for name, item in value.items())
        case _:
            return False


def _properties(form: Mapping[str, Json]) -> dict[str, JsonObject]:
    found = form.get("properties", {})
    return (
        {name: rules if isinstance(rules, dict) else {} for name, rules in found.items()}
        if isinstance(found, dict)
        else {}
    )


def _text(rules: JsonObject, name: str) -> str:
    value = rules.get(name)
    return value if isinstance(value, str) else ""


def _type(rules: JsonObject) -> str:
    """The type of a field; of several, the first that is not null."""
    wanted = rules.get("type")
    options = wanted if isinstance(wanted, list) else [wanted]
    return next((option for option in options if isinstance(option, str) and option != "null"), "")


def _choices(rules: JsonObject) -> list[Json]:
    choices = rules.get("enum")
    return choices if isinstance(choices, list) else []


def _kind(rules: JsonObject) -> Literal["text", "long", "number", "date", "choice", "check", "json"]:
    wanted = _type(rules)
    if wanted == "boolean":
        return "check"
    if _choices(rules):
        return "choice"
    if wanted in ("number", "integer"):
        return "number"
    if wanted == "string":
        longest = rules.get("maxLength")
        if rules.get("format") == "date":
            return "date"
        return "long" if isinstance(longest, int) and longest > 200 else "text"
    return "json"


def _said(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _boolean(text: str) -> Json:
    return True if text.lower() in _ON else False if text.lower() in _OFF else text


def _value(rules: JsonObject, text: str) -> Json:
    for choice in _choices(rules):
        if _said(choice) == text:
            return choice
    wanted = _type(rules)
    if wanted == "string":
        return text
    if wanted in ("number", "integer"):
        return _number(text.strip())
    try:
        return parse_strictly(text.encode("utf-8", "replace"))
    except MalformedJson:
        return text


def _number(text: str) -> Json:
    if not _NUMBER.fullmatch(text):
        return text
    number = float(text)
    return int(text) if text.lstrip("-").isdigit() else number if abs(number) != float("inf") else text
