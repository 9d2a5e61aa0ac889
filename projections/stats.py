"""Statistics: how many requests and runs had which outcome, and how long they queued and took, by zap, step and time.

Everything about a run counts at the moment of its request, which its id carries, so that a month of runs and its
statistics are about the same. All are sums, so batches may come in any order.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias
from uuid import UUID

from domain.history.durations import length_of
from domain.history.sums import ACCEPTED, Sums, add_one, packed, unpacked
from domain.intake.events import RequestRejected, RequestsCounted
from domain.log.event import Event, StoredEvent, StreamKind
from domain.registry import decode
from domain.run import events as run
from projections.engine.projection import Projection
from projections.engine.rows import columns, execute, storable
from projections.run_zaps import zaps_of
from sql.postgres.pool import Connection
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
BUCKETS = 2_000
"""That are sealed at once."""
_WITH_TIME = 7
"""The version of UUIDs that begin with a moment (RFC 9562 §5.7)."""
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_ENDS: Mapping[str, str] = {
    "zap.run.completed": "completed",
    "zap.run.filtered": "filtered",
    "zap.run.failed": "failed",
    "zap.run.timed_out": "timed_out",
    "zap.run.cancelled": "cancelled",
}
_STEPS = frozenset({"zap.run.step_succeeded", "zap.run.step_failed", "zap.run.step_attempt_failed"})
_Steps: TypeAlias = defaultdict[str, Sums]
"""What is counted of steps by their ids, and of the run under an empty one."""
_Key: TypeAlias = tuple[UUID, UUID, Width, datetime, str]
"""A bucket: of a tenant and a zap, its width and begin, and the id of a step, empty for the run."""
_OfPool: TypeAlias = "Connection | PoolConnectionProxy[asyncpg.Record]"


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
    for tenant_id, zap_id in zaps:
        await _seal(connection, month, tenant_id, zap_id, Sums.of_runs)
    await connection.execute(_queries["end_kept"])


async def seal_requests(connection: "_OfPool", month: date) -> None:
    """Keep for good what requests of a month have added that is about to be dropped; in the same transaction.

    The connection's unqualified table names lead to the live read models from then on.
    """
    await connection.execute(_queries["write_lists"])
    for tenant_id, zap_id in await connection.fetch(_queries["zaps_of_month"], month):
        await _seal(connection, month, tenant_id, zap_id, Sums.of_requests)


async def _seal(
    connection: "_OfPool", month: date, tenant_id: UUID, zap_id: UUID, part_of: Callable[[Sums], Sums]
) -> None:
    """Bring that part of a zap's sums from the read model to where it is kept, but for what is to stay."""
    last: tuple[str, datetime, str] = ("", _EPOCH, "")
    while rows := await connection.fetch(_queries["of_month"], tenant_id, zap_id, month, *last, BUCKETS):
        gone: dict[_Key, Sums] = {}
        for width, at, step_id, data, kept in rows:
            sums = part_of(unpacked(data))
            if kept:
                sums.take_out(unpacked(kept))
            if not sums.is_empty():
                gone |= {(tenant_id, of, width, at, step_id): sums for of in (zap_id, ALL_ZAPS)}
        await _take_out(connection, gone)
        await connection.execute(_queries["write_sealed"])
        await _add(connection, gone)
        await connection.execute(_queries["write_lists"])
        last = rows[-1][:3]


async def unseal_runs(connection: Connection, events: Sequence[StoredEvent]) -> None:
    """Runs came back: what the read model counts of them is kept elsewhere no more.

    In the transaction that brings them back, under the lock of the read model's rebuilds.
    """
    sums = await _counted(connection, [event for event in events if event.type in STATS.handles])
    await connection.execute(_queries["write_sealed"])
    await _take_out(connection, sums)
    await connection.execute(_queries["write_lists"])


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    await _add(connection, await _counted(connection, events))


async def _counted(connection: Connection, events: Sequence[StoredEvent]) -> dict[_Key, Sums]:
    """What events add to each bucket: by minute first, as most of a batch are of one minute."""
    zaps = await zaps_of(connection, [stored for stored in events if stored.kind == StreamKind.RUN])
    minutes: dict[tuple[UUID, UUID, datetime], _Steps] = defaultdict(lambda: defaultdict(Sums))
    for stored in events:
        at = _asked_at(stored)
        # What ends a run is not looked into: all of them have a moment and a name.
        event = None if stored.type in _ENDS else decode(stored.type, stored.schema_version, stored.data)
        zap_id = zaps.get(stored.stream_id, ALL_ZAPS) if stored.kind == StreamKind.RUN else _asked_for(event)
        _count(minutes[stored.tenant_id, zap_id, floor(at, "minute")], stored, event, at)
    found: dict[_Key, Sums] = defaultdict(Sums)
    for (tenant_id, zap_id, minute), steps in minutes.items():
        for width in WIDTHS:
            for of in {zap_id, ALL_ZAPS}:
                for step_id, sums in steps.items():
                    found[tenant_id, of, width, floor(minute, width), step_id].add(sums)
    return found


