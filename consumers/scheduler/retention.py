"""Retention: runs whose time is over leave the log, month by month, and chain, tree and statistics go on to hold.

A run's time is counted from the end of the month of its request, so that months go at once. One transaction takes the
runs out of the lists, keeps their statistics, and drops them from the log, so that whoever compares sees all or none.
Read models of sums are built anew afterwards.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from consumers.rendering.process import python
from consumers.scheduler.archive import place, write
from domain.erasure.dropping import Dropped, RunsDropped
from domain.log.event import Metadata, StreamKind
from domain.log.ports import NewId
from domain.registry import encode, encode_metadata, event_type
from domain.zap.settings import Retention
from projections.approvals import APPROVALS
from projections.audit import AUDIT
from projections.dead_letters import DEAD_LETTERS
from projections.engine.rebuild import rebuild
from projections.engine.rows import columns
from projections.gone_targets import GONE_TARGETS
from projections.recoveries import RECOVERIES
from projections.run_keys import RUN_KEYS, settings_of
from projections.run_list import RUN_LIST
from projections.run_search import RUN_SEARCH, forget_runs
from projections.stats import STATS, seal_runs
from projections.zap_health import ZAP_HEALTH
from sql.files.store import forget_rows
from sql.log.hashing import event_hash
from sql.postgres.pool import Connection, connect
from sql.postgres.queries import Queries
from sql.process.patience import rest

log = structlog.get_logger()
_queries = Queries("queries/retention.sql")
_gates = Queries("queries/gates.sql")
EVERY_S = 3_600.0
ZAPS_AT_ONCE = 500
AT_ONCE = 5_000
"""Runs that are read at once."""
RUNS_TOLD = 500_000
"""Runs that one event tells of."""
_NOBODY = UUID(int=0)
CHANGED = (AUDIT, RUN_KEYS, RUN_LIST, RUN_SEARCH, STATS)
SUMS = (APPROVALS, DEAD_LETTERS, GONE_TARGETS, RECOVERIES, ZAP_HEALTH)


class Expired(msgspec.Struct, frozen=True):
    """Runs of one month whose time is over: of each its tenant, id, zap and status."""

    month: date
    runs: Sequence[tuple[UUID, UUID, UUID, str]]

    @property
    def run_ids(self) -> list[UUID]:
        """The ids alone."""
        return [run[1] for run in self.runs]

    def counts(self) -> Mapping[UUID, Mapping[UUID, Mapping[str, int]]]:
        """How many, by tenant, zap and status."""
        found: dict[UUID, dict[UUID, Counter[str]]] = {}
        for tenant_id, _run_id, zap_id, status in self.runs:
            found.setdefault(tenant_id, {}).setdefault(zap_id, Counter())[status] += 1
        return found


class _Part(msgspec.Struct, frozen=True):
    """What one event tells of: runs of one tenant."""

    drop_id: UUID
    expired: Expired

    @property
    def tenant_id(self) -> UUID:
        return self.expired.runs[0][0]


async def keep(dsn: str, archive: str, stop: asyncio.Event) -> None:
    """Archive, where that is wanted, and drop what is over, now and every hour, until `stop`. Any number may race.

    A child does it, as a million runs keep a process busy for seconds; it is ended with this process.
    """
    while not stop.is_set():
        code = await _served(dsn, archive, stop)
        if code != 0 and not stop.is_set():
            log.warning("retention.failed", code=code)
        await rest(stop, EVERY_S)


async def _served(dsn: str, archive: str, stop: asyncio.Event) -> int | None:
    child = await python("consumers.scheduler.retaining", stdout=asyncio.subprocess.DEVNULL)
    assert child.stdin is not None
    stopping = asyncio.create_task(stop.wait())
    ending = asyncio.create_task(child.wait())
    try:
        with suppress(OSError):
            child.stdin.write(f"{dsn}\n{archive}\n".encode())
            await child.stdin.drain()
        await asyncio.wait({stopping, ending}, return_when=asyncio.FIRST_COMPLETED)
        return child.returncode
    finally:
        stopping.cancel()
        with suppress(ProcessLookupError):
            child.kill()
        await ending


async def drop_all(dsn: str, archive: str, at: datetime, new_id: NewId) -> None:
    """Archive, where that is wanted, and drop what is over at a moment."""
    async with aclosing(expired(dsn, at)) as months:
        async for gone in months:
            await archive_and_drop(dsn, archive, gone, new_id)


async def archive_and_drop(dsn: str, archive: str, gone: Expired, new_id: NewId) -> bool:
    """Drop them, once they are in the archive where there is one. False and raises: see `drop`."""
    name = await write(dsn, place(archive), gone.month, gone.run_ids) if archive else ""
    return await drop(dsn, gone, new_id, name)


async def expired(dsn: str, at: datetime) -> AsyncGenerator[Expired, None]:
    """What retention would drop at a moment, month by month, oldest first."""
    connection = await connect(dsn, "retention plans", statement_timeout="0")
    try:
        kept = await _settings(connection)
        for (month,) in await connection.fetch(_queries["months"], at):
            over = [(zap_id, *_is_over(rule, month, at)) for zap_id, rule in kept.items()]
            if over:
                gone = await _found(connection, "expired", month, *columns(over))
                if gone.runs:
                    yield gone
    finally:
        connection.terminate()


async def ended(dsn: str, month: date) -> Expired:
    """All runs of a month that have ended, whatever their zaps say."""
    connection = await connect(dsn, "retention plans", statement_timeout="0")
    try:
        return await _found(connection, "ended", month)
    finally:
        connection.terminate()


async def _found(connection: Connection, query: str, month: date, *values: object) -> Expired:
    """Portion by portion: who is busy with a million rows for four seconds, and reads nothing, loses its connection."""
    async with connection.transaction(readonly=True):
        rows = connection.cursor(_queries[query], month, *values, prefetch=AT_ONCE)
        return Expired(month, [(row[0], row[1], row[2], row[3]) async for row in rows])


async def drop(dsn: str, gone: Expired, new_id: NewId, archive: str = "") -> bool:
    """Drop them; `archive` is the file that has them. False where a read model is being built anew: later, then.

    Raises what connections raise.
    """
    connection = await connect(dsn, "retention", statement_timeout="0", search_path="rm")
    try:
        async with connection.transaction():
            for projection in CHANGED:
                if not await connection.fetchval(_gates["try_lock_rebuild"], projection.name):
                    return False
            whole = await _drop(connection, gone, new_id, archive)
    finally:
        connection.terminate()
    log.info("retention.dropped", month=f"{gone.month:%Y-%m}", runs=len(gone.runs), whole_month=whole)
    await _sum_up(dsn)
    return True


async def _settings(connection: Connection) -> dict[UUID, Retention]:
    """The zaps of all tenants that do not keep everything."""
    found: dict[UUID, Retention] = {}
    last = _NOBODY
    while rows := await connection.fetch(_queries["zaps"], last, ZAPS_AT_ONCE):
        for zap_id, settings in (await settings_of(connection, [row[0] for row in rows])).items():
            if settings.retention != Retention():
                found[zap_id] = settings.retention
        last = rows[-1][0]
    return found


def _is_over(rule: Retention, month: date, at: datetime) -> tuple[bool, bool]:
    """Whether the time of completed runs of a month is over, and of others."""
    first = datetime(month.year, month.month, 1, tzinfo=UTC)
    end = (first + timedelta(days=32)).replace(day=1)
    return _passed(rule.completed_days, end, at), _passed(rule.failed_days, end, at)


def _passed(days: int | None, end: datetime, at: datetime) -> bool:
    return days is not None and end + timedelta(days=days) <= at


async def _drop(connection: Connection, gone: Expired, new_id: NewId, archive: str) -> bool:
    parts = list(_parts(gone, new_id))
    drops = [part.drop_id for part in parts for _run in part.expired.runs]
    run_ids = gone.run_ids
    told = {
        row[0]: (row[1], row[2]) for row in await connection.fetch(_queries["set_aside"], gone.month, run_ids, drops)
    }
    tenants = [run[0] for run in gone.runs]
    await connection.execute(_queries["forget_listed"], tenants, run_ids)
    await connection.execute(_queries["forget_keys"], tenants, run_ids)
    await connection.execute(_queries["forget_told"], tenants, run_ids, gone.month)
    await _forget_indexed(connection, gone)
    await forget_rows(connection, run_ids)
    await seal_runs(connection, gone.month, sorted({(run[0], run[2]) for run in gone.runs}))
    events = [_event(_told(part, *told[part.drop_id], archive), part, new_id) for part in parts]
    kind = event_type(RunsDropped(month="", zaps=[], events=0, digest=""))
    whole: bool = await connection.fetchval(
        _queries["drop"], gone.month, run_ids, [part.drop_id for part in parts], [part.tenant_id for part in parts],
        [event[0] for event in events], kind.name, kind.schema_version, *columns([event[1:] for event in events]),
    )  # fmt: skip
    return whole


async def _forget_indexed(connection: Connection, gone: Expired) -> None:
    """Segments of the index of which nothing is left go whole; others are written anew."""
    await connection.execute(_queries["forget_segments"], gone.month)
    mixed = {row[0] for row in await connection.fetch(_queries["tenants_with_segments"], gone.month)}
    for tenant_id in sorted(mixed & {run[0] for run in gone.runs}):
        await forget_runs(connection, tenant_id, [run[1] for run in gone.runs if run[0] == tenant_id])


def _parts(gone: Expired, new_id: NewId) -> Iterator[_Part]:
    start = 0
    for end in range(1, len(gone.runs) + 1):
        is_last = end == len(gone.runs) or gone.runs[end][0] != gone.runs[start][0] or end - start == RUNS_TOLD
        if is_last:
            yield _Part(new_id(), Expired(gone.month, gone.runs[start:end]))
            start = end


def _told(part: _Part, events: int, digest: str, archive: str) -> RunsDropped:
    zaps = [Dropped(zap_id, dict(runs)) for zap_id, runs in part.expired.counts()[part.tenant_id].items()]
    return RunsDropped(month=f"{part.expired.month:%Y-%m}", zaps=zaps, events=events, digest=digest, archive=archive)


def _event(told: RunsDropped, part: _Part, new_id: NewId) -> tuple[UUID, bytes, bytes, bytes]:
    """The event's id, metadata, payload and hash."""
    kind, event_id = event_type(told), new_id()
    meta, data = encode_metadata(Metadata(actor="retention")), encode(told)
    digest_of = event_hash(
        kind=StreamKind.CORE,
        stream_id=part.drop_id,
        tenant_id=part.tenant_id,
        ordering_key=part.tenant_id,
        event_id=event_id,
        type_=kind.name,
        schema_version=kind.schema_version,
        meta=meta,
        data=data,
    )
    return event_id, meta, data, digest_of


async def _sum_up(dsn: str) -> None:
    connection = await connect(dsn, "retention")
    try:
        partitions: int = await connection.fetchval(_queries["partitions"], RUN_LIST.name)
    finally:
        connection.terminate()
    for projection in SUMS:
        await rebuild(dsn, projection, partitions)
