"""Puts input into what a file says: `{{ input.name }}` in values, `{name}` in paths. No code, no filters, no loops."""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from domain.connector.config import BadConfig
from domain.language.spelling import spelled
from domain.values.json import Json, JsonObject
from domain.values.path import Missing, look_up, parse_path

SLOT = re.compile(r"\{\{\s*([A-Za-z_][\w.-]*)\s*\}\}")
SEGMENT = re.compile(r"\{([A-Za-z_][\w.-]*)(\*?)\}")
"""`{name}` is one segment of a path; `{name*}` may be several."""
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
"""A part of a host's name (RFC 1123 §2.1)."""
IF = "$if"
"""An object with this field is left out where the field's value is absent; it is never sent."""
_MARK = re.compile(r"\{\{|\}\}")


class Absent:
    """The value of a slot whose field is not set: what holds it is left out."""


ABSENT: Final = Absent()


def fill(value: Json, scope: Mapping[str, Json]) -> Json | Absent:
    """The value with its slots filled. What is only made of absent fields is absent itself."""
    match value:
        case str():
            return _text(value, scope)
        case list():
            items = [fill(item, scope) for item in value]
            there = [item for item in items if not isinstance(item, Absent)]
            return ABSENT if items and not there else there
        case dict():
            if IF in value and isinstance(fill(value[IF], scope), Absent):
                return ABSENT
            fields = {name: fill(item, scope) for name, item in value.items() if name != IF}
            kept = {name: item for name, item in fields.items() if not isinstance(item, Absent)}
            return ABSENT if fields and not kept else kept
    return value


def fill_fields(fields: Mapping[str, Json], scope: Mapping[str, Json]) -> JsonObject:
    """The same for an object that is there in any case."""
    found = {name: fill(item, scope) for name, item in fields.items()}
    return {name: item for name, item in found.items() if not isinstance(item, Absent)}


def _text(text: str, scope: Mapping[str, Json]) -> Json | Absent:
    lone = SLOT.fullmatch(text.strip())
    if lone:
        found = look_up(scope, parse_path(lone[1]))
        return ABSENT if isinstance(found, Missing) else found
    parts: list[str] = []
    at = 0
    for slot in SLOT.finditer(text):
        found = look_up(scope, parse_path(slot[1]))
        if isinstance(found, Missing):
            return ABSENT
        parts += [text[at : slot.start()], spelled(found)]
        at = slot.end()
    return "".join((*parts, text[at:]))


def fill_path(path: str, scope: Mapping[str, Json]) -> str:
    """A path with its segments, each escaped so that it stays one. Raises BadConfig."""
    return SEGMENT.sub(lambda found: _segment(found[1], bool(found[2]), scope), path)


def _segment(name: str, several: bool, scope: Mapping[str, Json]) -> str:
    found = look_up(scope, parse_path(name))
    if isinstance(found, Missing | dict | list) or found is None or found == "":
        raise BadConfig(f"{name}: required, as a part of the address")
    text = spelled(found)
    parts = text.split("/") if several else [text]
    if any(part in {"", ".", ".."} for part in parts):
        raise BadConfig(f"{name}: {text[:50]!r} can't be a part of an address")
    return "/".join(quote(part.encode("utf-8", "replace"), safe=":@") for part in parts)


def fill_base(base_url: str, scope: Mapping[str, Json]) -> str:
    """The address of a service with the parts that fields give, such as a customer's own name. Raises BadConfig."""
    return SEGMENT.sub(lambda found: _label(found[1], scope), base_url)


def _label(name: str, scope: Mapping[str, Json]) -> str:
    found = scope.get(name)
    if not isinstance(found, str) or not _LABEL.fullmatch(found):
        raise BadConfig(f"{name}: letters, digits and hyphens only, as it is a part of the address")
    return found


class Slot(msgspec.Struct, frozen=True):
    """A slot and its place in the file."""

    at: tuple[str, ...]
    name: str


def slots(value: Json, at: tuple[str, ...] = ()) -> Iterator[Slot]:
    """All slots of a value, and marks that are none, whose name is empty."""
    if isinstance(value, str):
        rest = SLOT.sub("", value)
        yield from (Slot(at, found[1]) for found in SLOT.finditer(value))
        if _MARK.search(rest):
            yield Slot(at, "")
    elif isinstance(value, list | dict):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from slots(item, (*at, str(key)))
