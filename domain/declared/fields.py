"""The form of an action, as JSON Schema."""

from collections.abc import Mapping

import msgspec

from domain.declared.file import Action, Field
from domain.values.json import JsonObject

_KEYWORDS = {
    "title": "title",
    "description": "description",
    "default": "default",
    "items": "items",
    "properties": "properties",
    "minimum": "minimum",
    "maximum": "maximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "max_items": "maxItems",
    "pattern": "pattern",
    "format": "format",
}


def schema_of(action: Action) -> JsonObject:
    """What can be set: that of an imported operation as it was imported, else from its fields."""
    if action.schema:
        return dict(action.schema)
    return schema_of_fields(action.input)


def schema_of_fields(fields: Mapping[str, Field]) -> JsonObject:
    """A form of these fields."""
    return {
        "type": "object",
        "properties": {name: schema_of_field(field) for name, field in fields.items()},
        "required": [name for name, field in fields.items() if field.required],
        "additionalProperties": False,
    }


def schema_of_field(field: Field) -> JsonObject:
    """One field. `x-choices` says where its values come from, and which other fields they depend on."""
    schema: JsonObject = {} if field.type == "any" else {"type": field.type}
    for name, keyword in _KEYWORDS.items():
        value = getattr(field, name)
        if value is not msgspec.UNSET:
            schema[keyword] = value
    if field.enum:
        schema["enum"] = list(field.enum)
    if field.example is not msgspec.UNSET:
        schema["examples"] = [field.example]
    if field.choices:
        schema["x-choices"] = {"name": field.choices, "depends_on": list(field.depends_on)}
    return schema
