"""What references within a description lead to, and its parts of the types that they should have."""

from urllib.parse import unquote

from domain.values.json import Json, JsonObject

MAX_HOPS = 10
"""References that lead to references."""


def find(document: JsonObject, reference: str) -> Json:
    """What a local reference leads to (RFC 6901, as the fragment of a URL); None where it leads nowhere."""
    found: Json = document
    for key in reference.removeprefix("#").removeprefix("/").split("/"):
        found = _inner(found, key.replace("~1", "/").replace("~0", "~"))
    return found


def resolved(document: JsonObject, value: Json) -> JsonObject:
    """An object, or what the reference leads to that it is; an empty one where it leads nowhere."""
    for _ in range(MAX_HOPS):
        reference = value.get("$ref") if isinstance(value, dict) else None
        if not isinstance(reference, str):
            return as_object(value)
        value = find(document, reference)
    return {}


def as_object(value: Json) -> JsonObject:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Json) -> list[Json]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def _inner(value: Json, key: str) -> Json:
    if isinstance(value, dict):
        return value[key] if key in value else value.get(unquote(key))
    if isinstance(value, list) and key.isdecimal() and len(key) < 9 and int(key) < len(value):
        return value[int(key)]
    return None
