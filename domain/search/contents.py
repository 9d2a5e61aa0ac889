"""What the index keeps of a run: the keys of its values and words, up to a bound."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from domain.search.keys import leaf_key, value_key, word_key, words
from domain.values.json import Json, JsonObject, Scalar
from domain.values.path import Path

MAX_KEYS = 600
"""Of a run. What comes later in it is not found."""
MAX_LOOKED_AT = 20_000
"""Characters of a text whose words are found."""
MAX_PATH_BYTES = 500
MAX_KNOWN = 256
"""Characters of a path and its text whose keys are remembered."""
KNOWN_BYTES = 8 * 2**20
"""About what all of them may take."""
_PLACE_BYTES, _VALUE_BYTES, _KEY_BYTES = 700, 150, 50
"""About what each takes besides its characters."""
INCOMPLETE = leaf_key(("index", "complete")) + value_key(False)
"""The key of a run that has more than the index keeps of it: `index.complete=false` finds these."""
_NOT_TWICE = frozenset({("trigger", "query_string"), ("trigger", "event", "data"), ("trigger", "raw")})
"""What says again what stands elsewhere."""


class Contents(msgspec.Struct):
    """The keys of a run; `cut` where it has more than are kept."""

    keys: set[bytes]
    cut: bool = False


def contents_of(values: Mapping[str, Json], excluded: Sequence[Path] = ()) -> Contents:
    """The keys of a run's values, which stand under `trigger`, `steps` and `error`; nothing at or below these paths."""
    contents = Contents(set())
    _collect(dict(values), _known.everything(), contents, frozenset(excluded))
    return contents


class _Place:
    """Where values stand in runs, the places in it, and the keys of those values that were met there lately."""

    __slots__ = ("inner", "is_said_elsewhere", "keys", "path", "speaks")

    def __init__(self, path: Path, *, speaks: bool) -> None:
        self.path = path
        self.speaks = speaks
        self.is_said_elsewhere = path in _NOT_TWICE
        self.keys: dict[str | tuple[type, Scalar], tuple[bytes, ...]] = {}
        self.inner: dict[str | int, _Place] = {}

    def made(self, name: str | int) -> "_Place":
        """The place of a field, or of an item of a list, which was not met here lately."""
        speaks = self.speaks and (isinstance(name, int) or may_speak(self.path))
        made = _Place((*self.path, str(name)), speaks=speaks)
        if sum(map(len, made.path)) <= MAX_KNOWN and _known.has_room(_PLACE_BYTES + MAX_KNOWN):
            self.inner[name] = made
        return made

    def learn(self, value: Scalar) -> tuple[bytes, ...]:
        """The keys of a value, which was not met here lately."""
        keys = keys_of(value, self.path, speaks=self.speaks)
        size = sum(map(len, self.path)) + _length(value)
        is_common = size <= MAX_KNOWN and (value or not isinstance(value, float))  # -0.0 and 0.0 are equal
        if is_common and _known.has_room(_VALUE_BYTES + sum(map(len, keys)) + _KEY_BYTES * len(keys)):
            self.keys[value if isinstance(value, str) else (type(value), value)] = keys
        return keys


def _length(value: Scalar) -> int:
    if isinstance(value, str):
        return len(value)
    return value.bit_length() // 8 if isinstance(value, int) else 0


class _Known:
    """All places. Runs of a zap have most of their values in common; what they do not have makes all be forgotten."""

    def __init__(self) -> None:
        self._everything = _Place((), speaks=True)
        self._room = KNOWN_BYTES

    def everything(self) -> _Place:
        """Where a run's values stand. Without room for more, it is a new one."""
        if self._room <= 0:
            self._everything, self._room = _Place((), speaks=True), KNOWN_BYTES
        return self._everything

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more may be remembered, which they are then."""
        self._room -= size
        return self._room > 0


_known = _Known()


def _collect(values: "JsonObject | list[Json]", place: _Place, contents: Contents, excluded: AbstractSet[Path]) -> None:
    """The keys of what an object or a list has. All in one place: most values were met before, and calls cost more."""
    found = contents.keys
    for name, value in values.items() if isinstance(values, dict) else enumerate(values):
        if contents.cut:
            return
        there = place.inner.get(name) or place.made(name)
        if there.is_said_elsewhere or (excluded and there.path in excluded):
            continue
        if isinstance(value, str):
            known = there.keys.get(value)
        elif isinstance(value, dict | list):
            _collect(value, there, contents, excluded)
            continue
        else:
            known = there.keys.get((type(value), value))  # True and 1 are equal
        keys = there.learn(value) if known is None else known
        found.update(keys)
        is_long = isinstance(value, str) and len(value) > MAX_LOOKED_AT and there.speaks
        contents.cut = not keys or len(found) >= MAX_KEYS or is_long


def may_speak(path: Path) -> bool:
    """Whether words of the fields at a path count. Headers can be compared, but theirs would be found in every run."""
    return path[-1:] != ("headers",)


def keys_of(value: Scalar, path: Path, *, speaks: bool) -> tuple[bytes, ...]:
    """The keys of a text, number, true, false or null, and those of its words; none where its path is too long."""
    leaf = leaf_key(path)
    if len(leaf) > MAX_PATH_BYTES:
        return ()
    own = leaf + value_key(value)
    if not speaks or value is None or isinstance(value, bool):
        return (own,)
    text = value if isinstance(value, str) else repr(value)
    return (own, *[word_key(word) for word in words(text[:MAX_LOOKED_AT])])
