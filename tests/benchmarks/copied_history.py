"""Makes a log of many runs from one of fewer: copies of all runs, some time earlier each, with chain and read models.

A copy has ids of its own, and the payloads of the first: what one run had, one in as many as there are copies has then.
Appending and building that many would take hours on a machine that others use.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeAlias
from uuid import UUID

import asyncpg

from projections.search.blocks import ID_BYTES
from sql.log.hashing import commit_hash
from sql.process.clock import now
from tests.benchmarks.made_history import EVENTS_PER_RUN, ZAPS

_Copy: TypeAlias = "Callable[[asyncpg.Connection, int, int, int], Awaitable[None]]"
COMMIT = 1_000 * EVENTS_PER_RUN
"""Events of one commit, as es.append was called."""
PREPARE = """
create or replace function pg_temp.earlier(id uuid, ms bigint) returns uuid language sql immutable as $$
    select (lpad(to_hex(('x' || substr(x, 1, 12))::bit(48)::bigint - ms), 12, '0') || substr(x, 13))::uuid
    from replace(id::text, '-', '') x
$$
"""
MONTHS = """
select es.make_month('events_run', m at time zone 'UTC')
from generate_series(date_trunc('month', $1::timestamptz), now(), '1 month') m
"""
EVENTS = """
insert into es.events (kind, stream_id, version, position, tenant_id, ordering_key, event_id, type, schema_version,
                       recorded_at, meta, data, hash)
select kind, c.id, version, position + $3, tenant_id, c.id, c.event_id, type, schema_version, $5, meta, data,
       sha256(int2send(kind) || int2send(schema_version) || int4send(octet_length(type)) || int4send(octet_length(meta))
              || int4send(octet_length(data)) || uuid_send(c.id) || uuid_send(tenant_id) || uuid_send(c.id)
              || uuid_send(c.event_id) || convert_to(type, 'UTF8') || meta || data)
from (select *, pg_temp.earlier(stream_id, $4) as run_id, gen_random_uuid() as new_id from es.events
      where position > $1 and position <= $2) e
cross join lateral (select e.run_id as id, e.new_id as event_id) c
returning position, int4send(version) || hash as link
"""
LINKS = f"with made as ({EVENTS}) select string_agg(link, ''::bytea order by position) from made"
LISTED = """
insert into rm.run_list
select tenant_id, pg_temp.earlier(run_id, $1), zap_id, zap_version, status, source, started_at - $3::interval,
       finished_at - $3::interval, duration_ms, error_code, error_message, error_step, attempts, replay_of, parent_id,
       parent_step, item_index, position + $2, stream_version
from rm.run_list where position <= $4 order by run_id
"""
KEYS = """
insert into rm.run_keys select tenant_id, pg_temp.earlier(run_id, $1), name, key, value
from rm.run_keys join rm.run_list using (tenant_id, run_id) where position <= $2 order by run_id
"""
SEGMENTS = "select tenant_id, segment, data from rm.run_search where first = ''::bytea and segment <= $1"
HEAD = """
insert into rm.run_search
select tenant_id, segment + $1, first, pg_temp.earlier(lowest, $2), pg_temp.earlier(highest, $2), size,
       case when first = ''::bytea then $5 else data end
from rm.run_search where tenant_id = $3 and segment = $4
"""


async def copy(dsn: str, copies: int, span: timedelta) -> None:
    """Have so many copies of all runs beside them, spread over a span of time before them."""
    connection = await asyncpg.connect(dsn)
    head: int = await connection.fetchval("select max(last_position) from es.commits")
    await connection.execute(MONTHS, now() - span)
    await asyncio.gather(_copied(dsn, _log, head, copies, span), _copied(dsn, _lists, head, copies, span))
    await connection.execute("update proj.gates set position = (select max(last_position) from es.commits)")
    await connection.close()


async def _copied(dsn: str, some: _Copy, head: int, copies: int, span: timedelta) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(PREPARE)
    for number in range(1, copies + 1):
        ms = span * number / copies // timedelta(milliseconds=1)
        await some(connection, head, number * (head - 2 * len(ZAPS)), ms)
    await connection.close()


async def _lists(connection: asyncpg.Connection, head: int, offset: int, ms: int) -> None:
    async with connection.transaction():
        await connection.execute(LISTED, ms, offset, timedelta(milliseconds=ms), head)
        await connection.execute(KEYS, ms, head)
        for tenant_id, segment, ids in await connection.fetch(SEGMENTS, head):
            moved = await asyncio.to_thread(_earlier, ids, ms)
            await connection.execute(HEAD, offset, ms, tenant_id, segment, moved)


async def _log(connection: asyncpg.Connection, head: int, offset: int, ms: int) -> None:
    for after in range(2 * len(ZAPS), head, COMMIT):
        last = min(after + COMMIT, head)
        async with connection.transaction():
            previous = await connection.fetchval("select hash from es.commits where last_position = $1", after + offset)
            at = now()
            links: bytes = await connection.fetchval(LINKS, after, last, offset, ms, at)
            digest = commit_hash(previous, after + offset, at, links)
            await connection.execute(
                "insert into es.commits values ($1, $2, $3, $4)", last + offset, after + offset, at, digest
            )


def _earlier(ids: bytes, ms: int) -> bytes:
    return b"".join(
        UUID(int=UUID(bytes=ids[n : n + ID_BYTES]).int - (ms << 80)).bytes for n in range(0, len(ids), ID_BYTES)
    )
