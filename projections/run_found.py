"""The run list with a search: what the index finds, newest first, goes through the list's other filters."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from domain.log.errors import Invalid
from domain.log.event import StoredEvent
from domain.search.matches import Match, matches_of
from domain.search.query import Search, Term, exact
from projections.run_filter import After, RunFilter
from projections.run_list import RunListItem
from projections.run_query import list_runs
from projections.run_search import zap_key
from projections.search.asking import find
from projections.search.reading import says, streams_of, values_of
from sql.log.event_store import PgEventStore
from sql.postgres.queries import Queries

_queries = Queries("projections/run_search.sql")
BUDGET_S = 0.15
"""How long runs are looked for; then a page has what was found, and says where to go on."""
FIRST_IDS, MOST_IDS = 200, 2_000
MAX_SORTED = 5_000
"""Runs that a search finds and that can be sorted by something else than when they started."""
FIRST_SPAN, LEAST_SPAN = 3_600_000 << 80, 1 << 80
"""An hour and a millisecond, as ids count them."""
SPANS_GROW = 8
MATCHED_AT_ONCE = 10
"""Runs that are read at once to tell where a search found something: of each at most 1 MiB."""
_Streams = dict[UUID, list[StoredEvent]]
_LEEWAY = timedelta(minutes=5)
"""Between the time in a run's id and when it started: clocks differ, and commits take time."""
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class FoundPage(msgspec.Struct, frozen=True):
    """Runs of a page. `resume`: the page goes on before this id where time was over before it was full."""

    items: list[RunListItem]
    resume: UUID | None = None


class FoundCount(msgspec.Struct, frozen=True):
    """How many runs were found until there were enough, or time was over: then there are more."""

    count: int
    exact: bool


class _Portion(msgspec.Struct, frozen=True):
    """Runs that fit, newest first. All others that fit are before `resume`; None: there are none."""

    items: list[RunListItem]
    resume: UUID | None


async def find_runs(store: PgEventStore, tenant_id: UUID, wanted: RunFilter, search: Search) -> FoundPage:
    """A page of the runs that fit both. Raises Invalid where too many would have to be sorted."""
    if wanted.zap_ids == ():
        return FoundPage([])
    if wanted.sort != "started_at" or wanted.order != "desc":
        return await _sorted(store, tenant_id, wanted, search)
    deadline = asyncio.get_running_loop().time() + BUDGET_S
    items: list[RunListItem] = []
    async for portion in _fitting(store, tenant_id, wanted, search):
        items += portion.items
        if len(items) >= wanted.limit:
            return FoundPage(items[: wanted.limit])
        if portion.resume and asyncio.get_running_loop().time() > deadline and _is_before(portion.resume, wanted):
            return FoundPage(items, portion.resume)
    return FoundPage(items)


def _is_before(resume: UUID, wanted: RunFilter) -> bool:
    return wanted.after is None or resume < wanted.after.id


async def with_matches(store: PgEventStore, items: list[RunListItem], search: Search) -> list[RunListItem]:
    """The runs with where in them the search found something; those for which there is no time left stay without."""
    deadline = asyncio.get_running_loop().time() + BUDGET_S
    shown: list[RunListItem] = []
    for start in range(0, len(items), MATCHED_AT_ONCE):
        some = items[start : start + MATCHED_AT_ONCE]
        if asyncio.get_running_loop().time() > deadline:
            return shown + items[start:]
        streams = await streams_of(store.pool, [item.id for item in some], 2**63 - 1)
        found = await asyncio.to_thread(_matches, some, streams, search)
        shown += [msgspec.structs.replace(item, matches=matches) for item, matches in zip(some, found, strict=True)]
    return shown


def _matches(items: Sequence[RunListItem], streams: _Streams, search: Search) -> list[list[Match]]:
    return [matches_of(values_of(streams[item.id]), search) if item.id in streams else [] for item in items]


async def count_found(store: PgEventStore, tenant_id: UUID, wanted: RunFilter, search: Search) -> FoundCount:
    """How many runs fit both, up to the filter's limit."""
    if wanted.zap_ids == ():
        return FoundCount(0, exact=True)
    deadline = asyncio.get_running_loop().time() + BUDGET_S
    count = 0
    async for portion in _fitting(store, tenant_id, wanted, search):
        count += len(portion.items)
        is_late = portion.resume is not None and asyncio.get_running_loop().time() > deadline
        if count > wanted.limit or is_late:
            return FoundCount(min(count, wanted.limit), exact=False)
    return FoundCount(count, exact=True)


