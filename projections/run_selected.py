"""The runs that a selection means, for the list, for counts and for jobs: one filter, whoever asks."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from domain.job.job import Selection
from domain.run.state import RunStatus
from domain.search.query import Search, search
from projections.engine.rows import storable
from projections.run_filter import RunFilter
from projections.run_found import FoundCount, count_found, oldest_found
from projections.run_query import count_runs, oldest_runs
from projections.zap_list import zaps_tagged
from sql.log.event_store import PgEventStore
from sql.postgres.pool import Pool


async def filter_of(
    pool: Pool, tenant_id: UUID, selection: Selection, statuses: Sequence[RunStatus]
) -> tuple[RunFilter, Search]:
    """What it means, whatever its own status, and what it searches for. Raises Invalid."""
    searched = search(selection.q, selection.where)
    tagged = None
    if selection.tag is not None:
        tagged = await zaps_tagged(pool, tenant_id, storable(selection.tag))
    wanted = RunFilter.of(selection, statuses, tagged)
    return msgspec.structs.replace(wanted, keys=searched.keys), searched


async def count_selected(
    store: PgEventStore, tenant_id: UUID, selection: Selection, statuses: Sequence[RunStatus], most: int
) -> FoundCount:
    """How many runs there are, counted up to so many, and as long as a search may take. Raises Invalid."""
    wanted, searched = await filter_of(store.pool, tenant_id, selection, statuses)
    if searched:
        return await count_found(store, tenant_id, msgspec.structs.replace(wanted, limit=most), searched)
    count = await count_runs(store.pool, tenant_id, msgspec.structs.replace(wanted, limit=most + 1))
    return FoundCount(min(count, most), exact=count <= most)


async def oldest_selected(
    store: PgEventStore,
    tenant_id: UUID,
    selection: Selection,
    statuses: Sequence[RunStatus],
    *,
    after: UUID | None,
    before: UUID,
    limit: int,
) -> list[UUID]:
    """The next runs with one of these statuses and an id between the two, oldest first; none where none are left."""
    wanted, searched = await filter_of(store.pool, tenant_id, selection, statuses)
    wanted = msgspec.structs.replace(wanted, limit=limit)
    if searched:
        return await oldest_found(store, tenant_id, wanted, searched, after=after, before=before)
    return await oldest_runs(store.pool, tenant_id, wanted, after=after, before=before)
