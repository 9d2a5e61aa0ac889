"""Checks a config against that part of JSON Schema which forms use. All mistakes come at once, each with its path.

What is not understood is taken as fitting: the target has the last word. A template fits any type.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import cast

import re2

from domain.connector.config import BadConfig, is_template
from domain.language.spelling import spelled
from domain.values.json import Json, JsonObject

MAX_PROBLEMS = 50
MAX_NESTED = 20
"""Levels of a schema that are looked at."""
_NAMES = {
    "object": "an object", "array": "a list", "string": "text", "integer": "a whole number", "number": "a number",
    "boolean": "true or false", "null": "null",
}  # fmt: skip


def problems(schema: JsonObject, saved: Json, *, rendered: bool = False) -> dict[str, str]:
    """What is wrong with a config, by path. As saved, templates fit; once `rendered`, they are text."""
    found: dict[str, str] = {}
    for path, reason in _Check(schema, lenient=not rendered).walk(schema, saved, "", 0):
        found.setdefault(path, reason)
        if len(found) == MAX_PROBLEMS:
            break
    return found


def read(schema: JsonObject, config: JsonObject) -> JsonObject:
    """The rendered config: with defaults, without what is not set, texts as the numbers that they say.

    Raises BadConfig.
    """
    fitted = cast("JsonObject", _fitted(schema, schema, config, 0))
    wrong = problems(schema, fitted, rendered=True)
    if wrong:
        raise BadConfig("; ".join(f"{path}: {reason}" if path else reason for path, reason in wrong.items()))
    return fitted


def resolved(root: JsonObject, schema: Json, depth: int = 0) -> JsonObject:
    """The schema behind a reference to `#/$defs/…`; an empty one, which takes everything, where there is none."""
    if not isinstance(schema, dict):
        return {}
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    definitions, name = root.get("$defs"), reference.removeprefix("#/$defs/")
    there = definitions.get(name) if isinstance(definitions, dict) else None
    return resolved(root, there, depth + 1) if depth < MAX_NESTED else {}


def types_of(schema: JsonObject) -> tuple[str, ...]:
    """The types that a schema allows; none where it allows all."""
    wanted = schema.get("type")
    if isinstance(wanted, list):
        return tuple(str(name) for name in wanted)
    return (wanted,) if isinstance(wanted, str) else ()


def _fitted(root: JsonObject, schema: Json, value: Json, depth: int) -> Json:
    if depth > MAX_NESTED:
        return value
    known = resolved(root, schema)
    types = types_of(known)
    match value:
        case str() if types and "string" not in types:
            return _as_said(value, types)
        case float() if "integer" in types and "number" not in types and value.is_integer():
            return int(value)  # services that take whole numbers refuse 1.0
        case int() | float() if types == ("string",) and not isinstance(value, bool):
            return spelled(value)  # an id that is a number
        case dict():
            properties = known.get("properties")
            fields = properties if isinstance(properties, dict) else {}
            given = {
                name: _fitted(root, fields.get(name), item, depth + 1)
                for name, item in value.items()
                if item is not None or name not in fields or "null" in types_of(resolved(root, fields[name]))
            }
            missing = {
                name: field["default"]
                for name, field in fields.items()
                if name not in given and isinstance(field, dict) and "default" in field
            }
            return {**missing, **given}
        case list():
            return [_fitted(root, known.get("items"), item, depth + 1) for item in value]
    return value


def _as_said(text: str, types: tuple[str, ...]) -> Json:
    """The number, or the yes or no, that a text says; itself where it says none."""
    plain = text.strip()
    if "boolean" in types and plain in {"true", "false"}:
        return plain == "true"
    if len(plain) <= 40 and ("integer" in types or "number" in types):
        try:
            number = int(plain) if "." not in plain and "e" not in plain.lower() else float(plain)
        except ValueError:
            return text
        return int(number) if "number" not in types and number == number // 1 else number
    return text


class _Check:
    def __init__(self, root: JsonObject, *, lenient: bool) -> None:
        self._root = root
        self._lenient = lenient

    def walk(self, schema: Json, value: Json, path: str, depth: int) -> Iterator[tuple[str, str]]:
        """Each mistake with its path."""
        if depth > MAX_NESTED or (self._lenient and is_template(value)):
            return
        known = resolved(self._root, schema)
        types = types_of(known)
        if types and not any(_is_of(value, name) for name in types):
            yield path, f"must be {' or '.join(_NAMES.get(name, name) for name in types)}"
            return
        yield from _of_value(known, value, path)
        if isinstance(value, dict):
            yield from self._of_object(known, value, path, depth)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from self.walk(known.get("items"), item, _below(path, index), depth + 1)
        yield from self._of_variants(known, value, path, depth)

    def _of_object(self, schema: JsonObject, value: JsonObject, path: str, depth: int) -> Iterator[tuple[str, str]]:
        properties = schema.get("properties")
        fields: Mapping[str, Json] = properties if isinstance(properties, dict) else {}
        required = schema.get("required")
        for name in required if isinstance(required, list) else ():
            if isinstance(name, str) and value.get(name) in (None, ""):
                yield _below(path, name), "required"
        more = schema.get("additionalProperties", True)
        for name, item in value.items():
            if name in fields:
                if item is None and self._lenient:
                    continue
                yield from self.walk(fields[name], item, _below(path, name), depth + 1)
            elif more is False:
                yield _below(path, name), unknown(name, fields)
            elif isinstance(more, dict):
                yield from self.walk(more, item, _below(path, name), depth + 1)

    def _of_variants(self, schema: JsonObject, value: Json, path: str, depth: int) -> Iterator[tuple[str, str]]:
        parts = schema.get("allOf")
        for part in parts if isinstance(parts, list) else ():
            yield from self.walk(part, value, path, depth + 1)
        for key in ("anyOf", "oneOf"):
            variants = schema.get(key)
            if not isinstance(variants, list) or not variants:
                continue
            tried = [next(self.walk(variant, value, path, depth + 1), None) for variant in variants]
            if None not in tried:
                deepest = max((one for one in tried if one), key=lambda one: len(one[0]))
                is_inside = len(deepest[0]) > len(path)
                yield deepest if is_inside else (path, f"fits none of {len(variants)} variants: {deepest[1]}")


def unknown(name: str, known: Mapping[str, object]) -> str:
    """What to say of a field that is not known."""
    near = get_close_matches(name[:100], list(known), 1)
    shown = ", ".join(list(known)[:30])
    return f"unknown field; known: {shown}" + (f"; did you mean {near[0]}?" if near else "")


def _below(path: str, key: str | int) -> str:
    return f"{path}.{key}" if path else str(key)


def _is_of(value: Json, name: str) -> bool:
    match name:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "integer":
            whole = isinstance(value, float) and value.is_integer()
            return (isinstance(value, int) and not isinstance(value, bool)) or whole
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
    return True


def _of_value(schema: JsonObject, value: Json, path: str) -> Iterator[tuple[str, str]]:
    choices = schema.get("enum")
    if isinstance(choices, list) and value not in choices:
        shown = ", ".join(str(choice) for choice in choices[:30])
        near = get_close_matches(str(value)[:100], [str(choice) for choice in choices], 1)
        yield path, f"must be one of {shown}" + (f"; did you mean {near[0]}?" if near else "")
    if "const" in schema and value != schema["const"]:
        yield path, f"must be {schema['const']}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield from _of_size(schema, value, path, ("minimum", "maximum"))
    elif isinstance(value, str):
        yield from _of_size(schema, len(value), path, ("minLength", "maxLength"), " characters")
        pattern = schema.get("pattern")
        if isinstance(pattern, str) and not matches(pattern, value):
            yield path, f"must match {pattern[:100]}"
    elif isinstance(value, list):
        yield from _of_size(schema, len(value), path, ("minItems", "maxItems"), " items")


def _of_size(
    schema: JsonObject, size: float, path: str, names: tuple[str, str], of: str = ""
) -> Iterator[tuple[str, str]]:
    low, high = schema.get(names[0]), schema.get(names[1])
    verb = "have" if of else "be"
    if isinstance(low, int | float) and size < low:
        yield path, f"must {verb} at least {low:g}{of}"
    if isinstance(high, int | float) and size > high:
        yield path, f"must {verb} at most {high:g}{of}"


def matches(pattern: str, value: str) -> bool:
    """Whether a linear regular expression matches; one that RE2 does not know matches everything."""
    options = re2.Options()
    options.log_errors = False
    try:
        return len(pattern) > 1_000 or len(value) > 100_000 or re2.search(pattern, value, options) is not None
    except re2.error:
        return True
