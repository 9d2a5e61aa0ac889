"""What a newer release wrote, as far as this one understands it. Writing stays strict: the types forbid what is new."""

from typing import Any

import msgspec

from domain.values.json import Json, JsonObject
from domain.values.shapes import item_type, options, structs_of, value_type

UNKNOWN = "unknown"
"""The tag of the struct that stands in for what this release does not know, in a union that has one."""


def understood(value: Json, wanted: Any) -> Json:
    """The value without the fields that its type does not know, and with a stand-in for each kind it does not know."""
    match value:
        case list():
            return _all_items(value, wanted)
        case dict():
            return _object(value, wanted)
        case _:
            return value


def _all_items(value: list[Json], wanted: Any) -> Json:
    for option in options(wanted):
        if (item := item_type(option)) is not None:
            return [understood(part, item) for part in value]
    return value


def _object(value: JsonObject, wanted: Any) -> Json:
    structs = {struct.__struct_config__.tag: struct for struct in structs_of(wanted)}
    field = next((struct.__struct_config__.tag_field for struct in structs.values()), None)
    tag = value.get(field) if field else None
    struct = structs.get(tag) if tag is None or isinstance(tag, str) else None
    known = _known_fields(value, struct) if struct else _values(value, wanted)
    if field and UNKNOWN in structs and not _is(known, wanted):
        return {field: UNKNOWN, "id": value.get("id", ""), "of": tag if isinstance(tag, str) else ""}
    return known


def _known_fields(value: JsonObject, struct: type[msgspec.Struct]) -> JsonObject:
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}
    tag_field = struct.__struct_config__.tag_field
    return {
        name: understood(part, fields[name]) if name in fields else part
        for name, part in value.items() if name in fields or name == tag_field
    }  # fmt: skip


def _values(value: JsonObject, wanted: Any) -> JsonObject:
    for option in options(wanted):
        if (inner := value_type(option)) is not None and structs_of(inner):
            return {name: understood(part, inner) for name, part in value.items()}
    return value


def _is(value: Json, wanted: Any) -> bool:
    try:
        msgspec.convert(value, wanted)
    except (msgspec.ValidationError, RecursionError):
        return False
    return True
