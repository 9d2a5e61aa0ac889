"""Targets that want no more requests (410): steps of dead letters, and steps after which their runs went on."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from domain.log.event import StoredEvent
from domain.registry import decode
from domain.run.events import StepFailed
from projections.engine.projection import Projection
from projections.engine.rows import execute, storable
from sql.postgres.pool import Connection
from sql.postgres.queries import Queries

_queries = Queries("projections/gone_targets.sql")


class GoneTarget(msgspec.Struct, frozen=True):
    """A step whose target answered 410, and when it last did."""

    zap_id: UUID
    step_id: str
    run_id: UUID
    last_at: datetime


async def gone_targets(connection: Connection, after: UUID, limit: int) -> list[GoneTarget]:
    """Steps of the next enabled zaps, by id, with new failures of that kind, and no flag for it."""
    return [GoneTarget(*row) for row in await connection.fetch(_queries["gone"], after, limit)]


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    found: dict[tuple[UUID, UUID, str], tuple[UUID, datetime, int]] = {}
    for stored in sorted(events, key=lambda stored: stored.position):
        event = decode(stored.type, stored.schema_version, stored.data)
        if isinstance(event, StepFailed) and event.gone_for is not None:
            key = stored.tenant_id, event.gone_for, storable(event.step_id)
            found[key] = stored.stream_id, stored.recorded_at, stored.position
    await execute(connection, _queries["upsert"], [(*key, *found[key]) for key in sorted(found)])


GONE_TARGETS = Projection(
    name="gone_targets",
    definition=1,
    handles=frozenset({"zap.run.step_failed"}),
    create=_queries["create"],
    apply=_apply,
)
