"""Schemas of a description as JSON Schema 2020-12 with its definitions beside it: what a form and its check can use."""

from typing import Final

from domain.values.json import Json, JsonObject

MAX_DEFINITIONS = 300
"""Of one operation; what lies deeper is taken as anything."""
MAX_NESTED = 40
_PREFIX: Final = "#/components/schemas/"
_KEPT = frozenset(
    {
        "type", "title", "description", "default", "enum", "const", "format", "pattern", "minimum", "maximum",
        "minLength", "maxLength", "minItems", "maxItems", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    }
)  # fmt: skip
_MAX_TEXT = 300


class Definitions:
    """The definitions that one operation needs, collected while its schemas are written anew."""

    def __init__(self, components: JsonObject) -> None:
        self._components = components
        self.found: dict[str, Json] = {}

    def schema(self, schema: Json, depth: int = 0) -> Json:
        """The schema, with references into `$defs`; what cannot be said so takes anything."""
        if not isinstance(schema, dict) or depth > MAX_NESTED:
            return {}
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return self._reference(reference)
        made: JsonObject = {name: _short(name, schema[name]) for name in schema if name in _KEPT}
        _modernize(made, schema)
        if "example" in schema:
            made["examples"] = [schema["example"]]
        properties, items, more = schema.get("properties"), schema.get("items"), schema.get("additionalProperties")
        if isinstance(properties, dict):
            made["properties"] = {name: self.schema(one, depth + 1) for name, one in properties.items()}
            made["required"] = _required(schema, properties)
            made.setdefault("type", "object")
        if items is not None:
            made["items"] = self.schema(items, depth + 1)
        if more is not None and made.get("type") == "object":
            made["additionalProperties"] = more if isinstance(more, bool) else self.schema(more, depth + 1)
        for name in ("oneOf", "anyOf", "allOf"):
            parts = schema.get(name)
            if isinstance(parts, list):
                made[name] = [self.schema(part, depth + 1) for part in parts]
        return made

    def _reference(self, reference: str) -> Json:
        name = reference.removeprefix(_PREFIX)
        if name == reference or name not in self._components or "/" in name:
            return {}
        if name not in self.found:
            if len(self.found) >= MAX_DEFINITIONS:
                return {}
            self.found[name] = {}
            self.found[name] = self.schema(self._components[name])
        return {"$ref": f"#/$defs/{name}"}


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
    if made.get("type") in ("file", "any"):
        del made["type"]


def _required(schema: JsonObject, properties: JsonObject) -> list[Json]:
    """Without what only the service writes."""
    required = schema.get("required")
    return [
        name
        for name in (required if isinstance(required, list) else ())
        if isinstance(name, str) and not (isinstance(one := properties.get(name), dict) and one.get("readOnly") is True)
    ]
