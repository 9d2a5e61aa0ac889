"""What is different between two JSON values, as a list of changes with their paths."""

from collections.abc import Callable, Iterator
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
    before: Json, after: Json, alike: Callable[[Json, Json], bool] = equal, path: str = "", limit: int = MAX_CHANGES
) -> list[Change]:
    """How to get from one to the other, in the order of the fields; `limit` of them and no more."""
    return [change for change, _number in zip(_changes(before, after, alike, path), range(limit), strict=False)]


def _changes(before: Json, after: Json, alike: Callable[[Json, Json], bool], path: str) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in {**before, **after}:
            yield from _of_part(before.get(name, UNSET), after.get(name, UNSET), alike, _field(path, name))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            one = before[index] if index < len(before) else UNSET
            other = after[index] if index < len(after) else UNSET
            yield from _of_part(one, other, alike, f"{path}[{index}]")
    elif not alike(before, after):
        yield Change(path=path, op="replace", before=shortened(before), after=shortened(after))


def _of_part(
    before: Json | UnsetType, after: Json | UnsetType, alike: Callable[[Json, Json], bool], path: str
) -> Iterator[Change]:
    if isinstance(before, UnsetType):
        if not isinstance(after, UnsetType):
            yield Change(path=path, op="add", after=shortened(after))
    elif isinstance(after, UnsetType):
        yield Change(path=path, op="remove", before=shortened(before))
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
