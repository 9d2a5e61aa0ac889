"""The data that templates see, and the value at a path, or a message that says why there is none."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypeAlias, cast

from liquid.exceptions import LiquidError

from domain.language.spelling import Absent, described, spelled
from domain.values.json import Json
from domain.values.path import MISSING, child

Context: TypeAlias = Mapping[str, Json]
"""What templates see: `trigger`, `steps`, `run`, `zap`."""
Keys: TypeAlias = tuple[str | int, ...]

QUICK = 300_000
"""Work of a render on an event loop, in characters handled: about two milliseconds."""


BUDGET = 30_000_000
"""Work of any render, in characters handled: well below a second."""


_GIVEN = frozenset({"trigger", "steps", "item"})
"""What most templates look at."""


class Heavy(Exception):
    """This render is too much work for an event loop: another process has to do it."""


class Scope:
    """The data of one render, and its remaining work. `full` where it may use the whole budget."""

    __slots__ = ("_context", "_data", "_now", "full", "large", "unweighed", "work")

    def __init__(self, data: Context, now: datetime | None, *, full: bool = False) -> None:
        self._context = data
        self._now = now
        self._data: dict[str, Json] | None = None
        self.full = full
        self.work = QUICK
        self.large = 0
        self.unweighed: list[object] = []
        """Values that were inserted whole; which of them are large matters once there are many."""

    @property
    def data(self) -> dict[str, Json]:
        """All that there is, with the time, which few templates look at."""
        if self._data is None:
            now = self._now
            self._data = {**self._context, **({"now": now.isoformat(), "today": now.date().isoformat()} if now else {})}
        return self._data

    def spend(self, work: int) -> None:
        """Subtract work that was done. Raises Heavy, and LiquidError where the full budget is used up, too."""
        self.work -= work
        if self.work < 0:
            if not self.full:
                raise Heavy
            if self.work < -BUDGET:
                raise LiquidError("the template does too much work", token=None)

    def find(self, keys: Keys) -> object:
        """The value at the path, or an Absent that says why there is none."""
        found: object = self._context if keys and keys[0] in _GIVEN else self.data
        for index, key in enumerate(keys):
            if isinstance(found, dict) and key in found:
                found = found[key]
                continue
            found = step(found, key, keys[:index])
            if found is MISSING:
                return absent(keys, index, self.data)
        return found


def worked_out(path: Iterable[object]) -> Keys | Absent:
    """The keys of a path of which some are values themselves, as in `table[trigger.body.country]`.

    Where such a value is missing, so is that at the path.
    """
    keys: list[str | int] = []
    for key in path:
        if isinstance(key, Absent):
            return key
        keys.append(key if isinstance(key, str | int) and not isinstance(key, bool) else spelled(key))
    return tuple(keys)


def step(value: object, key: object, above: Keys) -> object:
    """The value one key further, or MISSING. `above` is the path so far, because names of headers have no case."""
    if isinstance(value, dict):
        found = child(cast("dict[str, Json]", value), key if isinstance(key, str) else str(key), above)
        if found is not MISSING:
            return found
        return [*next(iter(value.items()))] if key == "first" and value else len(value) if key == "size" else MISSING
    if isinstance(value, list | tuple | range):
        return _item(value, key)
    if isinstance(value, str) and key == "size":
        return len(value)
    if isinstance(value, Mapping) and not isinstance(value, Absent):
        return value.get(key, MISSING)  # a loop's own variables
    return MISSING


def _item(items: list[object] | tuple[object, ...] | range, key: object) -> object:
    match key:
        case "size":
            return len(items)
        case "first":
            key = 0
        case "last":
            key = -1
        case str() if key.isascii() and key.isdigit() and len(key) < 10:
            key = int(key)
    if isinstance(key, int) and not isinstance(key, bool) and -len(items) <= key < len(items):
        return items[key]
    return MISSING


def absent(keys: Keys, index: int, data: object) -> Absent:
    """An Absent that names the missing part of the path, and what is there instead."""
    parent, beside = data, data
    for at in range(index):
        beside, parent = parent, step(parent, keys[at], keys[:at])
    message = f"{written(keys[: index + 1])} is undefined"
    if index:
        message += f": {written(keys[:index])} is {described(parent)}{_came(keys[:index], beside)}"
    return Absent(written(keys[: index + 1]), hint=message)


def _came(keys: Keys, beside: object) -> str:
    """What explains the kind of a body: why it is only text, else the content type with which it came."""
    if keys[-1] != "body" or not isinstance(beside, dict) or not isinstance(beside.get("headers"), dict):
        return ""
    if isinstance(why := beside.get("why_text"), str):
        return f"; {why[:300]}"
    for name, value in beside["headers"].items():
        if name.lower() == "content-type":
            return f" (content type {str(value)[:100]})"
    return " (without a content type)"


def written(keys: Keys) -> str:
    """The path as users write it."""
    text = str(keys[0])[:100] if keys else ""
    for key in keys[1:]:
        name = str(key)[:100]
        plain = isinstance(key, str) and name.isascii() and name.replace("_", "a").replace("-", "a").isalnum()
        text += f".{name}" if plain and not name.isdigit() else f"[{name}]" if name.isdigit() else f'["{name}"]'
    return text
