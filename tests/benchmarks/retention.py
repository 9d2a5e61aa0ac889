"""Retention: a month of runs is dropped while another process appends; and the chain is verified afterwards.

RETENTION_RUNS says how many runs there are (1,000,000 without it), of four events each.
"""

import asyncio
import os
import sys
import time
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec

from consumers.scheduler.due import expired
from consumers.scheduler.retention import SUMS, drop
from domain.log.event import Append, Appended, Metadata, NewEvent, StreamKind
from domain.zap.events import ZapPublished
from domain.zap.settings import Retention, ZapSettings
from projections.audit import AUDIT
from projections.engine.rebuild import rebuild
from projections.run_keys import RUN_KEYS
from projections.run_list import RUN_LIST
from projections.run_search import RUN_SEARCH
from projections.stats import STATS
from projections.zap_list import ZAP_LIST
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id
from sql.proof.verify import verify_chain
from tests.benchmarks.appending import Waits
from tests.benchmarks.instance import instance
from tests.benchmarks.support import PARTITIONS, TENANT, Report, Row, database_settings
from tests.support.builders import a_definition, a_zap_created

RUNS = int(os.environ.get("RETENTION_RUNS", "1000000"))
MONTH = datetime(2025, 3, 1, tzinfo=UTC)
EVENTS_PER_RUN = 4
FILL = """
with run as (
    select n, (left(es.first_uuid_at(at)::text, 14) || '7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as id, at
    from (select n, $1::timestamptz + make_interval(secs => n * 2592000.0 / $2::int) as at
          from generate_series(1, $2::int) n) r
), made as (
    select r.id, r.n, v.version, ($5::bigint + (r.n - 1) * 4 + v.version) as position, gen_random_uuid() as event_id, v.type,
           convert_to('{"actor":"runner"}', 'UTF8') as meta,
           convert_to('{"zap_id":"' || $4::uuid || '","padding":"' || repeat(md5(r.n::text), v.size) || '"}', 'UTF8') as data
    from run r cross join (values (1, 'zap.run.requested', 24), (2, 'zap.run.step_started', 2),
                                  (3, 'zap.run.step_succeeded', 8), (4, 'zap.run.completed', 1)) v(version, type, size)
)
insert into es.events (kind, stream_id, version, position, tenant_id, ordering_key, event_id, type, schema_version,
                       recorded_at, meta, data, hash)
select 1, id, version, position, $3::uuid, id, event_id, type, 1, $6::timestamptz, meta, data,
       sha256(int2send(1::smallint) || int2send(1::smallint) || int4send(octet_length(type)) || int4send(octet_length(meta))
              || int4send(octet_length(data)) || uuid_send(id) || uuid_send($3::uuid) || uuid_send(id)
              || uuid_send(event_id) || convert_to(type, 'UTF8') || meta || data)
from made
"""  # noqa: E501 - a table as it stands
COMMIT = """
insert into es.commits (last_position, prev_position, recorded_at, hash)
select max(e.position), $1::bigint, $2::timestamptz,
       sha256((select hash from es.commits where last_position = $1::bigint) || int8send($1::bigint)
              || int8send((extract(epoch from $2::timestamptz) * 1000000)::bigint)
              || string_agg(int4send(e.version) || e.hash, ''::bytea order by e.position))
from es.events e where e.position > $1::bigint
"""
LISTED = """
insert into rm.run_list
select tenant_id, stream_id, $1::uuid, 1, 'completed', 'webhook', recorded_at, recorded_at, 5, null, null, null, 1, null,
       null, null, null, position, 4
from es.events where kind = 1 and version = 4
"""  # noqa: E501 - same


async def run(*, quick: bool) -> Report:
    """How long dropping takes, what an append waits meanwhile, and that the chain holds."""
    runs = 20_000 if quick else RUNS
    async with instance() as running, PgEventStore(running.dsn, "retention", patience_s=60) as store:
        for projection in (AUDIT, RUN_KEYS, RUN_LIST, STATS, ZAP_LIST, *SUMS):
            await rebuild(running.dsn, projection, PARTITIONS)
        await rebuild(running.dsn, RUN_SEARCH, 1)
        await _fill(running.dsn, store, runs)
        rows = await _dropped(running.dsn)
        began = time.perf_counter()
        report = await verify_chain(running.dsn)
        assert report.broken_at is None, report.reason
        took = time.perf_counter() - began
        rows.append(Row(what="verify the chain afterwards", rate=report.events / took, unit="events/s"))
        settings = (
            f"{await database_settings(running.dsn)}; {runs:,} runs of one month, {runs * EVENTS_PER_RUN:,} events."
        )
    return Report(settings, rows)


async def _fill(dsn: str, store: PgEventStore, runs: int) -> None:
    zap_id = new_id()
    rule = ZapSettings(retention=Retention(completed_days=30))
    definition = msgspec.structs.replace(a_definition("send"), settings=rule)
    events = a_zap_created(definition=definition), ZapPublished(number=1, name="Orders", definition=definition)
    appended = await store.append(
        Append(
            kind=StreamKind.CORE,
            stream_id=zap_id,
            expected=0,
            tenant_id=TENANT,
            ordering_key=zap_id,
            events=tuple(NewEvent(new_id(), event) for event in events),
            metadata=Metadata(actor="test"),
        )
    )
    assert isinstance(appended, Appended)
    connection = await asyncpg.connect(dsn)
    await connection.execute("select es.make_month('events_run', $1)", MONTH.replace(tzinfo=None))
    at = datetime.now(UTC)
    await connection.execute(FILL, MONTH, runs, TENANT, zap_id, appended.position, at, timeout=3_000)
    await connection.execute(COMMIT, appended.position, at, timeout=3_000)
    await connection.execute(LISTED, zap_id, timeout=3_000)
    await connection.execute("vacuum analyze", timeout=3_000)
    await connection.close()
    await rebuild(dsn, ZAP_LIST, PARTITIONS)


async def _dropped(dsn: str) -> list[Row]:
    appending = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.appending", dsn,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    began = time.perf_counter()
    (gone,) = [one async for one in expired(dsn, MONTH + timedelta(days=100))]
    found = time.perf_counter()
    assert await drop(dsn, gone, new_id) is not None, "nothing is being built"
    dropped = time.perf_counter()
    output, _nothing = await appending.communicate(b"")  # which closes its input
    waits = msgspec.json.decode(output.splitlines()[-1], type=Waits)
    note = f"{len(waits.appends):,} of them, the longest {1_000 * max(waits.appends):.0f} ms"
    return [
        Row(what="finding the runs", rate=gone.runs / (found - began), unit="runs/s", note=f"{found - began:.1f} s"),
        Row(what="dropping them", rate=gone.runs / (dropped - found), unit="runs/s", note=f"{dropped - found:.1f} s"),
        Row(what="an append meanwhile, from another process", latencies_s=waits.appends, note=note),
        Row(what="the lock of appends, held at the longest", latencies_s=[waits.held], note="looked at every 2 ms"),
    ]
