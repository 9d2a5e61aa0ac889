"""What the index keeps of a run: the keys of its values and words, up to a bound."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

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
    contents = Contents(set())
    left_out = _NOT_TWICE | set(excluded)
    for name, value in values.items():
        _collect(value, (name,), contents, left_out, speaks=True)
    return contents


def _collect(
    value: Json, path: Path, contents: Contents, left_out: "frozenset[Path] | set[Path]", *, speaks: bool
) -> None:
    if contents.cut or path in left_out:
        return
    match value:
        case dict():
            # Headers can be compared, but their words would be found in every run.
            speaks = speaks and path[-1] != "headers"
            for key, inner in value.items():
                _collect(inner, (*path, key), contents, left_out, speaks=speaks)
        case list():
            for index, inner in enumerate(value):
                _collect(inner, (*path, str(index)), contents, left_out, speaks=speaks)
        case _:
            add(value, path, contents, speaks=speaks)


def add(value: Scalar, path: Path, contents: Contents, *, speaks: bool) -> None:
    """Add the keys of a text, number, true, false or null. `speaks`: its words count."""
    size = sum(map(len, path))
    if isinstance(value, str):
        size += len(value)
    is_common = size <= MAX_KNOWN and not isinstance(value, float)
    keys = _known_keys(path, value, speaks) if is_common else _keys(path, value, speaks)
    contents.keys.update(keys)
    too_long = not keys or (speaks and isinstance(value, str) and len(value) > MAX_LOOKED_AT)
    contents.cut = too_long or contents.cut or len(contents.keys) >= MAX_KEYS


def _keys(path: Path, value: Scalar, speaks: bool) -> tuple[bytes, ...]:
    """The keys of a value and of its words; none where its path is too long."""
    leaf = leaf_key(path)
    if len(leaf) > MAX_PATH_BYTES:
        return ()
    own = leaf + value_key(value)
    if not speaks or value is None or isinstance(value, bool):
        return (own,)
    text = value if isinstance(value, str) else repr(value)
    return (own, *[word_key(word) for word in words(text[:MAX_LOOKED_AT])])


_known_keys = lru_cache(maxsize=MOST_KNOWN, typed=True)(_keys)
"""Runs of a zap have most of their values in common. True and 1 are equal, but not of one type; -0.0 and 0.0 are."""
