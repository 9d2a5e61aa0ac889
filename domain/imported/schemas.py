"""Schemas of a description as JSON Schema 2020-12 with its definitions beside it: what a form and its check can use."""

import re
from collections.abc import Callable, Mapping

from domain.values.json import Json, JsonObject

MAX_DEFINITIONS = 300
"""Of one operation; what lies deeper is taken as anything."""
MAX_NESTED = 40
_SCHEMAS = re.compile(r"#/(?:components/schemas|definitions)/")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_NUMBERS = (
    "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf",
)  # fmt: skip
_KEPT: Mapping[str, type | tuple[type, ...]] = {
    "type": (str, list), "title": str, "description": str, "default": object, "enum": list, "const": object,
    "format": str, "pattern": str, **dict.fromkeys(_NUMBERS, (int, float)),
}  # fmt: skip
"""With the types of their values: any other value is a slip, and says nothing."""
_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_MAX_TEXT = 300


class Definitions:
    """The definitions that one operation needs, collected while its schemas are written anew.

    `find` gives what a local reference leads to, and None where it leads nowhere.
    """

    def __init__(self, find: Callable[[str], Json]) -> None:
        self._find = find
        self._names: dict[str, str] = {}
        self.found: dict[str, Json] = {}

    def schema(self, schema: Json) -> Json:
        """The schema, with references into `$defs`; what cannot be said so takes anything."""
        made = self._written(schema, 0)
        while len(self.found) < len(self._names):  # one by one, as references may form long chains
            reference, name = list(self._names.items())[len(self.found)]
            self.found[name] = self._written(self._find(reference), 0)
        return made

    def _written(self, schema: Json, depth: int) -> Json:
        if not isinstance(schema, dict) or depth > MAX_NESTED:
            return {}
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return self._reference(reference)
        made: JsonObject = {
            name: _short(name, value)
            for name, value in schema.items()
            if name in _KEPT and isinstance(value, _KEPT[name])
        }
        _modernize(made, schema)
        if "example" in schema:
            made["examples"] = [schema["example"]]
        properties, items, more = schema.get("properties"), schema.get("items"), schema.get("additionalProperties")
        if isinstance(properties, dict):
            made["properties"] = {name: self._written(one, depth + 1) for name, one in properties.items()}
            made["required"] = _required(schema, properties)
            made.setdefault("type", "object")
        if items is not None:
            made["items"] = self._written(items, depth + 1)
        if more is not None and made.get("type") == "object":
            made["additionalProperties"] = more if isinstance(more, bool) else self._written(more, depth + 1)
        for name in ("oneOf", "anyOf", "allOf"):
            parts = schema.get(name)
            if isinstance(parts, list):
                made[name] = [self._written(part, depth + 1) for part in parts]
        return made

    def _reference(self, reference: str) -> Json:
        if reference not in self._names:
            if len(self._names) >= MAX_DEFINITIONS or not isinstance(self._find(reference), dict):
                return {}
            plain = _NOT_IN_A_NAME.sub("_", _SCHEMAS.sub("", reference))[-100:].lstrip("_") or "schema"
            name, again = plain, 2
            while name in self._names.values():
                name, again = f"{plain}_{again}", again + 1
            self._names[reference] = name
        return {"$ref": f"#/$defs/{self._names[reference]}"}


def _short(name: str, value: Json) -> Json:
    return value[:_MAX_TEXT] if name in {"description", "title"} and isinstance(value, str) else value


def _modernize(made: JsonObject, schema: JsonObject) -> None:
    """What OpenAPI 3.0 and Swagger say otherwise than JSON Schema 2020-12."""
    kind = made.get("type")
    if schema.get("nullable") is True and isinstance(kind, str):
        made["type"] = [kind, "null"]
        choices = made.get("enum")
        if isinstance(choices, list) and None not in choices:
            made["enum"] = [*choices, None]
    for bound, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(made.get(bound), bool):
            strict = made.pop(bound)
            if strict and limit in made:
                made[bound] = made.pop(limit)
    kinds = made.get("type")
    if "type" in made and not _TYPES.issuperset(map(str, kinds if isinstance(kinds, list) else [kinds])):
        del made["type"]  # such as Swagger's file


def _required(schema: JsonObject, properties: JsonObject) -> list[Json]:
    """Without what only the service writes."""
    required = schema.get("required")
    return [
        name
        for name in (required if isinstance(required, list) else ())
        if isinstance(name, str) and not (isinstance(one := properties.get(name), dict) and one.get("readOnly") is True)
    ]
