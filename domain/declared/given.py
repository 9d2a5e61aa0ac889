"""Input for an action that says nothing of its own: what its form allows."""

from domain.declared.form import matches, problems, resolved, types_of
from domain.declared.matching import MAX_TEXT, text_for
from domain.values.json import Json, JsonObject

MAX_NESTED = 6
MAX_VARIANTS = 12
"""How deep variants are looked into: of what is deeper than MAX_NESTED only what has to be there is given."""


def sample_of(root: JsonObject, schema: Json, depth: int = 0) -> Json:
    """A value that fits: an example, a default, the first choice, or the smallest of its type."""
    known = resolved(root, schema)
    examples = known.get("examples")
    for value in (examples[0] if isinstance(examples, list) and examples else None, known.get("default")):
        if value is not None and not problems({"$defs": root.get("$defs"), **known}, value, rendered=True):
            return value  # examples of services are not always right
    choices = known.get("enum")
    if isinstance(choices, list) and choices:
        return choices[0]
    for name in ("oneOf", "anyOf", "allOf"):
        variants = known.get(name)
        if isinstance(variants, list) and variants and depth < MAX_VARIANTS and not known.get("properties"):
            return sample_of(root, variants[0], depth + 1)
    kind = (*types_of(known), "object" if "properties" in known else "string")[0]
    return _of_type(kind, root, known, depth)


def _of_type(name: str, root: JsonObject, schema: JsonObject, depth: int) -> Json:
    match name:
        case "object":
            return _object(root, schema, depth)
        case "array":
            least = schema.get("minItems")
            count = max(1, least if isinstance(least, int) else 1) if depth < MAX_NESTED else 0
            return [sample_of(root, schema.get("items"), depth + 1) for _ in range(min(count, 20))]
        case "integer" | "number":
            least = schema.get("minimum")
            return least if isinstance(least, int | float) else 1
        case "boolean":
            return True
        case "null":
            return None
    return _text(schema)


def _object(root: JsonObject, schema: JsonObject, depth: int) -> JsonObject:
    properties, required = schema.get("properties"), schema.get("required")
    fields = properties if isinstance(properties, dict) else {}
    needed = required if isinstance(required, list) else []
    wanted = [name for name in fields if name in needed or depth < MAX_NESTED]
    return {name: sample_of(root, fields[name], depth + 1) for name in wanted}


_FORMATS = {
    "email": "ada@example.com",
    "uri": "https://example.com/x",
    "url": "https://example.com/x",
    "date": "2026-11-26",
    "date-time": "2026-11-26T09:00:00Z",
    "uuid": "0199c0de-0001-7abc-8def-0123456789ab",
}


def _text(schema: JsonObject) -> str:
    plain = _plain(schema)
    pattern, least, most = schema.get("pattern"), schema.get("minLength"), schema.get("maxLength")
    if not isinstance(pattern, str) or matches(pattern, plain):
        return plain
    low, high = least if isinstance(least, int) else 0, most if isinstance(most, int) else MAX_TEXT
    made = text_for(pattern, low, high)
    return plain if made is None else made


def _plain(schema: JsonObject) -> str:
    text = _FORMATS.get(str(schema.get("format")), "text")
    least, most = schema.get("minLength"), schema.get("maxLength")
    if isinstance(least, int) and len(text) < least <= 1_000:
        text += "x" * (least - len(text))
    return text[:most] if isinstance(most, int) else text
