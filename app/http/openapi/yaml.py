"""JSON values as YAML: block style, with scalars as JSON writes them, which is YAML too."""

import json
from collections.abc import Iterator

from domain.values.json import Json


def to_yaml(value: Json) -> str:
    """The value as a YAML document."""
    return "\n".join(_lines(value, "")) + "\n"


def _lines(value: Json, indent: str) -> Iterator[str]:
    match value:
        case dict() if value:
            for key, inner in value.items():
                yield from _entry(f"{indent}{json.dumps(key)}:", inner, indent + "  ")
        case list() if value:
            for inner in value:
                yield from _entry(f"{indent}-", inner, indent + "  ")
        case _:
            yield indent + json.dumps(value)


def _entry(head: str, value: Json, indent: str) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield head
        yield from _lines(value, indent)
    else:
        yield f"{head} {json.dumps(value)}"
