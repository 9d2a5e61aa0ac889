"""Where a search finds something in a run: its values, for people to see why a run is in the list."""

from collections.abc import Iterator, Mapping
from itertools import islice

import msgspec

from domain.search.contents import MAX_KEYS, keys_of, may_speak
from domain.search.query import Search
from domain.values.json import Json, Scalar
from domain.values.path import Path, written

MAX_MATCHES = 3
"""Of a run that are told."""
_BEFORE, _SHOWN = 30, 120
"""Characters of a text that are shown, and how many of them before what was found."""


class Match(msgspec.Struct, frozen=True):
    """A value that a search finds: its path as searches write it, and its text, cut around what was found."""

    path: str
    text: str


def matches_of(values: Mapping[str, Json], search: Search) -> list[Match]:
    """The first values for which terms of a search hold; each term is told once."""
    left = list(search.terms)
    found: list[Match] = []
    for path, value, speaks in islice(_leaves(dict(values), (), speaks=True), MAX_KEYS):
        keys = set(keys_of(value, path, speaks=speaks))
        held = [(term, key) for term in left for key in keys if term.holds(key)]
        name = written(path)
        if held and name:
            left = [term for term in left if all(term is not other for other, _key in held)]
            found.append(Match(name, _cut(value, held[0][0].inside or _word(held[0][1]))))
        if not left or len(found) == MAX_MATCHES:
            break
    return found


def _leaves(value: Json, path: Path, *, speaks: bool) -> Iterator[tuple[Path, Scalar, bool]]:
    """Texts, numbers and the like with their paths, and whether their words count."""
    match value:
        case dict():
            speaks = speaks and may_speak(path)
            for key, inner in value.items():
                yield from _leaves(inner, (*path, key), speaks=speaks)
        case list():
            for index, inner in enumerate(value):
                yield from _leaves(inner, (*path, str(index)), speaks=speaks)
        case _:
            yield path, value, speaks


def _word(key: bytes) -> str:
    return key[1:].decode("utf-8", "replace") if key.startswith(b"w") else ""


def _cut(value: Json, word: str) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    at = max(0, text.casefold().find(word))
    start = max(0, at - _BEFORE) if at + len(word) > _SHOWN else 0
    shown = text[start : start + _SHOWN]
    return ("…" if start else "") + shown + ("…" if start + _SHOWN < len(text) else "")
