"""The search index: by words and values of runs, which runs have them. It follows the log by itself.

Each run is indexed when it is requested, when it waits, and when it ends, unless the log tells more of it further on:
then it is read there, once. The items of loops are not: their parent's output is. So their streams are not read.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from domain.log.event import StoredEvent, StreamKind
from domain.registry import decode
from domain.search.contents import INCOMPLETE, contents_of
from domain.values.path import parse_path
from domain.zap.events import ZapPublished
from domain.zap.settings import DEFAULT, Excluding
from projections.engine.projection import Projection
from projections.engine.rows import forgotten_apart
from projections.search.blocks import LARGEST_TIER, MERGED, Row, Segment, built, merged, tier
from projections.search.reading import FIRST, First, first_of, streams_of, values_of
from sql.postgres.pool import Connection
from sql.postgres.queries import Queries
from sql.process.recent import Recent

_queries = Queries("projections/run_search.sql")
AT_ONCE = 50
"""Runs that are read at once: of each at most 1 MiB."""
KEPT_BYTES = 2**20
_Index: TypeAlias = Literal["on", "off"] | Excluding
_Indexes: TypeAlias = Mapping[tuple[UUID, int], _Index]
"""What is indexed, by zap and version."""


def _size(index: _Index) -> int:
    """Bytes in memory, about."""
    paths = index.exclude if isinstance(index, Excluding) else ()
    return 300 + sum(100 + len(path) for path in paths)


_kept: Recent[tuple[UUID, int], _Index] = Recent(KEPT_BYTES, size=_size)
"""Of published versions, which do not change."""


ITEM = "item"
_SAYS_ITEM = msgspec.json.encode(ITEM)
"""Where that does not stand, no event is read for it."""

Indexed = dict[UUID, dict[UUID, set[bytes]]]
"""The keys of runs, by tenant and run."""


async def _apply(connection: Connection, events: Sequence[StoredEvent]) -> None:
    until = events[-1].position
    happened, forgotten = forgotten_apart(events)
    found: Indexed = defaultdict(dict)
    about = {event.stream_id for event in happened} - _items(happened)
    rows = await connection.fetch(
        _queries["told_of_to_the_end"], about, StreamKind.RUN, until, sorted(RUN_SEARCH.handles)
    )
    run_ids = sorted(row[0] for row in rows)
    for start in range(0, len(run_ids), AT_ONCE):
        some = run_ids[start : start + AT_ONCE]
        streams = list(_requested((await streams_of(connection, some, until)).values()))
        indexes = await _indexes(connection, {(first.zap_id, first.zap_version) for first, _ in streams})
        for tenant_id, run_id, keys in await asyncio.to_thread(_indexed, streams, indexes):
            found[tenant_id][run_id] = keys
    for tenant_id in sorted(found):
        segment = await asyncio.to_thread(built, found[tenant_id])
        number: int = await connection.fetchval(_queries["free_number"], tenant_id, until)
        await _add(connection, tenant_id, number, segment)
        await _tidy(connection, tenant_id)
    for stored, event in forgotten:
        await forget_runs(connection, stored.tenant_id, [event.run_id])


def _items(events: Iterable[StoredEvent]) -> set[UUID]:
    """The runs that begin in these events and are items of loops."""
    return {e.stream_id for e in events if e.type == FIRST and _SAYS_ITEM in e.data and first_of(e.data).source == ITEM}


def _requested(streams: Iterable[list[StoredEvent]]) -> Iterator[tuple[First, list[StoredEvent]]]:
    for stream in streams:
        first = first_of(stream[0].data)
        if first.source != ITEM:
            yield first, stream


def _indexed(
    streams: Sequence[tuple[First, list[StoredEvent]]], indexes: _Indexes
) -> list[tuple[UUID, UUID, set[bytes]]]:
    found = []
    for first, stream in streams:
        setting = indexes[first.zap_id, first.zap_version]
        if setting == "off":
            continue
        excluded = [parse_path(path) for path in setting.exclude] if isinstance(setting, Excluding) else []
        contents = contents_of(values_of(stream), excluded)
        marks = {zap_key(first.zap_id)} | ({INCOMPLETE} if contents.cut or _has_gaps(stream) else set())
        found.append((stream[0].tenant_id, stream[0].stream_id, contents.keys | marks))
    return found


def _has_gaps(stream: Sequence[StoredEvent]) -> bool:
    """Whether events between the first and the last one were too large to be looked into."""
    return stream[-1].version - stream[0].version + 1 > len(stream)


def zap_key(zap_id: UUID) -> bytes:
    """The key that all runs of a zap have."""
    return b"z" + zap_id.bytes


async def _indexes(connection: Connection, wanted: AbstractSet[tuple[UUID, int]]) -> _Indexes:
    found = {one: index for one in wanted if (index := _kept.get(one)) is not None}
    asked = sorted(wanted - found.keys())
    for zap_id, number in asked:
        row = await connection.fetchrow(_queries["version"], StreamKind.CORE, zap_id, number)
        published = decode("zap.published", row["schema_version"], row["data"]) if row else None
        settings = published.definition.settings if isinstance(published, ZapPublished) else None
        found[zap_id, number] = (settings or DEFAULT).index
        _kept.put((zap_id, number), found[zap_id, number])
    return found


async def _add(connection: Connection, tenant_id: UUID, number: int, segment: Segment) -> None:
    if segment.ids:
        firsts = [row.first for row in segment.rows]
        data = [row.data for row in segment.rows]
        span = segment.ids[0], segment.ids[-1], len(segment.ids)
        await connection.execute(_queries["add"], tenant_id, number, *span, firsts, data)


async def _tidy(connection: Connection, tenant_id: UUID) -> None:
    """Make one of sixteen segments of a tier, as long as there are so many."""
    while True:
        tiers: dict[int, list[int]] = defaultdict(list)
        for number, size in await connection.fetch(_queries["sizes"], tenant_id):
            tiers[tier(size)].append(number)
        full = [numbers for level, numbers in sorted(tiers.items()) if level < LARGEST_TIER and len(numbers) >= MERGED]
        if not full:
            return
        await _replace(connection, tenant_id, full[0][-MERGED:])


async def _replace(
    connection: Connection, tenant_id: UUID, numbers: Sequence[int], without: frozenset[UUID] = frozenset()
) -> None:
    """Make one segment of several, under the highest of their numbers."""
    rows: dict[int, list[Row]] = defaultdict(list)
    for number, first, data in await connection.fetch(_queries["rows"], tenant_id, numbers):
        rows[number].append(Row(first, data))
    segment = await asyncio.to_thread(merged, list(rows.values()), without)
    await connection.execute(_queries["drop"], tenant_id, numbers)
    await _add(connection, tenant_id, max(numbers), segment)


async def forget_runs(connection: Connection, tenant_id: UUID, run_ids: Iterable[UUID]) -> None:
    """Take runs out of the index, with all words and values that only they have; in a transaction of the caller.

    The connection's unqualified table names lead to the live read models, as the indexer's do.
    """
    forgotten = frozenset(run_ids)
    for row in await connection.fetch(_queries["segments_of"], tenant_id, sorted(forgotten)):
        await _replace(connection, tenant_id, [row[0]], forgotten)


async def forget_in_segment(connection: Connection, tenant_id: UUID, segment: int, run_ids: Iterable[UUID]) -> None:
    """The same for runs that one segment may have."""
    await _replace(connection, tenant_id, [segment], frozenset(run_ids))


RUN_SEARCH = Projection(
    name="run_search",
    definition=1,
    handles=frozenset(
        {
            "zap.run.requested",
            "zap.run.step_attempt_failed",
            "zap.run.step_postponed",
            "zap.run.step_delayed",
            "zap.run.approval_asked",
            "zap.run.callback_awaited",
            "zap.run.loop_started",
            "zap.run.zap_called",
            "zap.run.completed",
            "zap.run.filtered",
            "zap.run.failed",
            "zap.run.timed_out",
            "zap.run.cancelled",
            "run.forgotten",
        }
    ),
    create=_queries["create"],
    apply=_apply,
    from_topic=False,
)
