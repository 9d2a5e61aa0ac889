"""Retention: runs whose time is over leave the log, month by month, and chain, tree and statistics go on to hold.

A run's time is counted from the end of the month of its request, so that months go at once. One transaction takes the
runs out of the lists, keeps their statistics, and drops them from the log, so that whoever compares sees all or none.
Which runs these are stays in the database, as they may be millions. Read models of sums are built anew afterwards; that
they have to be is on record until they are.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
import structlog
from obstore.store import ObjectStore

from consumers.scheduler.archives.archive import place, remove, write
from consumers.scheduler.due import Due, months_due, note
from domain.erasure.dropping import Dropped, RunsDropped
from domain.log.event import Metadata, StreamKind, encode_metadata
from domain.log.ports import NewId
from domain.registry import encode, event_type
from projections.approvals import APPROVALS
from projections.audit import AUDIT
from projections.dead_letters import DEAD_LETTERS
from projections.engine.rebuild import rebuild
from projections.engine.rows import columns
from projections.gone_targets import GONE_TARGETS
from projections.recoveries import RECOVERIES
from projections.run_keys import RUN_KEYS
from projections.run_list import RUN_LIST
from projections.run_search import RUN_SEARCH, forget_in_segment
from projections.stats import STATS, seal_runs
from projections.zap_health import ZAP_HEALTH
from sql.files.store import forget_rows
from sql.log.hashing import event_hash
from sql.postgres.pool import Connection, connect
from sql.postgres.queries import Queries
from sql.process.child import python
from sql.process.patience import rest

if TYPE_CHECKING:
    import asyncpg

log = structlog.get_logger()
_queries = Queries("queries/retention.sql")
_gates = Queries("queries/gates.sql")
EVERY_S = 3_600.0
SOON_S = 60.0
"""Where the read models that say what is over are still being built."""
NOT_YET = 75
"""The exit code that says so: EX_TEMPFAIL of sysexits.h."""
OWNERS_AT_ONCE = 2_000
"""Runs whose files are forgotten at once."""
CHANGED = (AUDIT, RUN_KEYS, RUN_LIST, RUN_SEARCH, STATS)
GENTLY = {"backend_flush_after": "512kB"}
"""What is written goes to the disk bit by bit: whoever commits meanwhile would wait for gigabytes of it."""
SUMS = (APPROVALS, DEAD_LETTERS, GONE_TARGETS, RECOVERIES, ZAP_HEALTH)


class _Part(msgspec.Struct, frozen=True):
    """What one event tells of: runs of one tenant, by zap and status."""

    drop_id: UUID
    tenant_id: UUID
    zaps: dict[UUID, dict[str, int]]


async def keep(dsn: str, archive: str, stop: asyncio.Event) -> None:
    """Archive, where that is wanted, and drop what is over, now and every hour, until `stop`. Any number may race.

    A child does it, as a million runs keep a process busy for seconds; it is ended with this process.
    """
    while not stop.is_set():
        code = await served(dsn, archive, stop)
        if code not in (0, NOT_YET) and not stop.is_set():
            log.warning("retention.failed", code=code)
        await rest(stop, SOON_S if code == NOT_YET else EVERY_S)


async def served(
    dsn: str, archive: str, stop: asyncio.Event, tenant_id: UUID | None = None, month: date | None = None
) -> int | None:
    """Have a child archive and drop what is over: of one tenant, of one month where that is given. Gives its code."""
    child = await python("consumers.scheduler.retaining", stdout=asyncio.subprocess.DEVNULL, also="AWS_")
    assert child.stdin is not None
    stopping = asyncio.create_task(stop.wait())
    ending = asyncio.create_task(child.wait())
    try:
        with suppress(OSError):
            child.stdin.write(f"{dsn}\n{archive}\n{tenant_id or ''}\n{month or ''}\n".encode())
            await child.stdin.drain()
        await asyncio.wait({stopping, ending}, return_when=asyncio.FIRST_COMPLETED)
        return child.returncode
    finally:
        stopping.cancel()
        with suppress(ProcessLookupError):
            child.kill()
        await ending


async def drop_all(
    dsn: str, archive: str, at: datetime, new_id: NewId, *, tenant_id: UUID | None = None, month: date | None = None
) -> bool:
    """Archive, where that is wanted, and drop what is over at a moment; first what a crash has left undone.

    Of one tenant, and of one month, where these are given. False where some is left for later (see `drop`).
    """
    await sum_up(dsn)
    connection = await connect(dsn, "retention plans", statement_timeout="0")
    try:
        months = [due for due in await months_due(connection, at, tenant_id) if month in (None, due.month)]
    finally:
        connection.terminate()
    done = [await drop(dsn, due, new_id, place(archive) if archive else None) for due in months]
    return None not in done


async def write_down(dsn: str, gone: Due, to: ObjectStore) -> str:
    """Write them to an archive, and leave them where they are. Gives its name."""
    connection = await connect(dsn, "archive", statement_timeout="0")
    transaction = connection.transaction()
    try:
        await transaction.start()
        await note(connection, gone)
        return await write(dsn, connection, to, gone.month)
    finally:
        connection.terminate()


async def drop(dsn: str, due: Due, new_id: NewId, to: ObjectStore | None = None) -> str | None:
    """Drop them, once they are in an archive where one is given. Gives its name, empty without one or without runs.

    None where a read model is being built anew: later, then. Raises what connections raise.
    """
    connection = await connect(dsn, "retention", statement_timeout="0", search_path="rm", **GENTLY)
    try:
        async with connection.transaction():
            parts = _parts(await note(connection, due), new_id)
            name = await write(dsn, connection, to, due.month) if to and parts else ""
            is_free = [await connection.fetchval(_gates["try_lock_rebuild"], one.name) for one in CHANGED]
            if all(is_free) and parts:
                whole = await _drop(connection, due.month, parts, new_id, name)
            else:
                await connection.execute(_queries["forget"])
    finally:
        connection.terminate()
    if not all(is_free):
        if to and name:
            await remove(dsn, to, name)
        return None
    if not parts:
        return name
    runs = sum(count for part in parts for ends in part.zaps.values() for count in ends.values())
    log.info("retention.dropped", month=f"{due.month:%Y-%m}", runs=runs, whole_month=whole)
    await sum_up(dsn)
    return name


async def sum_up(dsn: str) -> None:
    """Build read models of sums anew from which dropped runs have not been taken out yet."""
    connection = await connect(dsn, "retention")
    try:
        partitions: int = await connection.fetchval(_queries["partitions"], RUN_LIST.name)
        for name, since in await connection.fetch(_queries["stale"]):
            await rebuild(dsn, next(one for one in SUMS if one.name == name), partitions)
            await connection.execute(_queries["unmark_stale"], name, since)
    finally:
        connection.terminate()


async def _drop(connection: Connection, month: date, parts: Sequence[_Part], new_id: NewId, archive: str) -> bool:
    drops = [part.drop_id for part in parts]
    told = {row[0]: (row[1], row[2]) for row in await connection.fetch(_queries["set_aside"], month, drops)}
    await connection.execute(_queries["forget_listed"])
    await connection.execute(_queries["forget_keys"])
    await connection.execute(_queries["forget_told"], month)
    await _forget_indexed(connection, month)
    while owners := await connection.fetch(_queries["with_files"], OWNERS_AT_ONCE):
        await forget_rows(connection, [row[0] for row in owners])
    await seal_runs(connection, month, sorted({(part.tenant_id, zap_id) for part in parts for zap_id in part.zaps}))
    await connection.execute(_queries["mark_stale"], [projection.name for projection in SUMS])
    events = [_event(_told(part, month, *told[part.drop_id], archive), part, new_id) for part in parts]
    kind = event_type(RunsDropped(month="", zaps=[], events=0, digest=""))
    whole: bool = await connection.fetchval(
        _queries["drop"], month, drops, [part.tenant_id for part in parts],
        [event[0] for event in events], kind.name, kind.schema_version, *columns([event[1:] for event in events]),
    )  # fmt: skip
    return whole


async def _forget_indexed(connection: Connection, month: date) -> None:
    """Segments of the index of which nothing is left go whole; others are written anew."""
    await connection.execute(_queries["forget_segments"], month)
    for tenant_id, segment in await connection.fetch(_queries["segments_with"], month):
        gone = await connection.fetch(_queries["in_segment"], tenant_id, segment)
        await forget_in_segment(connection, tenant_id, segment, [row[0] for row in gone])


def _parts(rows: "Sequence[asyncpg.Record]", new_id: NewId) -> list[_Part]:
    parts: dict[int, _Part] = {}
    for number, tenant_id, zap_id, status, count in rows:
        if number not in parts:
            parts[number] = _Part(new_id(), tenant_id, {})
        parts[number].zaps.setdefault(zap_id, {})[status] = count
    return [parts[number] for number in sorted(parts)]


def _told(part: _Part, month: date, events: int, digest: str, archive: str) -> RunsDropped:
    zaps = [Dropped(zap_id, runs) for zap_id, runs in part.zaps.items()]
    return RunsDropped(month=f"{month:%Y-%m}", zaps=zaps, events=events, digest=digest, archive=archive)


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
