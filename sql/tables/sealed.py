"""The tables that hold sealed secrets, row by row, so that their keys can be replaced."""

from collections.abc import AsyncIterator, Callable, Sequence
from uuid import UUID

import msgspec

from sql.postgres.pool import Pool
from sql.postgres.queries import Queries, Query
from sql.secrets.data_keys import key_context
from sql.tables.answers import answer_context
from sql.tables.hook_secrets import secret_context

_queries = Queries("queries/sealed.sql")
PAGE = 20
"""Rows that are read at once: a kept answer may have two megabytes."""


class SealedRow(msgspec.Struct, frozen=True):
    """`place` is the row's primary key; `context` is what its boxes were sealed for."""

    place: tuple[object, ...]
    boxes: tuple[bytes, ...]
    context: bytes


class SealedTable(msgspec.Struct, frozen=True):
    """A table with boxes. `first` is a place before all others."""

    name: str
    after: Query
    put: Query
    first: tuple[object, ...]
    context: Callable[..., bytes]

    async def rows(self, pool: Pool) -> AsyncIterator[SealedRow]:
        """All rows, read in pages in the order of their places."""
        place = self.first
        while found := await pool.fetch(self.after, PAGE, *place):
            for row in found:
                *key, boxes = row
                place = tuple(key)
                yield SealedRow(place, tuple(boxes), self.context(*place))

    async def swap(self, pool: Pool, row: SealedRow, boxes: Sequence[bytes]) -> bool:
        """Put other boxes in the place of a row's; False where somebody has changed the row meanwhile."""
        return bool(await pool.fetchval(self.put, list(boxes), list(row.boxes), *row.place))


SEALED_TABLES = (
    SealedTable(
        "secrets of hooks",
        _queries["hook_secrets_after"],
        _queries["hook_secrets_swap"],
        (UUID(int=0),),
        secret_context,
    ),
    SealedTable(
        "data keys of workspaces",
        _queries["data_keys_after"],
        _queries["data_keys_swap"],
        (UUID(int=0),),
        key_context,
    ),
    SealedTable(
        "answers kept for repeats",
        _queries["answers_after"],
        _queries["answers_swap"],
        (UUID(int=0), b""),
        answer_context,
    ),
)
