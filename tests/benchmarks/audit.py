"""The audit with many entries: pages by every filter, deep cursors, and the whole as one export."""

import random
import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from app.http.api.audit_export import PAGE, pages
from projections.audit import AUDIT, AuditFilter, list_entries
from projections.engine.rebuild import rebuild
from sql.log.event_store import PgEventStore
from tests.benchmarks.instance import instance
from tests.benchmarks.support import PARTITIONS, Report, Row, database_settings

TENANTS = 10
ZAPS = 200
QUESTIONS = 300
FILL = """
with made as (
    select n, md5('tenant' || n % $2::int)::uuid as tenant, md5('zap' || n % ($2::int * $3::int))::uuid as zap,
           now() - make_interval(secs => $1::int - n) as at,
           (array['zap.paused', 'zap.enabled', 'zap.draft_changed', 'zap.published'])[1 + n % 4] as type
    from generate_series(1, $1::int) n
), logged as (
    insert into es.events (kind, stream_id, version, position, tenant_id, ordering_key, event_id, type, schema_version,
                           recorded_at, meta, data, hash)
    select 0, zap, n, n, tenant, zap, gen_random_uuid(), type, 1, at,
           convert_to('{"actor":"user:' || tenant || '","via":{"ip":"192.0.2.7","user_agent":"Mozilla/5.0 (X11)"}}', 'UTF8'),
           '{}', sha256(int4send(n))
    from made
), timed as (
    insert into es.commits (last_position, prev_position, recorded_at, hash)
    select n, n - 1, at, sha256(int4send(n)) from made
)
insert into rm.audit (tenant_id, position, at, type, kind, stream_id, version, actor, entity, entity_id, name, told, cut)
select tenant, n, at, type, 0, zap, n, case n % 50 when 0 then 'scheduler' else 'user:' || tenant end, 'zap', zap,
       'Orders ' || n % 1000, 'changed zap Orders ' || n % 1000 || ' of shop' || n % 7 || case n % 9973 when 0 then ' rarely' else '' end,
       false
from made
"""  # noqa: E501 - a table as it stands


async def run(*, quick: bool) -> Report:
    """Latency of a page by each filter, and entries per second of an export with the memory that it takes."""
    entries = 50_000 if quick else 1_000_000
    async with instance() as running:
        await rebuild(running.dsn, AUDIT, PARTITIONS)
        connection = await asyncpg.connect(running.dsn)
        await connection.execute(FILL, entries, TENANTS, ZAPS, timeout=900)
        await connection.execute("vacuum analyze rm_audit_v1.audit", timeout=300)
        await connection.execute("vacuum analyze es.events", timeout=300)
        tenants = [row[0] for row in await connection.fetch("select distinct tenant_id from rm.audit")]
        zaps = [row[0] for row in await connection.fetch("select distinct entity_id from rm.audit limit 500")]
        size = await connection.fetchval("select pg_total_relation_size('rm_audit_v1.audit')")
        await connection.close()
        async with PgEventStore(running.dsn, "audit") as store:
            rows = [await _page(store, tenants, name, make) for name, make in _questions(entries, zaps).items()]
            rows.append(await _export(store, tenants[0]))
        settings = (
            f"{await database_settings(running.dsn)}; {entries:,} entries of {TENANTS} accounts, "
            f"{size / entries:,.0f} bytes each with all indexes; {QUESTIONS} pages of 20 each."
        )
    return Report(settings, rows)


def _questions(entries: int, zaps: list[UUID]) -> dict[str, Callable[[UUID], dict[str, Any]]]:
    since = datetime.now(UTC) - timedelta(seconds=entries)
    return {
        "newest": lambda _tenant: {},
        "deep cursor": lambda _tenant: {"before": random.randrange(entries)},
        "one person": lambda tenant: {"actor": (f"user:{tenant}",)},
        "one process": lambda _tenant: {"actor": ("scheduler",)},
        "one zap": lambda _tenant: {"entity": random.choice(zaps)},
        "one type": lambda _tenant: {"type": "zap.published"},
        "a time": lambda _tenant: {
            "from_": (start := since + timedelta(seconds=random.randrange(entries))),
            "to": start + timedelta(hours=1),
        },
        "frequent words": lambda _tenant: {"q": "changed orders"},
        "rare words": lambda _tenant: {"q": "rarely"},
    }


async def _page(store: PgEventStore, tenants: list[UUID], name: str, make: Callable[[UUID], dict[str, Any]]) -> Row:
    latencies = []
    for _ in range(QUESTIONS):
        tenant = random.choice(tenants)
        wanted, started = AuditFilter(**make(tenant), limit=21), time.perf_counter()
        await list_entries(store.pool, tenant, wanted)
        latencies.append(time.perf_counter() - started)
    return Row(what=name, latencies_s=latencies)


async def _export(store: PgEventStore, tenant: UUID) -> Row:
    before, started, count = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter(), 0
    async for page in pages(store.pool, tenant, "ndjson", AuditFilter(after=0, limit=PAGE)):
        count += page.count(b"\n")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    rate = count / (time.perf_counter() - started)
    return Row(
        what="export", rate=rate, unit="entries/s", note=f"{count:,} entries, peak memory +{grown / 1024:.1f} MiB"
    )
