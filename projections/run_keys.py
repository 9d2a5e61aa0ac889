"""Search keys: of each run the values that its zap names for the run list, as its live version names them.

Whose data a run carries is a key without a name, and without its value: a keyed hash, by which an erasure finds it.

They are read when a run is requested and when it has ended. What a zap declares counts for the runs of before, too: a
job reads those again (`reread`), so that this list is always what a rebuild would make of the log.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import msgspec
import structlog

from domain.erasure.forgetting import subject_key, subject_of
from domain.log.event import StoredEvent, StreamKind
from domain.log.ports import StoreUnavailable
from domain.registry import UnknownEvent, decode
from domain.run.events import RunRequested
from domain.search.keys import stored_key
from domain.zap.events import ZapPublished
from domain.zap.settings import DEFAULT, ZapSettings
from projections.engine.projection import Projection
from projections.engine.rows import execute, forgotten_apart
from projections.run_zaps import zaps_of
from projections.search.declared import Found, found_keys
from projections.search.reading import first_of, streams_of, values_of
from sql.postgres.pool import Connection, Pool
from sql.postgres.queries import Queries

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

log = structlog.get_logger()
_queries = Queries("projections/run_keys.sql")
_gates = Queries("queries/gates.sql")
_ENDS = frozenset({"zap.run.completed", "zap.run.filtered", "zap.run.failed", "zap.run.timed_out", "zap.run.cancelled"})
SUBJECT = ""
"""The name of the key that says whose data a run carries."""
MOST_NAMES = 500
AT_ONCE = 50
"""Runs that are read at once: of each at most 1 MiB."""


Writer: TypeAlias = "Connection | PoolConnectionProxy[asyncpg.Record]"


async def key_of(pool: Pool, tenant_id: UUID, run_id: UUID, name: str) -> bytes | None:
    """What a run is sorted by, by this key."""
    found: bytes | None = await pool.fetchval(_queries["key_of"], tenant_id, run_id, name)
    return found


async def known_keys(pool: Pool, tenant_id: UUID) -> list[tuple[str, bytes]]:
    """The names of the search keys that runs have, each with the letter of one value's type. At most MOST_NAMES."""
    return [(row[0], row[1]) for row in await pool.fetch(_queries["names"], tenant_id, MOST_NAMES)]


class SubjectCount(msgspec.Struct, frozen=True):
    """How many runs of a zap with a status carry one person's data, and when the first and the last were asked for."""

    zap_id: UUID
    status: str
    runs: int
    oldest: datetime
    newest: datetime


async def subject_hash(pool: Pool, tenant_id: UUID, subject: str) -> bytes:
    """By what the runs that carry a person's data are found."""
    return subject_key(await subject_secret(pool), tenant_id, subject)


async def subject_secret(source: "Pool | Writer") -> bytes:
    """What hashes of subjects are made with."""
    secret: bytes = await source.fetchval(_queries["subject_secret"])
    return secret


async def of_subject(
    pool: Pool, tenant_id: UUID, hashed: bytes, *, after: UUID | None, before: UUID, limit: int
) -> list[UUID]:
    """The next runs that carry a person's data, oldest first, with ids between the two."""
    key = stored_key(SUBJECT, hashed)
    return [row[0] for row in await pool.fetch(_queries["of_subject"], tenant_id, key, after, before, limit)]


async def count_of_subject(pool: Pool, tenant_id: UUID, hashed: bytes, limit: int) -> tuple[list[SubjectCount], int]:
    """Runs that carry a person's data, up to a limit, and how many bytes of payload these have in the log."""
    key = stored_key(SUBJECT, hashed)
    counts = [SubjectCount(*row) for row in await pool.fetch(_queries["subject_counts"], tenant_id, key, limit)]
    return counts, int(await pool.fetchval(_queries["subject_bytes"], tenant_id, key, limit, StreamKind.RUN))