async def _add(connection: "_OfPool", sums: Mapping[_Key, Sums]) -> None:
    """Count them, too. What somebody else inserts meanwhile is there at the next look."""
    left = sums
    while left:
        keys = sorted(left)
        held = {keys[place]: data for place, data in await connection.fetch(_queries["held"], *columns(keys))}
        changed = []
        for key, data in held.items():
            now = unpacked(data)
            now.add(left[key])
            changed.append((*key, packed(now)))
        await execute(connection, _queries["change"], changed)
        new = [(*key, packed(left[key])) for key in keys if key not in held]
        made = await connection.fetch(_queries["insert"], *columns(new)) if new else []
        done = held.keys() | {tuple(row) for row in made}
        left = {key: one for key, one in left.items() if key not in done}


async def _take_out(connection: "_OfPool", sums: Mapping[_Key, Sums]) -> None:
    """Count them no more."""
    if not sums:
        return
    keys = sorted(sums)
    changed: list[tuple[object, ...]] = []
    emptied: list[_Key] = []
    for place, data in await connection.fetch(_queries["held"], *columns(keys)):
        now = unpacked(data)
        now.take_out(sums[keys[place]])
        if now.is_empty():
            emptied.append(keys[place])
        else:
            changed.append((*keys[place], packed(now)))
    await execute(connection, _queries["change"], changed)
    await execute(connection, _queries["delete"], emptied)


def floor(moment: datetime, width: Width) -> datetime:
    """When the bucket of a moment begins."""
    """When the bucket of a moment begins."""
    return moment - (moment - _EPOCH) % WIDTHS[width]


def _asked_at(stored: StoredEvent) -> datetime:
    """The moment in a stream's id, where it has one."""
    bits = stored.stream_id.int
    if bits >> 76 & 0xF != _WITH_TIME:
        return stored.recorded_at
    return datetime.fromtimestamp((bits >> 80) / 1_000, UTC)


def _asked_for(event: Event | None) -> UUID:
    """The zap of requests that started no run."""
    return event.zap_id if isinstance(event, RequestRejected | RequestsCounted) else ALL_ZAPS


def _count(steps: _Steps, stored: StoredEvent, event: Event | None, at: datetime) -> None:
    """Count an event for the run, under an empty id, and for its step. What is frequent comes first."""
    match event:
        case None:
            run_ = steps[""]
            add_one(run_.runs, _ENDS[stored.type])
            add_one(run_.took, length_of(_ms(stored.recorded_at - at)))
        case run.StepSucceeded() | run.StepFailed() | run.StepAttemptFailed():
            _count_attempt(steps, stored, event, at)
        case run.RunRequested():
            if event.source == "webhook":
                add_one(steps[""].requests, ACCEPTED)
        case RequestRejected():
            add_one(steps[""].requests, event.reason)
        case RequestsCounted():
            steps[""].add(Sums(requests={event.reason: event.count}))
        case _:
            pass


def _count_attempt(
    steps: _Steps, stored: StoredEvent, event: run.StepSucceeded | run.StepFailed | run.StepAttemptFailed, at: datetime
) -> None:
    step = Sums()
    queued = length_of(_ms(event.started_at - at))
    if stored.version == 2:
        add_one(steps[""].queue, queued)
    if not isinstance(event, run.StepAttemptFailed):
        add_one(step.runs, "completed" if isinstance(event, run.StepSucceeded) else "failed")
    if event.attempt == 1:
        add_one(step.queue, queued)
    if event.attempt:
        add_one(step.took, length_of(event.duration_ms))
    if not step.is_empty():
        steps[storable(event.step_id)].add(step)


def _ms(span: timedelta) -> float:
    return span / timedelta(milliseconds=1)


STATS = Projection(
    name="stats",
    definition=2,
    handles=frozenset({"zap.run.requested", *_STEPS, *_ENDS, "zap.request.rejected", "zap.request.counted"}),
    create=_queries["create"],
    apply=_apply,
)
