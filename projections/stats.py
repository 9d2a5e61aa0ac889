"""Statistics: how many requests and runs had which outcome, and how long they queued and took, by zap, step and time.

Everything about a run counts at the moment of its request, which its id carries, so that a month of runs and its
statistics are about the same. Cells are sums, so batches may come in any order.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias
from uuid import UUID

import msgspec

from domain.history.durations import length_of, percentiles
from domain.intake.events import RequestRejected, RequestsCounted
from domain.log.event import Event, StoredEvent, StreamKind
from domain.registry import decode
from domain.run import events as run
from projections.engine.projection import Projection
from projections.engine.rows import columns, execute, storable
from sql.postgres.pool import Connection, Pool
from sql.postgres.queries import Queries

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

_queries = Queries("projections/stats.sql")
ALL_ZAPS = UUID(int=0)
Width: TypeAlias = Literal["minute", "hour", "day"]
WIDTHS: Mapping[Width, timedelta] = {
    "minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1),
}  # fmt: skip
KEPT_RUNS = 500
"""Runs whose events are read at once."""
SHARES = 0.5, 0.95, 0.99
_FAILED = "failed", "timed_out"
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_ENDS: Mapping[str, str] = {
    "zap.run.completed": "completed",
    "zap.run.filtered": "filtered",
    "zap.run.failed": "failed",
    "zap.run.timed_out": "timed_out",
    "zap.run.cancelled": "cancelled",
}
_STEPS = frozenset({"zap.run.step_succeeded", "zap.run.step_failed", "zap.run.step_attempt_failed"})
_Cell: TypeAlias = tuple[str, str]
"""The id of a step, empty for the run; and what is counted."""


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
    since = _floor(asked.since, asked.width)
    of = asked.zap_id or ALL_ZAPS
    rows = await pool.fetch(_queries["read"], tenant_id, of, asked.width, since, asked.until, asked.by_step)
    return await asyncio.to_thread(_buckets, [tuple(row) for row in rows])


def _buckets(rows: Sequence[tuple[datetime, str, list[str], list[int]]]) -> list[Bucket]:
    cells: dict[tuple[datetime, str], Counter[str]] = {}
    for at, step_id, names, counts in rows:
        found = cells.setdefault((at, step_id), Counter())
        for name, count in zip(names, counts, strict=True):
            found[name] += count
    return [_bucket(at, step_id, found) for (at, step_id), found in cells.items()]


def _bucket(at: datetime, step_id: str, cells: Mapping[str, int]) -> Bucket:
    kinds: dict[str, dict[str, int]] = {"requests": {}, "runs": {}, "queue": {}, "took": {}}
    for cell, count in cells.items():
        kind, _, value = cell.partition(":")
        kinds[kind][value] = count
    runs = kinds["runs"]
    failed = sum(runs.get(status, 0) for status in _FAILED)
    judged = failed + runs.get("completed", 0)
    return Bucket(
        from_=at,
        step_id=step_id or None,
        requests=kinds["requests"],
        runs=runs,
        failure_rate=round(failed / judged, 6) if judged else None,
        queue_ms=_percentiles(kinds["queue"]),
        run_ms=_percentiles(kinds["took"]),
    )


def _percentiles(counts: Mapping[str, int]) -> Percentiles:
    return Percentiles(*percentiles({int(length): count for length, count in counts.items()}, SHARES))


async def seal_runs(connection: Connection, month: date, zaps: Sequence[tuple[UUID, UUID]]) -> None:
    """Keep for good what runs of a month that are about to go have added, of some tenants' zaps.

    In the transaction that drops them, after the list of runs has forgotten them: what is listed yet is kept. Who holds
    the lock of the read model's rebuilds is alone with the table in between.
    """
    await connection.execute(_queries["write_kept"])
    last = UUID(int=0)
    while rows := await connection.fetch(
        _queries["kept_events"], month, [zap for _tenant, zap in zaps], last, KEPT_RUNS
    ):
        events = [StoredEvent(*row) for row in rows if row["type"] in STATS.handles]
        if events:
            await _apply(connection, events)
        last = rows[-1]["stream_id"]
    await connection.execute(_queries["write_lists"])
    await connection.execute(_queries["seal_runs"], month, *columns(zaps))
    await connection.execute(_queries["end_kept"])


async def seal_requests(connection: "Connection | PoolConnectionProxy[asyncpg.Record]", month: date) -> None:
    """Keep for good what requests of a month have added that is about to be dropped; in the same transaction."""
    await connection.execute(_queries["seal_requests"], month)


async def unseal_runs(connection: Connection, events: Sequence[StoredEvent]) -> None:
    """Runs came back: what the read model counts of them is kept elsewhere no more.

    In the transaction that brings them back, under the lock of the read model's rebuilds.
    """
    await connection.execute(_queries["write_kept"])
    await _apply(connection, [event for event in events if event.type in STATS.handles])
    await connection.execute(_queries["unseal"])
    await connection.execute(_queries["end_kept"])
    await connection.execute(_queries["write_lists"])


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    decoded = [(stored, decode(stored.type, stored.schema_version, stored.data)) for stored in events]
    zaps = await _zaps(connection, decoded)
    sums: Counter[tuple[UUID, UUID, str, datetime, str, str]] = Counter()
    for stored, event in decoded:
        zap_id = _zap_of(stored, event, zaps)
        at = _asked_at(stored)
        for (step_id, cell), count in _cells(stored, event, at):
            for width in WIDTHS:
                for of in (zap_id, ALL_ZAPS):
                    sums[stored.tenant_id, of, width, _floor(at, width), step_id, cell] += count
    await execute(connection, _queries["add"], [(*key, sums[key]) for key in sorted(sums)])


def _floor(moment: datetime, width: Width) -> datetime:
    return moment - (moment - _EPOCH) % WIDTHS[width]


def _asked_at(stored: StoredEvent) -> datetime:
    """The moment in a stream's id, where it has one."""
    if stored.stream_id.version != 7:
        return stored.recorded_at
    return datetime.fromtimestamp((stored.stream_id.int >> 80) / 1_000, UTC)


