"""What Postgres takes: rows as columns, and text without what it can not store."""

from collections.abc import Sequence


def columns(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    """The rows as one list for each column, for `unnest`."""
    return [list(column) for column in zip(*rows, strict=True)]


def storable(text: str) -> str:
    """The text without NUL characters."""
    return text.replace("\0", "")
