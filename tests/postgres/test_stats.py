"""Statistics: sums that equal a plain count of the log, in any order of batches."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.intake.events import RequestRejected
from domain.log.event import StreamKind
from projections.engine.engine import Engine
from projections.engine.rebuild import rebuild
from projections.stats import ALL_ZAPS, STATS, Width
from projections.stats_query import Asked, Bucket, read_stats
from sql.log.event_store import PgEventStore
from sql.postgres.pool import connect
from sql.postgres.queries import Queries
from sql.process.clock import new_id
from tests.support.eventually import eventually
from tests.support.projected import PARTITIONS, append, batch_of, live_many

TENANT = UUID("00000000-0000-7000-8000-000000000001")
LONG_AGO, LATER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


async def test_statistics_equal_a_plain_count(engine: Engine, store: PgEventStore, dsn: str) -> None:
    await live_many(store, TENANT, 60)
    zap = new_id()
    rejected = RequestRejected(zap_id=zap, reason="bad_signature", status=401)
    await append(store, new_id(), rejected, tenant_id=TENANT, key=zap, kind=StreamKind.REQUEST)
    events = await store.read_log(0, 10_000)
    for start in range(0, len(events), 17):
        await engine.apply(batch_of(events[start : start + 17]))
    ends = Counter(event.type for event in events)

    async def day(width: Width = "day", zap_id: UUID | None = None, *, by_step: bool = False) -> list[Bucket]:
        asked = Asked(zap_id=zap_id, width=width, since=LONG_AGO, until=LATER, by_step=by_step)
        return await read_stats(store.pool, TENANT, asked)

    whole = await day()
    runs = sum((Counter(bucket.runs) for bucket in whole), Counter[str]())
    assert runs == {"completed": ends["zap.run.completed"], "failed": ends["zap.run.failed"]}
    requests = sum((Counter(bucket.requests) for bucket in whole), Counter[str]())
    assert requests == {"accepted": ends["zap.run.requested"], "bad_signature": 1}
    rate = runs["failed"] / runs.total()
    assert len(whole) > 1 or whole[0].failure_rate == round(rate, 6)
    assert all(bucket.run_ms.p50 is not None and bucket.run_ms.p99 is not None for bucket in whole)
    assert [bucket.requests for bucket in await day(zap_id=zap)] == [{"bad_signature": 1}]
    steps = sum((Counter(bucket.runs) for bucket in await day(by_step=True)), Counter[str]())
    assert steps == {"completed": ends["zap.run.step_succeeded"], "failed": ends["zap.run.step_failed"]}
    assert {bucket.step_id for bucket in await day(by_step=True)} == {"send"}
    for width in ("minute", "hour"):
        assert sum((Counter(bucket.runs) for bucket in await day(width)), Counter[str]()) == runs
    # That it outlives the events is tried with retention.
    connection = await connect(dsn, "test")
    await rebuild(dsn, STATS, PARTITIONS)
    assert await day() == whole
    await connection.execute("set enable_seqscan = off")
    rows = await connection.fetch(
        "explain " + Queries("projections/stats.sql")["read"],
        TENANT, ALL_ZAPS, "day", LATER - timedelta(days=31), LATER, False,
    )  # fmt: skip
    assert "stats_pkey" in "\n".join(row[0] for row in rows)
    await connection.close()


async def test_two_projectors_that_make_the_same_buckets_lose_nothing(
    engine: Engine, store: PgEventStore, dsn: str
) -> None:
    await live_many(store, TENANT, 20)
    events = [event for event in await store.read_log(0, 10_000) if event.type in STATS.handles]
    half = len(events) // 2
    one, other = [await connect(dsn, "test", search_path="rm") for _ in range(2)]
    pid = await other.fetchval("select pg_backend_pid()")
    async with one.transaction():
        await STATS.apply(one, events[:half])
        waiting = asyncio.ensure_future(STATS.apply(other, events[half:]))
        # It waits for the rows that the first has made, and finds them then.
        waits = "select exists (select from pg_locks where not granted and pid = $1)"
        await eventually(lambda: one.fetchval(waits, pid))
    await waiting
    rows = await one.fetch("select * from rm.stats order by 1, 2, 3, 4, 5")
    await rebuild(dsn, STATS, PARTITIONS)
    assert rows == await one.fetch("select * from rm.stats order by 1, 2, 3, 4, 5")
    await one.close()
    await other.close()
