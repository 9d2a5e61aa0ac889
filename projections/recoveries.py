"""Which runs that did not complete were made up for: a replay of theirs, or a replay of that one, has completed."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from domain.failures.failures import group_id
from domain.log.event import StoredEvent
from domain.registry import decode
from domain.run.events import RunCompleted
from projections.engine.projection import BEING_BUILT, Projection
from projections.engine.rows import execute, storable
from sql.postgres.pool import Connection, Pool
from sql.postgres.queries import Queries

_queries = Queries("projections/recoveries.sql")


async def recovered_by(pool: Pool, tenant_id: UUID, run_id: UUID) -> UUID | None:
    """The replay that made up for a run; None where there is none, and while the list is being built."""
    try:
        found: UUID | None = await pool.fetchval(_queries["recovered_by"], tenant_id, run_id)
    except BEING_BUILT:
        return None
    return found


class _Row(msgspec.Struct, frozen=True):
    """A run that was made up for, in the order of the columns. `group_id`: where it counts as a dead letter."""

    tenant_id: UUID
    run_id: UUID
    recovered_by: UUID
    group_id: UUID
    failed_position: int
    position: int


def _rows(stored: StoredEvent, event: RunCompleted) -> list[_Row]:
    if event.zap_id is None:
        return []
    return [
        _Row(
            stored.tenant_id, run.run_id, stored.stream_id,
            group_id(event.zap_id, storable(run.step_id), storable(run.code)), run.position, stored.position,
        )
        for run in event.recovers
    ]  # fmt: skip


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    found: dict[tuple[UUID, UUID], _Row] = {}
    for stored in events:
        event = decode(stored.type, stored.schema_version, stored.data)
        for row in _rows(stored, event) if isinstance(event, RunCompleted) else ():
            key = row.tenant_id, row.run_id
            if key not in found or row.position < found[key].position:
                found[key] = row
    await execute(connection, _queries["upsert"], [msgspec.structs.astuple(found[key]) for key in sorted(found)])


RECOVERIES = Projection(
    name="recoveries",
    definition=1,
    handles=frozenset({"zap.run.completed"}),
    create=_queries["create"],
    apply=_apply,
)
