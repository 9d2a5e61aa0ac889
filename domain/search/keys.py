"""Keys of the search index: byte strings whose order makes words, equal values, ranges and prefixes stretches of it.

A word is `w` and the word. A value is `v`, its path, NUL, a letter for its type and the value. Numbers are written so
that bytes sort as the numbers do, whatever their size, and equal numbers are equal: 1.50 is 1.5. Long texts are cut; a
hash of the whole keeps two of them apart.
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from domain.values.json import Json

MAX_TEXT = 200
"""Characters of a text that are compared and looked into; equality counts the whole text."""
MAX_WORD = 64
"""Characters of a word."""
MAX_DIGITS = 60
"""Of a number; one with more is a text."""
_LARGE = 10**18
_EXPONENT_OF_ONE = 50_000
_COMPLEMENT = str.maketrans("0123456789", "9876543210")
_WORD = re.compile(r"\w+")
_EDGES = ".,;:!?\"'`()[]{}<>|/\\"
_SEPARATOR = "\x1f"
_RESERVED = re.compile("[\0\x1f]")


def words(text: str) -> list[str]:
    """The words of a text in lower case: what stands between blanks, and of `ada@example.com` each part as well."""
    found: list[str] = []
    for chunk in text.casefold().split():
        if chunk.isalnum():
            found.append(chunk[:MAX_WORD])
            continue
        whole = chunk.strip(_EDGES)
        parts = _WORD.findall(whole)
        if len(whole) <= MAX_WORD and parts:
            found.append(whole)
        if len(parts) > 1:
            found += [part[:MAX_WORD] for part in parts]
    return found


def word_key(word: str) -> bytes:
    """The key of a word in lower case, or the beginning of those of all words that begin with it."""
    return b"w" + _plain(word[:MAX_WORD])


def path_key(path: Sequence[str]) -> bytes:
    """The beginning of all keys of values at a path, and below it; names of headers match in any case."""
    keys = [clean(key) for key in path]
    if keys[:2] == ["trigger", "headers"] or (keys[:1] == ["steps"] and keys[2:4] == ["output", "headers"]):
        keys = [key.lower() for key in keys]
    return b"v" + _SEPARATOR.join(keys).encode("utf-8", "replace")


def leaf_key(path: Sequence[str]) -> bytes:
    """The beginning of the keys of values that stand at a path itself."""
    return path_key(path) + b"\0"


def below_key(path: Sequence[str]) -> bytes:
    """The beginning of the keys of values inside the object or list at a path."""
    return path_key(path) + _SEPARATOR.encode()


def path_of(key: bytes) -> list[str]:
    """The path in the key of a value."""
    return key[1 : key.index(b"\0")].decode("utf-8", "replace").split(_SEPARATOR)


def value_key(value: Json) -> bytes:
    """What follows `leaf_key` for a text, a number, true, false or null."""
    match value:
        case bool() | None:
            return b"b" + {True: b"true", False: b"false", None: b"null"}[value]
        case int():
            return _integer_key(value) if -_LARGE < value < _LARGE else number_key(Decimal(value))
        case float():
            return number_key(Decimal(repr(value)))
        case str():
            return text_key(value)
        case _:
            raise TypeError(value)


def text_key(text: str) -> bytes:
    """Of a text; texts that are equal up to MAX_TEXT stand beside one another."""
    if len(text) <= MAX_TEXT:
        return b"t" + _plain(text)
    whole = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
    return b"t" + _plain(text[:MAX_TEXT]) + b"\0" + whole.encode()


def text_of(key: bytes) -> str:
    """The text in the key of a value that is one, as far as it is kept."""
    return key[key.index(b"\0") + 2 :].partition(b"\0")[0].decode("utf-8", "replace")


def number_key(number: Decimal) -> bytes:
    """Of a number: sign, exponent and digits; of a negative one the complements, so that bytes sort as numbers."""
    sign, digits, _exponent = number.as_tuple()
    figures = "".join(map(str, digits)).strip("0")
    if figures and (len(figures) > MAX_DIGITS or abs(number.adjusted()) >= _EXPONENT_OF_ONE):
        return text_key(str(number))
    return _figures_key(sign, number.adjusted(), figures)


def _integer_key(number: int) -> bytes:
    """The same for a whole number that is not very large."""
    figures = str(abs(number))
    return _figures_key(number < 0, len(figures) - 1, figures.rstrip("0"))


def _figures_key(sign: bool | int, adjusted: int, figures: str) -> bytes:
    if not figures:
        return b"n1"
    exponent = f"{_EXPONENT_OF_ONE + adjusted:06d}"
    if not sign:
        return b"n2" + exponent.encode() + figures.encode()
    return b"n0" + exponent.translate(_COMPLEMENT).encode() + figures.translate(_COMPLEMENT).encode() + b"~"


def date_key(moment: datetime) -> bytes:
    """Of a moment; only search keys have these, as JSON has no dates."""
    return b"d" + moment.astimezone(UTC).isoformat(timespec="microseconds")[:26].encode()


def stored_key(name: str, key: bytes) -> bytes:
    """The value of a search key among those of all names, so that statistics of them are about name and value."""
    return name.encode() + b"\0" + key


def clean(text: str) -> str:
    """The text without what separates the parts of keys."""
    return _RESERVED.sub(" ", text) if "\0" in text or _SEPARATOR in text else text


def _plain(text: str) -> bytes:
    return clean(text).encode("utf-8", "replace")
