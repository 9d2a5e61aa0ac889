"""The language of searches: words for `q`, and comparisons such as `trigger.body.order.id=4711` for `where`."""

import difflib
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Literal, TypeAlias

import msgspec

from domain.log.errors import Invalid
from domain.search import keys
from domain.values.json import Json
from domain.values.path import MAX_PATH, Path

MAX_QUERY = 500
"""Characters of a query or a comparison."""
MAX_TERMS = 20
ROOTS = ("trigger", "steps", "error", "keys", "index")
"""Where paths begin. `index` tells of the index itself: `index.complete=false` are runs that it has in part."""
_END = b"\xff"
"""Behind all keys that begin alike: no key has this byte."""

Operator: TypeAlias = Literal["=", "!=", ">", ">=", "<", "<=", "~", "?"]
Span: TypeAlias = tuple[bytes, bytes]
"""Keys from the first one up to, and without, the second."""

_PATH = re.compile(r"""[\w-]+(?:\.[\w-]+|\[\d{1,9}\]|\["[^"]*"\]|\['[^']*'\])*""")
_KEYS = re.compile(r"""\["([^"]*)"\]|\['([^']*)'\]|([\w-]+)""")
_OPERATOR = re.compile(r"\s*(!=|>=|<=|=|>|<|~|\?)\s*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_PART = re.compile(r'\s*(?:"([^"]*)"|(\S+))')
_string = msgspec.json.Decoder(str)


class Term(msgspec.Struct, frozen=True):
    """What a run has to have: a key in one of the spans that is none of `others`, and whose text contains `inside`."""

    spans: tuple[Span, ...]
    others: frozenset[bytes] = frozenset()
    inside: str = ""

    def holds(self, key: bytes) -> bool:
        """Whether a run that has this key is one that is looked for."""
        return any(low <= key < high for low, high in self.spans) and self.takes(key)

    def takes(self, key: bytes) -> bool:
        """The same for a key in one of the spans."""
        return key not in self.others and (not self.inside or self._is_inside(key))

    def _is_inside(self, key: bytes) -> bool:
        # Most keys are ASCII and have the text nowhere: that is seen without decoding them.
        if key.isascii() and self.inside.encode("utf-8", "replace") not in key.lower():
            return False
        return self.inside in keys.text_of(key).casefold()


class Comparison(msgspec.Struct, frozen=True):
    """A comparison as it was given. `quoted`: the value is a text, even where it looks like a number."""

    path: Path
    operator: Operator
    value: str = ""
    quoted: bool = False


class KeyTerm(msgspec.Struct, frozen=True):
    """What a run's search key has to be: in one of the spans, which are exact or not, with a text that has `inside`."""

    name: str
    spans: tuple[Span, ...]
    inside: str = ""

    @property
    def exact(self) -> tuple[bytes, ...]:
        """The values that it may have, where they can be listed."""
        return tuple(low for low, high in self.spans) if all(high == low + b"\0" for low, high in self.spans) else ()


class Search(msgspec.Struct, frozen=True):
    """All terms, and all phrases as their words: the index knows the words, their order is looked up in the run.

    `keys` are asked of the run list, not of the index.
    """

    terms: tuple[Term, ...] = ()
    phrases: tuple[str, ...] = ()
    keys: tuple[KeyTerm, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms or self.phrases)


def search(q: str | None, where: Sequence[str]) -> Search:
    """What a query and comparisons mean. Raises Invalid with all that is wrong."""
    problems: list[Json] = []
    terms: list[Term] = []
    phrases: list[str] = []
    of_keys: list[KeyTerm] = []
    try:
        for term, phrase in _words(q or ""):
            terms.append(term)
            phrases += [phrase] if phrase else []
    except _Mistake as mistake:
        problems.append(mistake.at("q"))
    for number, text in enumerate(where):
        try:
            compared = comparison(text)
            if compared.path[0] == "keys":
                of_keys.append(key_term_of(compared))
            else:
                terms.append(term_of(compared))
        except _Mistake as mistake:
            problems.append(mistake.at(f"where.{number}"))
    if len(terms) + len(of_keys) > MAX_TERMS and not problems:
        problems.append({"path": "q", "reason": f"at most {MAX_TERMS} words and comparisons", "code": "too_many"})
    if problems:
        raise Invalid(_first(problems), errors=problems)
    return Search(tuple(dict.fromkeys(terms)), tuple(phrases), tuple(dict.fromkeys(of_keys)))


def _first(problems: Sequence[Json]) -> str:
    first = problems[0]
    return f"{first['path']}: {first['reason']}" if isinstance(first, dict) else ""


class _Mistake(Exception):
    """What is wrong with a query, and where."""

    def __init__(self, reason: str, position: int, code: str, near: str | None = None) -> None:
        super().__init__(reason)
        self.position, self.code, self.near = position, code, near

    def at(self, parameter: str) -> Json:
        """As an entry of a problem's errors."""
        found: dict[str, Json] = {
            "path": parameter, "reason": f"{self} (at character {self.position + 1})", "code": self.code,
        }  # fmt: skip
        return found | ({"did_you_mean": self.near, "allowed": list(ROOTS)} if self.near else {})


def _words(q: str) -> Iterator[tuple[Term, str]]:
    """The terms of a query, and the phrase that each belongs to, once. Raises _Mistake."""
    if len(q) > MAX_QUERY:
        raise _Mistake(f"a query has at most {MAX_QUERY} characters", MAX_QUERY, "too_long")
    if q.count('"') % 2:
        raise _Mistake('a phrase that begins with " ends with "', q.rindex('"'), "open_phrase")
    for part in _PART.finditer(q):
        phrase, word = part[1], part[2]
        if phrase is not None:
            found = keys.words(phrase)
            if not found:
                raise _Mistake("there is no word in this phrase", part.start(), "no_word")
            yield from ((_exact(keys.word_key(one)), phrase.casefold() if not i else "") for i, one in enumerate(found))
        elif word.endswith("*"):
            yield _prefix(word[:-1], part.start(2)), ""
        else:
            found = keys.words(word)
            if not found:
                raise _Mistake(f"there is no word in {word[:50]!r}", part.start(2), "no_word")
            yield _exact(keys.word_key(found[0])), ""


def _prefix(beginning: str, position: int) -> Term:
    if not any(map(str.isalnum, beginning)) or "*" in beginning:
        raise _Mistake("* stands behind the beginning of a word", position + len(beginning), "no_word")
    key = keys.word_key(beginning.casefold())
    return Term(((key, key + _END),))


def exact(key: bytes) -> Span:
    """The stretch that has one key only."""
    return key, key + b"\0"


def _exact(key: bytes) -> Term:
    return Term((exact(key),))


def comparison(text: str) -> Comparison:
    """Read a comparison. Raises _Mistake."""
    if len(text) > MAX_QUERY:
        raise _Mistake(f"a comparison has at most {MAX_QUERY} characters", MAX_QUERY, "too_long")
    start = len(text) - len(text.lstrip())
    path = _PATH.match(text, start)
    if not path or len(path[0]) > MAX_PATH:
        raise _Mistake("a comparison begins with a path, such as trigger.body.order.id", start, "no_path")
    names = tuple("".join(key) for key in _KEYS.findall(path[0]))
    if names[0] not in ROOTS:
        near = difflib.get_close_matches(names[0], ROOTS, n=1, cutoff=0.5)
        raise _Mistake(
            f"a path begins with one of {', '.join(ROOTS)}", start, "unknown_path", near[0] if near else None
        )
    if names[0] == "keys" and len(names) != 2:
        raise _Mistake("a search key is keys and its name, such as keys.order", start, "no_path")
    operator = _OPERATOR.match(text, path.end())
    if not operator:
        raise _Mistake("an operator follows the path: = != > >= < <= ~ or ?", path.end(), "no_operator")
    sign: Operator = operator[1]  # type: ignore[assignment]  # one of those that the pattern lists
    value = text[operator.end() :].strip()
    if sign == "?":
        if value:
            raise _Mistake("nothing follows ?", operator.end(), "unexpected")
        return Comparison(names, sign)
    return _with_value(names, sign, value, operator.end())


def _with_value(path: Path, operator: Operator, value: str, position: int) -> Comparison:
    if value.startswith('"'):
        if not _STRING.fullmatch(value):
            raise _Mistake('a value in quotes ends with ", and has \\" for a quote inside', position, "open_quote")
        try:
            return Comparison(path, operator, _string.decode(value.encode()), quoted=True)
        except (msgspec.DecodeError, UnicodeError):
            raise _Mistake("this is no text as in JSON", position, "malformed") from None
    if not value:
        raise _Mistake('a value follows the operator; "" for an empty text', position, "no_value")
    if value[0] in "=<>~!":
        reason = f"one operator is enough: equal is =, and a value that begins with {value[0]} stands in quotes"
        raise _Mistake(reason, position, "two_operators")
    return Comparison(path, operator, value)


def term_of(compared: Comparison) -> Term:
    """What a run has to have for a comparison to hold."""
    leaf = keys.leaf_key(compared.path)
    equal = [leaf + key for key in _equal(compared)]
    match compared.operator:
        case "=":
            return Term(tuple([exact(key) for key in equal]))
        case "!=":
            return Term(((leaf, leaf + _END),), frozenset(equal))
        case "?":
            below = keys.below_key(compared.path)
            return Term(((leaf, leaf + _END), (below, below + _END)))
        case "~":
            return Term(((leaf + b"t", leaf + b"u"),), inside=compared.value.casefold())
        case _:
            return Term((_side(leaf, equal[0], compared.operator),))


def key_term_of(compared: Comparison) -> KeyTerm:
    """What a search key has to be for a comparison to hold: a value of any type that is written so."""
    compared = msgspec.structs.replace(compared, value=compared.value[: keys.MAX_TEXT])
    name, equal = compared.path[1], _equal(compared)
    if not compared.quoted:
        equal += _moment(compared.value)
    spans: Sequence[Span]
    match compared.operator:
        case "=":
            spans = [exact(key) for key in equal]
        case "!=":
            spans = list(_between(sorted(equal)))
        case "?":
            spans = [(b"", _END)]
        case "~":
            spans = [(b"t", b"u")]
        case _:
            spans = [_side(b"", bound, compared.operator) for bound in equal]
    inside = compared.value.casefold() if compared.operator == "~" else ""
    stored = [(keys.stored_key(name, low), keys.stored_key(name, high)) for low, high in spans]
    return KeyTerm(name, tuple(stored), inside)


def _moment(text: str) -> list[bytes]:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return []
    try:
        return [keys.date_key(moment if moment.tzinfo else moment.replace(tzinfo=UTC))] if "-" in text else []
    except OverflowError:
        return []


def _between(points: Sequence[bytes]) -> Iterator[Span]:
    """All but these points."""
    low = b""
    for point in points:
        yield low, point
        low = point + b"\0"
    yield low, _END


def _equal(compared: Comparison) -> list[bytes]:
    """The keys of all values that are written so: 4711 is a number, and the text of its digits."""
    text = compared.value
    found = [keys.text_key(text)]
    if compared.quoted:
        return found
    if text in ("true", "false", "null"):
        return [b"b" + text.encode(), *found]
    number = number_of(text)
    return found if number is None else [keys.number_key(number), *found]


def _side(leaf: bytes, bound: bytes, operator: Operator) -> Span:
    """All values of the bound's type on one side of it."""
    kind = len(leaf) + 1
    first, last = bound[:kind], bound[:kind] + _END
    match operator:
        case ">":
            return bound + b"\0", last
        case ">=":
            return bound, last
        case "<":
            return first, bound
        case _:
            return first, bound + b"\0"


def number_of(text: str) -> Decimal | None:
    """The number that a text is; None where it is none, or none that JSON has."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and not text.startswith("+") and "_" not in text else None
