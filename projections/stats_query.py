"""Asks the statistics: buckets of time, with their quantiles."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from domain.history.durations import percentiles
from domain.history.sums import Sums, unpacked
from projections.stats import ALL_ZAPS, Width, floor
from sql.postgres.pool import Pool
from sql.postgres.queries import Queries

_queries = Queries("projections/stats.sql")
SHARES = 0.5, 0.95, 0.99
_FAILED = "failed", "timed_out"


class Percentiles(msgspec.Struct, frozen=True):
    """Milliseconds, off by less than five in a hundred; null where nothing was measured."""

    p50: float | None
    p95: float | None
    p99: float | None


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """What was requested within a minute, an hour or a day that begins at `from`.

    `requests`: those that started a run as `accepted`, others by their reason. `runs`: by how they ended, so far.
    `failure_rate`: of runs that have completed or failed, time-outs included; null where there are none. `queue_ms`:
    until something was done; `run_ms`: until the end. With `step_id` all of it is about attempts of that step.
    """

    from_: datetime = msgspec.field(name="from")
    step_id: str | None = None
    requests: dict[str, int]
    runs: dict[str, int]
    failure_rate: float | None
    queue_ms: Percentiles
    run_ms: Percentiles


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which statistics: of one zap or of all, of runs or of each step; `since` is inclusive, `until` is not."""

    zap_id: UUID | None = None
    width: Width = "hour"
    since: datetime
    until: datetime
    by_step: bool = False


async def read_stats(pool: Pool, tenant_id: UUID, asked: Asked) -> list[Bucket]:
    """The buckets that are not empty, oldest first; of months that were dropped from the log, too."""
    since = floor(asked.since, asked.width)
    of = asked.zap_id or ALL_ZAPS
    rows = await pool.fetch(_queries["read"], tenant_id, of, asked.width, since, asked.until, asked.by_step)
    return await asyncio.to_thread(_buckets, [tuple(row) for row in rows])


def _buckets(rows: Sequence[tuple[datetime, str, bytes]]) -> list[Bucket]:
    found: dict[tuple[datetime, str], Sums] = {}
    for at, step_id, data in rows:
        sums = unpacked(data)
        if (at, step_id) in found:
            found[at, step_id].add(sums)
        else:
            found[at, step_id] = sums
    return [_bucket(at, step_id, sums) for (at, step_id), sums in found.items()]


def _bucket(at: datetime, step_id: str, sums: Sums) -> Bucket:
    failed = sum(sums.runs.get(status, 0) for status in _FAILED)
    judged = failed + sums.runs.get("completed", 0)
    return Bucket(
        from_=at,
        step_id=step_id or None,
        requests=sums.requests,
        runs=sums.runs,
        failure_rate=round(failed / judged, 6) if judged else None,
        queue_ms=Percentiles(*percentiles(sums.queue, SHARES)),
        run_ms=Percentiles(*percentiles(sums.took, SHARES)),
    )