async def oldest_found(
    store: PgEventStore, tenant_id: UUID, wanted: RunFilter, search: Search, *, after: UUID | None, before: UUID
) -> list[UUID]:
    """Of the runs that fit both, with ids between the two, the oldest, oldest first; none where none are left.

    The index gives the newest first, so it is asked stretch by stretch of time: shorter ones where many runs fit,
    longer ones where few do.
    """
    if wanted.zap_ids == ():
        return []
    start, end = after.int + 1 if after else (await _oldest(store, tenant_id)).int, before.int
    span = FIRST_SPAN
    while start < end:
        stop = min(start + span, end)
        most = MOST_IDS if span > LEAST_SPAN else None
        ids = await _within(store, tenant_id, wanted, search, UUID(int=start), UUID(int=stop), most=most)
        if ids is None:
            span //= SPANS_GROW
        elif ids:
            return sorted(ids)[: wanted.limit]
        else:
            start, span = stop, span * SPANS_GROW
    return []


async def _within(  # noqa: PLR0917 - a search, and between which ids
    store: PgEventStore, tenant_id: UUID, wanted: RunFilter, search: Search, since: UUID, before: UUID,
    *, most: int | None,
) -> list[UUID] | None:  # fmt: skip
    """All that fit between two ids, the first included; None for more than that."""
    ids: list[UUID] = []
    stretch = msgspec.structs.replace(wanted, after=After(before))
    async with aclosing(_fitting(store, tenant_id, stretch, search, since)) as portions:
        async for portion in portions:
            ids += [item.id for item in portion.items if item.id >= since]
            if most is not None and len(ids) > most:
                return None
    return ids


async def _oldest(store: PgEventStore, tenant_id: UUID) -> UUID:
    """No run of the index is older."""
    return await store.pool.fetchval(_queries["oldest"], tenant_id) or UUID(int=2**128 - 1)


async def _sorted(store: PgEventStore, tenant_id: UUID, wanted: RunFilter, search: Search) -> FoundPage:
    found: list[UUID] = []
    in_time = msgspec.structs.replace(wanted, sort="started_at", order="desc", after=None)
    async for portion in _fitting(store, tenant_id, in_time, search):
        found += [item.id for item in portion.items]
        if len(found) > MAX_SORTED:
            reason = f"over {MAX_SORTED:,} runs match: only newest first, or with `from`, `to` or more conditions"
            raise Invalid(f"sort: {reason}", errors=[{"path": "sort", "reason": reason, "code": "too_many"}])
    return FoundPage(await list_runs(store.pool, tenant_id, msgspec.structs.replace(wanted, ids=tuple(found))))


async def _fitting(
    store: PgEventStore, tenant_id: UUID, wanted: RunFilter, search: Search, since: UUID | None = None
) -> AsyncGenerator[_Portion, None]:
    before, since = _before(wanted), max(filter(None, [since, _since(wanted)]), default=None)
    async for found in find(store.pool, tenant_id, _narrowed(search, wanted), before, since):
        resume = UUID(int=found.down_to.int + 1) if found.down_to else None
        for ids in _portions(found.ids):
            listed = msgspec.structs.replace(wanted, ids=tuple(ids), after=None, limit=len(ids))
            items = await _saying(store, await list_runs(store.pool, tenant_id, listed), search.phrases)
            yield _Portion(items, resume if ids[-1] == found.ids[-1] else ids[-1])
        if not found.ids:
            yield _Portion([], resume)


def _narrowed(search: Search, wanted: RunFilter) -> Search:
    """The index knows zaps, too."""
    if wanted.zap_ids is None:
        return search
    spans = tuple([exact(zap_key(zap_id)) for zap_id in wanted.zap_ids])
    return msgspec.structs.replace(search, terms=(*search.terms, Term(spans)))


def _before(wanted: RunFilter) -> UUID | None:
    bounds = [wanted.after.id] if wanted.after else []
    bounds += [_id_at(wanted.to, _LEEWAY)] if wanted.to else []
    return min(bounds, default=None)


def _since(wanted: RunFilter) -> UUID | None:
    return _id_at(wanted.from_, -_LEEWAY) if wanted.from_ else None


def _id_at(moment: datetime, later: timedelta) -> UUID:
    """The smallest id of the millisecond that is so much later: a UUIDv7 begins with its milliseconds since 1970.

    Those are added up, and not the times, as a time may be the last one that there is.
    """
    since = (moment - _EPOCH + later) // timedelta(milliseconds=1)
    return UUID(int=min(max(since, 0), 2**48 - 1) << 80)


def _portions(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    start, many = 0, FIRST_IDS
    while start < len(ids):
        yield ids[start : start + many]
        start, many = start + many, min(2 * many, MOST_IDS)


async def _saying(store: PgEventStore, items: list[RunListItem], phrases: Sequence[str]) -> list[RunListItem]:
    """Those that have all phrases: the index knows their words only."""
    if not phrases or not items:
        return items
    events = await streams_of(store.pool, [item.id for item in items], 2**63 - 1)
    return await asyncio.to_thread(lambda: [item for item in items if _says_all(events.get(item.id), phrases)])


def _says_all(events: Sequence[StoredEvent] | None, phrases: Sequence[str]) -> bool:
    values = values_of(events) if events else {}
    return all(says(values, phrase) for phrase in phrases)
