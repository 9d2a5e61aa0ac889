"""Queries that are put together from named fragments of a file: for lists whose filters users combine freely."""

import re
from collections.abc import Iterable, Mapping

import msgspec

from sql.postgres.queries import Queries, Query

_VALUE = re.compile(r"(?<!:):([a-z][a-z_]*)")


class Composed(msgspec.Struct, frozen=True):
    """A query and its arguments."""

    query: Query
    arguments: tuple[object, ...]


def compose(fragments: Queries, names: Iterable[str], values: Mapping[str, object]) -> Composed:
    """The fragments one behind the other; each `:name` in them is the value of this name.

    Raises KeyError for a fragment or a value that is not there.
    """
    numbers: dict[str, int] = {}
    text = "\n".join(fragments[name] for name in names)
    query = _VALUE.sub(lambda found: f"${numbers.setdefault(found[1], len(numbers) + 1)}", text)
    return Composed(Query(query), tuple([values[name] for name in numbers]))
