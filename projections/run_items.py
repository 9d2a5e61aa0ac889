"""The items of a run's loops: a row each, from the run list, with what the loop has kept of those that completed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from domain.log.event import StreamKind
from domain.registry import decode
from domain.run.events import RunCompleted
from domain.run.state import RunStatus
from domain.values.json import Json
from projections.engine.rows import struct_of
from projections.run_list import RunError
from sql.log.event_store import PgEventStore
from sql.postgres.queries import Queries

_queries = Queries("projections/run_list.sql")
_COMPLETED = "zap.run.completed"

ItemOrder: TypeAlias = Literal["failures", "index"]


class RunItem(msgspec.Struct, kw_only=True):
    """An item of a loop: number `index` of the step `step_id`, and the run that does it.

    `result` is what the loop has kept of an item that completed; in a step's output it is null where there is none.
    """

    id: UUID
    step_id: str
    index: int
    status: RunStatus
    started_at: datetime
    finished_at: datetime | None
    duration_ms: float | None
    attempts: int
    recovered_by: UUID | None
    error: RunError | None
    result: Json | UnsetType = UNSET


class ItemFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which items, in which order, behind which one, and how many."""

    step_id: str | None = None
    status: RunStatus | None = None
    order: ItemOrder = "failures"
    after: UUID | None = None
    limit: int = 20


async def list_items(
    store: PgEventStore, tenant_id: UUID, parent_id: UUID, wanted: ItemFilter
) -> tuple[list[RunItem], bool]:
    """A page of items, and whether it was cut because what is kept of them is large."""
    rows = await store.pool.fetch(
        _queries["items"], tenant_id, parent_id, wanted.step_id, wanted.status, wanted.order == "failures",
        wanted.after, wanted.limit,
    )  # fmt: skip
    items = [struct_of(RunItem, (*row[:9], RunError(*row[9:12]) if row[9] else None, UNSET)) for row in rows]
    return await _with_results(store, items)


async def _with_results(store: PgEventStore, items: Sequence[RunItem]) -> tuple[list[RunItem], bool]:
    last = await store.last_events(StreamKind.RUN, [item.id for item in items], (_COMPLETED,))
    by_run = {event.stream_id: event for event in last.events}
    for item in items:
        event = by_run.get(item.id)
        if event is not None and event.type == _COMPLETED:
            completed = decode(event.type, event.schema_version, event.data)
            item.result = completed.result if isinstance(completed, RunCompleted) else UNSET
    return [item for item in items if item.id in by_run] if last.more else list(items), last.more
