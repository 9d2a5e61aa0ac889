"""Filters over lists of any items. Items without the field are sorted last, or left out."""

from collections.abc import Iterator

from domain.language.filters.filter import FilterError, Filters, field
from domain.language.filters.numbers import number, result
from domain.language.operators import same
from domain.language.spelling import Absent, as_json, described, spelled

ALL = Filters()
_ANYTHING = object()
_MAX_NESTED = 5
"""Levels of lists in lists that are taken as one list, as in Liquid."""


def items(value: object) -> list[object]:
    """A value as a flat list: nested lists are flattened, and any other value is the only item."""
    match value:
        case None | Absent():
            return []
        case range():
            return list(value)
        case list() | tuple():
            return list(_flat(value, _MAX_NESTED)) if any(isinstance(item, list) for item in value) else list(value)
    return [value]


def _flat(value: list[object] | tuple[object, ...], levels: int) -> Iterator[object]:
    for item in value:
        if levels and isinstance(item, list | tuple):
            yield from _flat(item, levels - 1)
        else:
            yield item


@ALL.add("join", "{{ trigger.body.tags | join: ', ' }}", "b, a, b")
def join(value: object, separator: object = " ") -> str:
    """Writes the items of a list one after the other, with text between them."""
    return spelled(separator).join([spelled(item) for item in items(value)])


@ALL.add("first", "{{ trigger.body.tags | first }}", "b", any_size=True)
def first(value: object) -> object:
    """The first item of a list."""
    if isinstance(value, dict):
        return [*next(iter(value.items()))] if value else None
    return value[0] if isinstance(value, list | tuple | range) and value else None


@ALL.add("last", "{{ trigger.body.tags | last }}", "b", any_size=True)
def last(value: object) -> object:
    """The last item of a list."""
    return value[-1] if isinstance(value, list | tuple | range) and value else None


@ALL.add("size", "{{ trigger.body.tags | size }}", "3", any_size=True)
def size(value: object) -> int:
    """How many characters a text has, items a list, or fields an object."""
    return len(value) if isinstance(value, str | list | tuple | dict | range) else 0


@ALL.add("default", "{{ trigger.body.nickname | default: 'friend' }}", "friend", any_size=True)
def default(value: object, otherwise: object = "", *, allow_false: object = False) -> object:
    """Replaces a value that is missing, null, false or empty. Alone in a field, the result keeps its JSON type."""
    if value is False:
        return value if allow_false is True else otherwise
    empty = value is None or isinstance(value, Absent) or (isinstance(value, str | list | dict) and not value)
    return otherwise if empty else value


@ALL.add("concat", "{{ trigger.body.tags | concat: trigger.body.tags | size }}", "6")
def concat(value: object, other: object) -> list[object]:
    """Adds the items of another list."""
    if not isinstance(other, list | tuple | range):
        raise FilterError(f"expected a list, found {described(other)}")
    return [*items(value), *other]


@ALL.add("map", "{{ trigger.body.items | map: 'sku' | join }}", "y x")
def map_(value: object, key: object) -> list[object]:
    """Takes one field of each item; null where it is missing."""
    return [field(item, key) for item in items(value)]


@ALL.add("reverse", "{{ trigger.body.items | map: 'sku' | reverse | join }}", "x y")
def reverse(value: object) -> list[object]:
    """Reverses a list."""
    return items(value)[::-1]


@ALL.add("sort", "{{ trigger.body.items | sort: 'sku' | map: 'sku' | join }}", "x y")
def sort(value: object, key: object = None) -> list[object]:
    """Sorts a list, by a field if one is named: numbers, then text, then the others; what is missing is last."""
    return sorted(items(value), key=lambda item: _rank(item if key is None else field(item, key)))


@ALL.add("sort_natural", "{{ 'b,A,c' | split: ',' | sort_natural | join }}", "A b c")
def sort_natural(value: object, key: object = None) -> list[object]:
    """Sorts a list as text, capitals and small letters alike; what is missing is last."""

    def rank(item: object) -> tuple[bool, str]:
        found = item if key is None else field(item, key)
        return found is None, spelled(found).casefold()

    return sorted(items(value), key=rank)


def _rank(value: object) -> tuple[int, float, str]:
    match value:
        case None:
            return 9, 0, ""
        case bool():
            return 2, value, ""
        case int() | float():
            return 0, value, ""
        case str():
            return 1, 0, value
    return 3, 0, as_json(value)


@ALL.add("where", "{{ trigger.body.items | where: 'sku', 'x' | size }}", "1")
def where(value: object, key: object, wanted: object = _ANYTHING) -> list[object]:
    """Keeps the items whose field has the value; without a value, those whose field is set and not false."""
    return [item for item in items(value) if _fits(item, key, wanted)]


@ALL.add("reject", "{{ trigger.body.items | reject: 'sku', 'x' | size }}", "1")
def reject(value: object, key: object, wanted: object = _ANYTHING) -> list[object]:
    """Drops the items that `where` would keep."""
    return [item for item in items(value) if not _fits(item, key, wanted)]


@ALL.add("find", "{% assign line = trigger.body.items | find: 'sku', 'x' %}{{ line.price }}", "1.5")
def find(value: object, key: object, wanted: object = _ANYTHING) -> object:
    """The first item that `where` would keep."""
    return next((item for item in items(value) if _fits(item, key, wanted)), None)


@ALL.add("find_index", "{{ trigger.body.items | find_index: 'sku', 'x' }}", "1")
def find_index(value: object, key: object, wanted: object = _ANYTHING) -> int | None:
    """The place, counted from 0, of the first item that `where` would keep."""
    return next((index for index, item in enumerate(items(value)) if _fits(item, key, wanted)), None)


@ALL.add("has", "{{ trigger.body.items | has: 'sku', 'z' }}", "false")
def has(value: object, key: object, wanted: object = _ANYTHING) -> bool:
    """Whether `where` would keep any item."""
    return any(_fits(item, key, wanted) for item in items(value))


def _fits(item: object, key: object, wanted: object) -> bool:
    found = field(item, key)
    if wanted is _ANYTHING or wanted is None:
        return found is not None and found is not False
    return same(found, wanted)


@ALL.add("uniq", "{{ trigger.body.tags | uniq | join }}", "b a")
def uniq(value: object, key: object = None) -> list[object]:
    """Drops repeated items, or items that repeat the value of a field."""
    seen: dict[object, object] = {}
    for item in items(value):
        seen.setdefault(_identity(item if key is None else field(item, key)), item)
    return list(seen.values())


def _identity(value: object) -> tuple[str, object]:
    """A key that is the same for equal values only."""
    if isinstance(value, str | bool):
        return type(value).__name__, value
    return ("number", value) if isinstance(value, int | float) else ("json", as_json(value))


@ALL.add("compact", "{{ trigger.body.items | map: 'note' | compact | size }}", "0")
def compact(value: object, key: object = None) -> list[object]:
    """Drops items that are null, or whose field is null or missing."""
    return [item for item in items(value) if (item if key is None else field(item, key)) is not None]


@ALL.add("sum", "{{ trigger.body.items | sum: 'price' }}", "3.7")
def sum_(value: object, key: object = None) -> int | float:
    """Adds up the numbers of a list, or those of a field; anything else counts as 0."""
    return result(sum(number(item if key is None else field(item, key)) for item in items(value)))
