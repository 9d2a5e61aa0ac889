"""Paths into JSON, written as in templates: `trigger.body.items[0].sku`, `headers["x-id"]`."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from domain.values.json import Json

MAX_PATH = 500
"""Characters of a path."""

Path: TypeAlias = tuple[str, ...]
"""The keys from the outside in; an index is its digits, since objects may have such keys too."""


class Missing:
    """The result of `look_up` for a path without a value; null is a value."""


MISSING: Final = Missing()

_PATH = re.compile(r"""[\w-]+(?:\.[\w-]+|\[\d{1,9}\]|\["[^"]*"\]|\['[^']*'\])*""")
_KEYS = re.compile(r"""\["([^"]*)"\]|\['([^']*)'\]|([\w-]+)""")
_NAME = re.compile(r"[\w-]+")
_INDEX = re.compile(r"[0-9]{1,9}")


def parse_path(text: str) -> Path:
    """The keys of a path. Raises ValueError."""
    if len(text) > MAX_PATH or not _PATH.fullmatch(text):
        raise ValueError(f'{text[:50]!r} is not a path like body.items[0]["x-id"]')
    return tuple("".join(key) for key in _KEYS.findall(text))


def written(path: Sequence[str]) -> str | None:
    """The text of a path, which `parse_path` reads as this path; None where there is none."""
    text = "".join(_part(key) for key in path).removeprefix(".")
    return text if len(text) <= MAX_PATH and _PATH.fullmatch(text) and parse_path(text) == tuple(path) else None


def _part(key: str) -> str:
    if _INDEX.fullmatch(key):
        return f"[{key}]"
    if _NAME.fullmatch(key):
        return f".{key}"
    quote = "'" if '"' in key else '"'
    return f"[{quote}{key}{quote}]"


def look_up(value: Json | Mapping[str, Json], path: Path) -> Json | Missing:
    """The value at the path; never raises."""
    for index, key in enumerate(path):
        if isinstance(value, Mapping):
            found = child(value, key, path[:index])
        elif isinstance(value, list) and _INDEX.fullmatch(key) and int(key) < len(value):
            found = value[int(key)]
        else:
            found = MISSING
        if isinstance(found, Missing):
            return MISSING
        value = found
    return value if not isinstance(value, Mapping) or isinstance(value, dict) else dict(value)


def child(value: Mapping[str, Json], key: str, above: Sequence[str | int]) -> Json | Missing:
    """The field of an object at the path `above`; names of headers match in any case."""
    if key in value:
        return value[key]
    if _are_headers(above):
        wanted = key.lower()
        return next((found for name, found in value.items() if name.lower() == wanted), MISSING)
    return MISSING


def _are_headers(path: Sequence[str | int]) -> bool:
    """Those of the request, or of the answer that a step got."""
    match path:
        case ["trigger", "headers"] | ["steps", _, "output", "headers"]:
            return True
    return False