async def _zaps(connection: Connection, events: Sequence[tuple[StoredEvent, Event]]) -> dict[UUID, UUID]:
    """The zaps of the runs; what a batch lacks stands in the first event of the run."""
    found = {stored.stream_id: event.zap_id for stored, event in events if isinstance(event, run.RunRequested)}
    missing = {stored.stream_id for stored, _event in events if stored.kind == StreamKind.RUN} - found.keys()
    if missing:
        found.update(await connection.fetch(_queries["zaps_of"], StreamKind.RUN, sorted(missing)))  # type: ignore[arg-type]  # rows of two
    return found


def _zap_of(stored: StoredEvent, event: Event, zaps: Mapping[UUID, UUID]) -> UUID:
    if isinstance(event, RequestRejected | RequestsCounted):
        return event.zap_id
    return zaps.get(stored.stream_id, ALL_ZAPS)


def _cells(stored: StoredEvent, event: Event, at: datetime) -> Iterator[tuple[_Cell, int]]:
    match event:
        case RequestRejected():
            yield ("", f"requests:{event.reason}"), 1
        case RequestsCounted():
            yield ("", f"requests:{event.reason}"), event.count
        case run.RunRequested() if event.source == "webhook":
            yield ("", "requests:accepted"), 1
        case run.StepSucceeded() | run.StepFailed() | run.StepAttemptFailed():
            yield from _step(stored, event, at)
        case _ if stored.type in _ENDS:
            yield ("", f"runs:{_ENDS[stored.type]}"), 1
            yield ("", f"took:{length_of(_ms(stored.recorded_at - at))}"), 1
        case _:
            pass


def _step(
    stored: StoredEvent, event: run.StepSucceeded | run.StepFailed | run.StepAttemptFailed, at: datetime
) -> Iterator[tuple[_Cell, int]]:
    queued = length_of(_ms(event.started_at - at))
    step_id = storable(event.step_id)
    if stored.version == 2:
        yield ("", f"queue:{queued}"), 1
    if not isinstance(event, run.StepAttemptFailed):
        yield (step_id, "runs:completed" if isinstance(event, run.StepSucceeded) else "runs:failed"), 1
    if event.attempt == 1:
        yield (step_id, f"queue:{queued}"), 1
    if event.attempt:
        yield (step_id, f"took:{length_of(event.duration_ms)}"), 1


def _ms(span: timedelta) -> float:
    return span / timedelta(milliseconds=1)


STATS = Projection(
    name="stats",
    definition=1,
    handles=frozenset({"zap.run.requested", *_STEPS, *_ENDS, "zap.request.rejected", "zap.request.counted"}),
    create=_queries["create"],
    apply=_apply,
)
