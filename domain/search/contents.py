"""What the index keeps of a run: the keys of its values and words, up to a bound."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from domain.search.keys import leaf_key, value_key, word_key, words
from domain.values.json import Json
from domain.values.path import Path

MAX_KEYS = 600
"""Of a run. What comes later in it is not found."""
MAX_LOOKED_AT = 20_000
"""Characters of a text whose words are found."""
MAX_PATH_BYTES = 500
MAX_KNOWN = 128
"""Characters of a path, or of a text, whose keys are remembered: runs have most of them in common."""
INCOMPLETE = leaf_key(("index", "complete")) + value_key(False)
"""The key of a run that has more than the index keeps of it: `index.complete=false` finds these."""
_NOT_TWICE = frozenset({("trigger", "query_string"), ("trigger", "event", "data"), ("trigger", "raw")})
"""What says again what stands elsewhere."""


_known_leaf = lru_cache(maxsize=4_096)(leaf_key)


def _words(text: str) -> tuple[bytes, ...]:
    return tuple([word_key(word) for word in words(text)])


_known_words = lru_cache(maxsize=4_096)(_words)


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


def add(value: Json, path: Path, contents: Contents, *, speaks: bool) -> None:
    """Add the keys of a text, number, true, false or null. `speaks`: its words count."""
    leaf = _known_leaf(path) if sum(map(len, path)) <= MAX_KNOWN else leaf_key(path)
    if len(leaf) > MAX_PATH_BYTES:
        contents.cut = True
        return
    contents.keys.add(leaf + value_key(value))
    if speaks and value is not None and not isinstance(value, bool):
        text = value if isinstance(value, str) else repr(value)
        contents.keys.update(_known_words(text) if len(text) <= MAX_KNOWN else _words(text[:MAX_LOOKED_AT]))
        contents.cut = contents.cut or len(text) > MAX_LOOKED_AT
    contents.cut = contents.cut or len(contents.keys) >= MAX_KEYS
