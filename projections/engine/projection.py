"""What a read model is made of: where it lives, which events it takes, and how it takes them."""

from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import msgspec

from domain.log.event import StoredEvent
from sql.postgres.pool import Connection
from sql.postgres.queries import Query

BEING_BUILT = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)
"""What a query of a read model raises until its first build is done, or that of its present definition."""


class Projection(msgspec.Struct, frozen=True, kw_only=True):
    """One table kept from the log.

    `apply` writes to the unqualified table `name`: the connection's search path says which build of it. It gets
    handled events only, each exactly once and in order per stream; it must not depend on anything but them.
    Raise `definition` when the table's shape or meaning changes: the next start builds it anew. Not `from_topic`: it
    follows the log by itself, as one partition.
    """

    name: str
    definition: int
    handles: frozenset[str]
    create: Query
    apply: Callable[[Connection, Sequence[StoredEvent]], Awaitable[None]]
    from_topic: bool = True
