"""Asks the search index: runs for which all terms of a search hold, newest first, segment by segment.

The answer is exact but for runs that the index does not know yet. Segments overlap where a run ended long after younger
ones, so a run is given only once no segment that is still to be looked at can have a newer one.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from domain.search.keys import path_of
from domain.search.query import ROOTS, Comparison, Search, Span, Term, term_of
from domain.values.path import Path
from projections.search.blocks import ID_BYTES, Block, decoded, ids_of, places_of
from sql.postgres.pool import Pool
from sql.postgres.queries import Queries

_queries = Queries("projections/run_search.sql")
FIRST_SEGMENTS, MOST_SEGMENTS = 2, 32
PORTION_S = 0.03
"""How long reading a portion may take: a search whose time is over ends with the portion that it is at."""
FEW_PLACES = 64
"""Ids are read one by one up to here, and whole segments of them beyond."""
PATH_SEGMENTS, PATH_BLOCKS = 8, 12
"""Where paths are looked for: the newest segments, and of each 0.2 MiB of keys below each path."""
MAX_PATHS = 500
Kind: TypeAlias = Literal["text", "number", "other"]
KINDS: dict[bytes, Kind] = {b"t": "text", b"n": "number", b"b": "other"}
"""By the letter in a key; `other` is true, false and null."""
MAX_BLOCKS = 200
"""Of one span in one segment: 3 MiB of values. What lies behind them is not found."""


class Found(msgspec.Struct, frozen=True):
    """Runs that fit, newest first. All others that fit are older than `down_to`; None: there are none."""

    ids: list[UUID]
    down_to: UUID | None


class _Segment(msgspec.Struct, frozen=True):
    number: int
    highest: UUID


async def find(
    pool: Pool, tenant_id: UUID, search: Search, before: UUID | None, since: UUID | None
) -> AsyncIterator[Found]:
    """The runs of a search with ids between the two, in portions."""
    segments = [_Segment(*row) for row in await pool.fetch(_queries["segments"], tenant_id, before, since)]
    pending: set[UUID] = set()
    done, many = 0, FIRST_SEGMENTS
    clock = asyncio.get_running_loop().time
    while done < len(segments):
        some, began = segments[done : done + many], clock()
        pending |= await _matches(pool, tenant_id, search.terms, some)
        done, many = done + len(some), _next_portion(many, clock() - began)
        down_to = segments[done].highest if done < len(segments) else None
        ready = {run_id for run_id in pending if down_to is None or run_id > down_to}
        pending -= ready
        in_order = sorted((one for one in ready if before is None or one < before), reverse=True)
        yield Found(in_order, down_to)


def _next_portion(many: int, took_s: float) -> int:
    if took_s > PORTION_S:
        return max(many // 2, 1)
    return min(2 * many, MOST_SEGMENTS) if took_s < PORTION_S / 2 else many


async def known_paths(pool: Pool, tenant_id: UUID, under: Path) -> dict[Path, set[Kind]]:
    """Paths of values at or below one, of the newest runs, with the types of what stands there. At most MAX_PATHS.

    Of lists the first item stands for all.
    """
    segments = [row[0] for row in await pool.fetch(_queries["segments"], tenant_id, None, None)][:PATH_SEGMENTS]
    roots = [under] if under else [(root,) for root in ROOTS]
    spans = [span for path in roots for span in term_of(Comparison(path, "?")).spans]
    low, high = zip(*spans, strict=True)
    rows = await pool.fetch(_queries["blocks"], tenant_id, segments, range(len(spans)), low, high, PATH_BLOCKS)
    return await asyncio.to_thread(_paths, {row[2] for row in rows}, spans)


def _paths(rows: Iterable[bytes], spans: Sequence[Span]) -> dict[Path, set[Kind]]:
    found: dict[Path, set[Kind]] = {}
    for data in rows:
        for key in decoded(data).keys:
            if not any(low <= key < high for low, high in spans):
                continue
            path, kind = tuple(path_of(key)), KINDS[key[key.index(b"\0") + 1 : key.index(b"\0") + 2]]
            if any(name.isdecimal() and name != "0" for name in path):
                continue
            if path in found:
                found[path].add(kind)
            elif len(found) < MAX_PATHS:
                found[path] = {kind}
    return found


async def _matches(pool: Pool, tenant_id: UUID, terms: Sequence[Term], segments: Sequence[_Segment]) -> set[UUID]:
    numbers = [segment.number for segment in segments]
    spans = [(n, *span) for n, term in enumerate(terms) for span in term.spans]
    of, low, high = zip(*spans, strict=True)
    rows = await pool.fetch(_queries["blocks"], tenant_id, numbers, of, low, high, MAX_BLOCKS)
    places = await asyncio.to_thread(_places, terms, [(row[0], row[1], row[2]) for row in rows])
    few = [(number, place) for number, found in places.items() if len(found) <= FEW_PLACES for place in found]
    many = [number for number, found in places.items() if len(found) > FEW_PLACES]
    ids = await _ids_at(pool, tenant_id, few)
    for number, data in await pool.fetch(_queries["ids"], tenant_id, many) if many else ():
        ids |= {UUID(bytes=data[place * ID_BYTES : (place + 1) * ID_BYTES]) for place in places[number]}
    return ids


async def _ids_at(pool: Pool, tenant_id: UUID, places: Sequence[tuple[int, int]]) -> set[UUID]:
    if not places:
        return set()
    numbers, at = zip(*places, strict=True)
    rows = await pool.fetch(_queries["ids_at"], tenant_id, numbers, at)
    return {run_id for row in rows for run_id in ids_of(row[0])}


def _places(terms: Sequence[Term], rows: Sequence[tuple[int, int, bytes]]) -> dict[int, set[int]]:
    """By segment the places of runs for which all terms hold."""
    blocks: dict[bytes, Block] = {}
    given: dict[int, dict[int, list[Block]]] = {}
    for number, n, data in rows:
        block = blocks[data] if data in blocks else blocks.setdefault(data, decoded(data))
        mine = given.setdefault(number, {}).setdefault(n, [])
        if block not in mine[-2:]:  # spans of a term may lie in one block
            mine.append(block)
    found: dict[int, set[int]] = {}
    for number, by_term in given.items():
        places = _all_of(terms, by_term)
        if places:
            found[number] = places
    return found


def _all_of(terms: Sequence[Term], blocks: dict[int, list[Block]]) -> set[int]:
    places: set[int] | None = None
    for n, term in enumerate(terms):
        here = places_of(term, blocks.get(n, ()))
        places = here if places is None else places & here
        if not places:
            return set()
    return places or set()
