"""Which zaps name which connections: in their drafts, and in each published version."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from domain.log.event import Event, StoredEvent
from domain.zap import events as zap
from domain.zap.definition import Definition
from domain.zap.zap import ZapStatus
from projections.engine.projection import Projection
from projections.engine.rows import RowChange, execute, row_changes, struct_of
from sql.postgres.pool import Connection, Pool
from sql.postgres.queries import Queries

_queries = Queries("projections/connection_uses.sql")
_DRAFT = 0
"""The number under which drafts stand; versions count from 1."""


class ConnectionUse(msgspec.Struct, frozen=True, kw_only=True):
    """A zap that names a connection, or a variable, in its draft or in the version that new runs use.

    `places`: the ids of its steps and triggers that do.
    """

    zap_id: UUID
    name: str
    status: ZapStatus
    version: Literal["draft", "live"]
    places: list[str]


async def uses_of(pool: Pool, tenant_id: UUID, connection_id: UUID, limit: int) -> list[ConnectionUse]:
    """The zaps that name a connection, newest first, each with its draft behind its live version."""
    rows = await pool.fetch(_queries["uses"], tenant_id, connection_id, limit)
    return [struct_of(ConnectionUse, row) for row in rows]


async def count_uses(pool: Pool, tenant_id: UUID, connection_ids: Collection[UUID]) -> dict[UUID, int]:
    """How many zaps name each of these connections; those that none names are left out."""
    rows = await pool.fetch(_queries["count_uses"], tenant_id, list(connection_ids))
    return {row[0]: row[1] for row in rows}


class _Change(RowChange):
    """What a batch does to the uses of one zap: definitions by number. `deleted`: they are all gone."""

    definitions: dict[int, Definition] = msgspec.field(default_factory=dict)
    deleted: bool = False


def _named_in(definition: Definition) -> dict[UUID, list[str]]:
    """The connections that a definition names, each with the ids of the steps and triggers that name it."""
    found: dict[UUID, list[str]] = {}
    for _path, connection_id, named in definition.connected():
        found.setdefault(connection_id, []).append(named.id)
    return found


def _fold(change: _Change, event: Event, _at: datetime) -> None:
    match event:
        case zap.ZapCreated() | zap.ZapDraftChanged():
            change.definitions[_DRAFT] = event.definition
        case zap.ZapPublished():
            change.definitions[event.number] = event.definition
        case zap.ZapDeleted():
            change.deleted = True
        case _:
            pass


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    changes = row_changes(events, _Change, _fold)
    gone = [(c.tenant_id, c.id, None if c.deleted else _DRAFT) for c in changes if c.deleted or _DRAFT in c.definitions]
    await execute(connection, _queries["forget"], gone)
    rows = [
        (c.tenant_id, connection_id, c.id, number, msgspec.json.encode(places).decode())
        for c in changes if not c.deleted
        for number, definition in c.definitions.items()
        for connection_id, places in _named_in(definition).items()
    ]  # fmt: skip
    await execute(connection, _queries["insert"], sorted(rows))


CONNECTION_USES = Projection(
    name="connection_uses",
    definition=1,
    handles=frozenset({"zap.created", "zap.draft_changed", "zap.published", "zap.deleted"}),
    create=_queries["create"],
    apply=_apply,
)