async def reread(pool: Pool, tenant_id: UUID, run_ids: Sequence[UUID]) -> None:
    """Read the keys of a tenant's runs anew, by what their zaps declare now.

    Raises StoreUnavailable while a rebuild, which may have read what is declared already, goes on.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("set local search_path = rm")
        if not await connection.fetchval(_gates["try_lock_rebuild"], RUN_KEYS.name):
            raise StoreUnavailable("the list of search keys is being built anew")
        await connection.execute(_queries["lock"])
        for some in _portions(run_ids):
            streams = await streams_of(connection, some, 2**63 - 1)
            mine = {run_id: events for run_id, events in streams.items() if events[0].tenant_id == tenant_id}
            await _write(connection, [run_id for run_id in some if run_id in mine or run_id not in streams], mine)


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    happened, forgotten = forgotten_apart(events)
    await connection.execute(_queries["lock_shared"])
    last = {event.stream_id: event.position for event in happened}
    for some in _portions(await _declaring(connection, happened)):
        until = max(last[run_id] for run_id in some)
        streams = await streams_of(connection, some, until)
        # A run as it was at its last event that counts here, whatever came since: a rebuild does the same.
        cut = {run_id: [e for e in streams.get(run_id, ()) if e.position <= last[run_id]] for run_id in some}
        await _write(connection, some, {run_id: stream for run_id, stream in cut.items() if stream})
    await execute(connection, _queries["clear"], [(stored.tenant_id, event.run_id) for stored, event in forgotten])


async def _declaring(connection: Connection, events: Sequence[StoredEvent]) -> list[UUID]:
    """Those of the runs whose zaps declare keys."""
    zaps = await zaps_of(connection, events)
    settings = await settings_of(connection, zaps.values())
    declared = {zap_id for zap_id, one in settings.items() if one.search_keys or one.subject}
    return sorted(run_id for run_id, zap_id in zaps.items() if zap_id in declared)


async def settings_of(connection: Writer, zap_ids: Iterable[UUID]) -> dict[UUID, ZapSettings]:
    """The settings of the live versions of zaps that have one."""
    rows = await connection.fetch(_queries["declared"], StreamKind.CORE, sorted(set(zap_ids)))
    found: dict[UUID, ZapSettings] = {}
    for zap_id, schema_version, data in rows:
        published = decode("zap.published", schema_version, data)
        if isinstance(published, ZapPublished):
            found[zap_id] = published.definition.settings or DEFAULT
    return found


async def readable_settings(connection: Writer, zap_ids: Sequence[UUID]) -> dict[UUID, ZapSettings]:
    """The same without zaps that cannot be read: retention leaves them alone, and goes on with those of others."""
    try:
        return await settings_of(connection, zap_ids)
    except (UnknownEvent, msgspec.DecodeError) as error:
        if len(zap_ids) == 1:
            log.error("retention.unreadable_zap", zap_id=str(zap_ids[0]), error=repr(error))  # noqa: TRY400 - said whole
            return {}
    half = len(zap_ids) // 2
    return {
        **await readable_settings(connection, zap_ids[:half]),
        **await readable_settings(connection, zap_ids[half:]),
    }


async def _write(connection: Writer, run_ids: Sequence[UUID], streams: Mapping[UUID, Sequence[StoredEvent]]) -> None:
    """Write the keys of runs anew; of those that are too large to be read whole, only whose data they carry."""
    first = {run_id: first_of(events[0].data) for run_id, events in streams.items()}
    settings = await settings_of(connection, [one.zap_id for one in first.values()])
    tenants = {run_id: events[0].tenant_id for run_id, events in streams.items()}
    rows = [
        (tenants[run_id], run_id, found.name, stored_key(found.name, found.key), found.text)
        for run_id, events in sorted(streams.items())
        if first[run_id].source != "item"
        for found in _found(settings.get(first[run_id].zap_id, DEFAULT), events)
    ]
    secret = await subject_secret(connection)
    for run_id in run_ids:
        if begun := await _begun(connection, run_id, streams.get(run_id, ())):
            zap_id = begun.requested.zap_id
            if zap_id not in settings:
                settings |= await settings_of(connection, [zap_id])
            tenants[run_id] = begun.tenant_id
            rows += await asyncio.to_thread(_subject, begun, settings.get(zap_id, DEFAULT).subject, secret)
    await execute(connection, _queries["clear"], [(tenants[run_id], run_id) for run_id in sorted(tenants)])
    await execute(connection, _queries["add"], rows)


def _found(settings: ZapSettings, events: Sequence[StoredEvent]) -> Iterator[Found]:
    first = decode(events[0].type, events[0].schema_version, events[0].data)
    if settings.search_keys and isinstance(first, RunRequested):
        yield from found_keys(settings, values_of(events))


class _Begun(msgspec.Struct, frozen=True):
    """How a run began."""

    tenant_id: UUID
    run_id: UUID
    requested: RunRequested


async def _begun(connection: Writer, run_id: UUID, events: Sequence[StoredEvent]) -> _Begun | None:
    if events:
        tenant_id, schema_version, data = events[0].tenant_id, events[0].schema_version, events[0].data
    elif row := await connection.fetchrow(_queries["first_event"], StreamKind.RUN, run_id):
        tenant_id, schema_version, data = row
    else:
        return None
    requested = decode("zap.run.requested", schema_version, data)
    return _Begun(tenant_id, run_id, requested) if isinstance(requested, RunRequested) else None


def _subject(begun: _Begun, path: str | None, secret: bytes) -> list[tuple[UUID, UUID, str, bytes, str]]:
    """The row that says whose data a run carries, where its zap says where that stands."""
    if path is None or begun.requested.source == "item":
        return []
    subject = subject_of(begun.requested.request, path)
    key = stored_key(SUBJECT, subject_key(secret, begun.tenant_id, subject))
    return [(begun.tenant_id, begun.run_id, SUBJECT, key, "")] if subject else []


def _portions(run_ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    return (run_ids[start : start + AT_ONCE] for start in range(0, len(run_ids), AT_ONCE))


RUN_KEYS = Projection(
    name="run_keys",
    definition=2,
    handles=frozenset({"zap.run.requested", *_ENDS, "run.forgotten"}),
    create=_queries["create"],
    apply=_apply,
)
