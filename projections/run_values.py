"""Which values of a run are shown at once, and which are asked for by their path, as they are large."""

import msgspec

from domain.values.json import Json, JsonObject

SURELY_SHOWN = 2**20
"""Bytes of a run's events; none of a run below it is left out."""
SHOWN = 4 * 2**20
"""Bytes of values that a run detail shows."""
BEGINNING = 1_000
"""Characters of a value that is left out."""
DEPTH = 2
WIDTH = 1_000


class Shown:
    """Shows values while there is room for them."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._sizes: dict[int, int] = {}
        self._beginnings: dict[int, str] = {}

    def value(self, value: Json, path: str, depth: int = DEPTH) -> Json:
        """The value, or in its place how large it is, how it begins, and the path to ask for it by."""
        size = self._size(value)
        if size <= self._room:
            self._room -= size
            return value
        if isinstance(value, dict) and depth and len(value) <= WIDTH:
            return {name: self.value(item, joined(path, name), depth - 1) for name, item in value.items()}
        left_out: JsonObject = {"path": path, "size": size, "beginning": self._beginning(value)}
        return {"$large": left_out}

    def _size(self, value: Json) -> int:
        """About the bytes of its JSON; a value that stands in many places is looked at once."""
        if isinstance(value, dict) and len(value) <= WIDTH:
            return 2 + sum(len(name) + 4 + self._size(item) for name, item in value.items())
        if isinstance(value, str) and value.isascii():
            return len(value) + 2
        if not isinstance(value, str | list | dict):
            return 8
        known = self._sizes.get(id(value))
        if known is None:
            encoded = msgspec.json.encode(value)
            self._sizes[id(value)] = known = len(encoded)
            self._beginnings[id(value)] = encoded[:BEGINNING].decode("utf-8", "ignore")
        return known

    def _beginning(self, value: Json) -> str:
        if isinstance(value, str):
            return value[:BEGINNING]
        known = self._beginnings.get(id(value))
        return msgspec.json.encode(value)[:BEGINNING].decode("utf-8", "ignore") if known is None else known


def joined(path: str, name: str) -> str:
    """The path of a field; empty where it has none that could be asked for."""
    if not path or '"' in name:
        return ""
    return f"{path}.{name}" if name.isidentifier() else f'{path}["{name}"]'
