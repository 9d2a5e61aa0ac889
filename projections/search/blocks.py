"""Segments of the search index: the runs of one tenant in the order of their ids, and for each key those that have it.

A segment is a few rows: one with the ids, and blocks of sorted keys with their runs as places among these ids. Blocks
are compressed, and found by their first key. Segments are written once; sixteen of about one size are made one, so that
there are few of them and old ones are large (a log-structured merge tree with tiers).
"""

import heapq
import zlib
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from uuid import UUID

import msgspec

from domain.search.query import Span, Term

MERGED = 16
"""Segments of one tier that are made one."""
LARGEST_TIER = 3
"""Segments of 4,096 runs and more stay: sixteen of those below have at most 65,520 runs, as places have 16 bits."""
BLOCK_BYTES = 16 * 1024
"""Of keys and places, before they are compressed."""
ID_BYTES = 16
HEAD = b""
"""In place of a first key: the row with the ids."""

Places = array
"""Runs of a segment as unsigned 16-bit numbers, ascending."""


class Block(msgspec.Struct, frozen=True, array_like=True):
    """Sorted keys, and for each one the bytes of its places."""

    keys: list[bytes]
    places: list[bytes]


class Row(msgspec.Struct, frozen=True):
    """A row of a segment: its head with the ids, or a block by its first key."""

    first: bytes
    data: bytes


class Segment(msgspec.Struct, frozen=True):
    """The ids of its runs in order, and its rows, head first."""

    ids: list[UUID]
    rows: list[Row]


_decoder = msgspec.msgpack.Decoder(Block)


def tier(size: int) -> int:
    """Which segments of so many runs are merged with one another: each tier is sixteen times the one below."""
    return min((size.bit_length() - 1) // 4, LARGEST_TIER)


def built(contents: Mapping[UUID, Iterable[bytes]]) -> Segment:
    """The segment of some runs with their keys."""
    ids = sorted(contents)
    found: defaultdict[bytes, list[int]] = defaultdict(list)
    for place, run_id in enumerate(ids):
        for key in contents[run_id]:
            found[key].append(place)
    return _segment(ids, ((key, array("H", found[key])) for key in sorted(found)))


def merged(segments: Sequence[Sequence[Row]], without: frozenset[UUID] = frozenset()) -> Segment:
    """One segment of several, given as their rows in order; some runs are left out, with all that only they have."""
    of_each = [ids_of(rows[0].data) for rows in segments]
    ids = sorted({run_id for ids in of_each for run_id in ids} - without)
    places = {run_id: place for place, run_id in enumerate(ids)}
    maps = [[places.get(run_id, -1) for run_id in own] for own in of_each]
    entries = heapq.merge(*[_entries(rows, new) for rows, new in zip(segments, maps, strict=True)], key=_key)
    return _segment(ids, ((key, _union(group)) for key, group in groupby(entries, key=_key)))


def _key(entry: "tuple[bytes, list[int]]") -> bytes:
    return entry[0]


def _entries(rows: Sequence[Row], new: Sequence[int]) -> Iterator[tuple[bytes, list[int]]]:
    for row in rows[1:]:
        block = decoded(row.data)
        for key, raw in zip(block.keys, block.places, strict=True):
            yield key, [new[place] for place in array("H", raw)]


def _union(group: Iterable[tuple[bytes, list[int]]]) -> "array[int]":
    return array("H", sorted({place for _key, places in group for place in places if place >= 0}))


def _segment(ids: list[UUID], entries: Iterable[tuple[bytes, "array[int]"]]) -> Segment:
    rows = [Row(HEAD, b"".join([run_id.bytes for run_id in ids]))]
    block, room = Block([], []), BLOCK_BYTES
    for key, places in entries:
        if not places:
            continue
        if room < 0:
            rows.append(_encoded(block))
            block, room = Block([], []), BLOCK_BYTES
        raw = places.tobytes()
        block.keys.append(key)
        block.places.append(raw)
        room -= len(key) + len(raw)
    return Segment(ids, [*rows, _encoded(block)] if block.keys else rows)


def _encoded(block: Block) -> Row:
    return Row(block.keys[0], zlib.compress(msgspec.msgpack.encode(block), 1))


def decoded(data: bytes) -> Block:
    """The block in a row."""
    return _decoder.decode(zlib.decompress(data))


def ids_of(data: bytes) -> list[UUID]:
    """The ids in the head of a segment."""
    return [UUID(bytes=data[start : start + ID_BYTES]) for start in range(0, len(data), ID_BYTES)]


def places_of(term: Term, blocks: Sequence[Block]) -> set[int]:
    """The runs of a segment that a term holds for; the blocks are those in which its spans lie."""
    found: set[int] = set()
    for span in term.spans:
        for block in blocks:
            for index in _within(span, block):
                if term.takes(block.keys[index]):
                    found.update(array("H", block.places[index]))
    return found


def _within(span: Span, block: Block) -> range:
    return range(bisect_left(block.keys, span[0]), bisect_left(block.keys, span[1]))
