"""What is different between two JSON values, as a list of changes with their paths."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from domain.values.json import Json

MAX_CHANGES = 100
"""Of one comparison; those that come first are kept."""
MAX_VALUE = 1_000
"""Characters of the JSON of a value; of a larger one its beginning is kept."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One difference. A value above 1,000 characters of JSON is `{"$large": {size, beginning}}`."""

    path: str
    op: Literal["add", "remove", "replace"]
    before: Json | UnsetType = UNSET
    after: Json | UnsetType = UNSET


def equal(one: Json, other: Json) -> bool:
    """Whether two values that hold no others are the same JSON: to Python, 1, 1.0 and true are one."""
    return type(one) is type(other) and one == other


def changes(
    before: Json,
    after: Json,
    alike: Callable[[Json, Json], bool] = equal,
    *,
    path: str = "",
    limit: int = MAX_CHANGES,
    show: Callable[[Json], Json] = lambda value: value,
) -> list[Change]:
    """How to get from one to the other, in the order of the fields; `limit` of them and no more.

    Values are told as `show` makes them, and shortened then.
    """
    found = islice(_changes(before, after, alike, path), limit)
    return [
        Change(path=path, op=op, before=_told(one, show), after=_told(other, show)) for path, op, one, other in found
    ]


def _told(value: Json | UnsetType, show: Callable[[Json], Json]) -> Json | UnsetType:
    return value if isinstance(value, UnsetType) else shortened(show(value))


_Found = tuple[str, Literal["add", "remove", "replace"], "Json | UnsetType", "Json | UnsetType"]


def _changes(before: Json, after: Json, alike: Callable[[Json, Json], bool], path: str) -> Iterator[_Found]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in {**before, **after}:
            yield from _of_part(before.get(name, UNSET), after.get(name, UNSET), alike, _field(path, name))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            one = before[index] if index < len(before) else UNSET
            other = after[index] if index < len(after) else UNSET
            yield from _of_part(one, other, alike, f"{path}[{index}]")
    elif not alike(before, after):
        yield path, "replace", before, after


def _of_part(
    before: Json | UnsetType, after: Json | UnsetType, alike: Callable[[Json, Json], bool], path: str
) -> Iterator[_Found]:
    if isinstance(before, UnsetType):
        if not isinstance(after, UnsetType):
            yield path, "add", UNSET, after
    elif isinstance(after, UnsetType):
        yield path, "remove", before, UNSET
    else:
        yield from _changes(before, after, alike, path)


def _field(path: str, name: str) -> str:
    plain = name.isascii() and name.replace("_", "a").replace("-", "a").isalnum()
    if not path:
        return name
    return f"{path}.{name}" if plain and not name.isdigit() else f"{path}[{msgspec.json.encode(name).decode()}]"


def shortened(value: Json) -> Json:
    """The value, or how large it is and how it begins."""
    encoded = msgspec.json.encode(value)
    if len(encoded) <= MAX_VALUE:
        return value
    return {"$large": {"size": len(encoded), "beginning": encoded[:MAX_VALUE].decode("utf-8", "ignore")}}
