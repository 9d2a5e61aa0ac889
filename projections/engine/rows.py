"""Rows of read models: what a batch of events does to them, and their values as Postgres takes and gives them."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import msgspec

from domain.erasure.forgetting import FORGOTTEN, RunForgotten
from domain.log.event import Event, StoredEvent
from domain.registry import decode
from sql.postgres.pool import Connection
from sql.postgres.queries import Query

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy


class RowChange(msgspec.Struct):
    """What a batch does to the row of one stream, and the last event of it."""

    tenant_id: UUID
    id: UUID
    updated_at: datetime | None = None
    position: int = 0
    stream_version: int = 0


C = TypeVar("C", bound=RowChange)
S = TypeVar("S", bound=msgspec.Struct)


def row_changes(
    events: Sequence[StoredEvent], new: Callable[[UUID, UUID], C], fold: Callable[[C, Event, datetime], None]
) -> list[C]:
    """What the events do to each row. Rows come sorted, so that concurrent writers cannot deadlock."""
    changes: dict[UUID, C] = {}
    for stored in events:
        change = changes.get(stored.stream_id)
        if change is None:
            change = changes[stored.stream_id] = new(stored.tenant_id, stored.stream_id)
        fold(change, decode(stored.type, stored.schema_version, stored.data), stored.recorded_at)
        change.updated_at, change.position, change.stream_version = stored.recorded_at, stored.position, stored.version
    return sorted(changes.values(), key=lambda change: (change.tenant_id, change.id))


def forgotten_apart(events: Sequence[StoredEvent]) -> tuple[list[StoredEvent], list[tuple[StoredEvent, RunForgotten]]]:
    """What happened, and which runs were forgotten: after all that happened to them, whatever the batch brings."""
    happened = [stored for stored in events if stored.type != FORGOTTEN]
    forgotten = []
    for stored in events:
        if stored.type == FORGOTTEN:
            event = decode(stored.type, stored.schema_version, stored.data)
            assert isinstance(event, RunForgotten)
            forgotten.append((stored, event))
    return happened, forgotten


async def execute(
    connection: "Connection | PoolConnectionProxy[asyncpg.Record]", query: Query, rows: Sequence[Sequence[object]]
) -> None:
    """Run a query that takes rows as columns, if there are any."""
    if rows:
        await connection.execute(query, *columns(rows))


def columns(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    """The rows as one list for each column, for `unnest`."""
    return [list(column) for column in zip(*rows, strict=True)]


def struct_of(kind: type[S], values: Iterable[object]) -> S:
    """A struct with these values, which come in the order of its fields."""
    return kind(**dict(zip(kind.__struct_fields__, values, strict=True)))


def storable(text: str) -> str:
    """The text without NUL characters."""
    return text.replace("\0", "")
