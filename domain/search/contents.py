"""What the index keeps of a run: the keys of its values and words, up to a bound."""

from collections.abc import Mapping, Sequence

import msgspec

from domain.search.keys import leaf_key, value_key, word_key, words
from domain.values.json import Json, Scalar
from domain.values.path import Path

MAX_KEYS = 600
"""Of a run. What comes later in it is not found."""
MAX_LOOKED_AT = 20_000
"""Characters of a text whose words are found."""
MAX_PATH_BYTES = 500
MAX_KNOWN, MOST_KNOWN = 256, 8_192
"""Characters of a path and its text whose keys are remembered, and of how many: some 10 MB at most."""
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
    contents, left_out = Contents(set()), _NOT_TWICE | set(excluded)
    _collect(dict(values), _known.all, contents, left_out)
    return contents


class _Place:
    """Where values stand in runs, and the keys of those that were met there lately."""

    __slots__ = ("_inner", "keys", "path", "speaks")

    def __init__(self, path: Path, *, speaks: bool) -> None:
        self.path = path
        self.speaks = speaks
        self.keys: dict[Scalar | tuple[type, Scalar], tuple[bytes, ...]] = {}
        self._inner: dict[str | int, _Place] = {}

    def inner(self, name: str | int) -> "_Place":
        """The place of a field, or of an item of a list."""
        found = self._inner.get(name)
        return self._made(name) if found is None else found

    def _made(self, name: str | int) -> "_Place":
        speaks = self.speaks and (isinstance(name, int) or may_speak(self.path))
        self._inner[name] = made = _Place((*self.path, str(name)), speaks=speaks)
        _known.count()
        return made


class _Known:
    """All places. Runs of a zap have most of their values in common; what many do not share is forgotten with all."""

    def __init__(self) -> None:
        self.all = _Place((), speaks=True)
        self._remembered = 0

    def count(self) -> None:
        """One more place or value is remembered."""
        self._remembered += 1
        if self._remembered > MOST_KNOWN:
            self._remembered, self.all = 0, _Place((), speaks=True)


_known = _Known()


def _collect(value: Json, place: _Place, contents: Contents, left_out: "frozenset[Path]") -> None:
    if contents.cut or place.path in left_out:
        return
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            _collect(inner, place.inner(name), contents, left_out)
    else:
        # True and 1 are equal, but not of one type.
        keys = place.keys.get(value if isinstance(value, str) else (type(value), value))
        _add(value, _learned(value, place) if keys is None else keys, place, contents)


def _add(value: Scalar, keys: tuple[bytes, ...], place: _Place, contents: Contents) -> None:
    contents.keys.update(keys)
    too_long = not keys or (place.speaks and isinstance(value, str) and len(value) > MAX_LOOKED_AT)
    contents.cut = too_long or len(contents.keys) >= MAX_KEYS


def _learned(value: Scalar, place: _Place) -> tuple[bytes, ...]:
    keys = keys_of(value, place.path, speaks=place.speaks)
    size = sum(map(len, place.path)) + (len(value) if isinstance(value, str) else 0)
    if size <= MAX_KNOWN and (value or not isinstance(value, float)):  # -0.0 and 0.0 are equal
        place.keys[value if isinstance(value, str) else (type(value), value)] = keys
        _known.count()
    return keys


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
