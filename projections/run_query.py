"""Asks the run list, by a filter of runs or for some that belong together."""

from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from domain.job.job import Selection
from projections.engine.projection import BEING_BUILT
from projections.engine.rows import struct_of
from projections.run_filter import RunFilter, count_query, not_too_early, oldest_query, page_query
from projections.run_list import RunError, RunListItem
from sql.postgres.composed import Composed
from sql.postgres.pool import Pool
from sql.postgres.queries import Queries

if TYPE_CHECKING:
    import asyncpg

_queries = Queries("projections/run_list.sql")
_fragments = Queries("fragments/run_list.sql")
_keys = msgspec.json.Decoder(dict[str, str | float | bool])
MAX_REPLAYS = 100


async def list_runs(pool: Pool, tenant_id: UUID, wanted: RunFilter) -> list[RunListItem]:
    """A page of a tenant's runs."""
    rows = await _rows(pool, page_query(tenant_id, wanted), for_values=wanted.in_ranges)
    return [_item(tuple(row)) for row in rows]


async def _rows(pool: Pool, asked: Composed, *, for_values: bool) -> "list[asyncpg.Record]":
    if not for_values:
        return await pool.fetch(asked.query, *asked.arguments)
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(_fragments["plan_for_values"])
        return await connection.fetch(asked.query, *asked.arguments)


def _item(row: tuple[object, ...]) -> RunListItem:
    code, message, step_id = row[8:11]
    error = RunError(str(code), str(message), None if step_id is None else str(step_id)) if code else None
    keys = _keys.decode(row[16]) if isinstance(row[16], str) else {}
    return struct_of(RunListItem, (*row[:8], error, *row[11:16], keys, msgspec.UNSET))


async def count_runs(pool: Pool, tenant_id: UUID, wanted: RunFilter) -> int:
    """How many runs a filter finds, counted up to its limit."""
    counted = count_query(tenant_id, wanted)
    return int((await _rows(pool, counted, for_values=bool(wanted.keys)))[0][0])


async def oldest_runs(
    pool: Pool, tenant_id: UUID, wanted: RunFilter, *, after: UUID | None, before: UUID
) -> list[UUID]:
    """The oldest runs of a filter with ids between the two."""
    oldest = oldest_query(tenant_id, wanted, after=after, before=before)
    return [row[0] for row in await _rows(pool, oldest, for_values=bool(wanted.keys))]


async def replays_of(pool: Pool, tenant_id: UUID, run_id: UUID) -> list[UUID]:
    """The newest MAX_REPLAYS runs that replay this one, newest first; none while the list is being built."""
    try:
        rows = await pool.fetch(_queries["replays_of"], tenant_id, run_id, MAX_REPLAYS)
    except BEING_BUILT:
        return []
    return [row[0] for row in rows]


class Triggered(msgspec.Struct, frozen=True):
    """How many runs there are that something started from outside, the oldest and the newest of them."""

    count: int
    first: UUID
    last: UUID


NONE_TRIGGERED = Triggered(0, UUID(int=0), UUID(int=0))


async def newest_triggers(pool: Pool, tenant_id: UUID, selection: Selection, limit: int) -> Triggered:
    """The newest of a zap's runs that have ended, without replays and items of loops. Of a selection only zap and time
    count.
    """
    wanted = selection.zap_id, not_too_early(selection.from_), not_too_early(selection.to)
    row = await pool.fetchrow(_queries["newest_triggers"], tenant_id, *wanted, limit)
    return Triggered(*row) if row and row[0] else NONE_TRIGGERED


async def oldest_triggers(
    pool: Pool, tenant_id: UUID, selection: Selection, *, after: UUID, last: UUID, limit: int
) -> list[UUID]:
    """The next of these, oldest first, behind an id and up to another one."""
    wanted = selection.zap_id, not_too_early(selection.from_), not_too_early(selection.to)
    rows = await pool.fetch(_queries["oldest_triggers"], tenant_id, *wanted, after, last, limit)
    return [row[0] for row in rows]
