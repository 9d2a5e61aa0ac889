"""The Merkle tree over the log: its tiles, which are made behind it, its roots and its proofs."""

import asyncio
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from domain.proof.merkle import (
    Growing,
    Node,
    combined,
    consistency,
    inclusion,
    nodes_of,
    root_of,
    split,
)
from sql.postgres.pool import Connection, Pool
from sql.postgres.queries import Queries

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

_queries = Queries("queries/tree.sql")

TILE = 256
"""Hashes of a tile."""
PAGE = TILE * TILE
"""Leaves that are read at once: 2 MiB of hashes."""


class Incomplete(Exception):
    """The log has not all the events that a tree of this size needs, or its tiles are not made yet."""


class Tree(msgspec.Struct, frozen=True):
    """The tree of one log."""

    pool: Pool

    async def grow(self, until: int) -> None:
        """Make the tiles of the first `until` events. Any number of processes may race."""
        whole = until // TILE
        while (done := await self.pool.fetchval(_queries["tiled"])) < whole:
            most = min(whole, (done // TILE + 1) * TILE)
            leaves = await self._leaves(done * TILE, most * TILE)
            roots = await asyncio.to_thread(_roots, leaves)
            async with self.pool.acquire() as connection, connection.transaction():
                await _add(connection, 1, done, roots)

    async def root(self, size: int) -> bytes:
        """The root over the first `size` events. Raises Incomplete."""
        return combined([await self._hash(node) for node in nodes_of(0, size)])

    async def inclusion(self, position: int, size: int) -> list[bytes]:
        """What proves that an event is among the first `size`. Raises Incomplete."""
        return await self._proof(inclusion(position - 1, size))

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """What proves that the first `old` events are the beginning of the first `new`. Raises Incomplete."""
        return await self._proof(consistency(old, new))

    async def _proof(self, spans: Sequence[Sequence[Node]]) -> list[bytes]:
        nodes = list(dict.fromkeys(chain.from_iterable(spans)))
        hashes = dict(zip(nodes, [await self._hash(node) for node in nodes], strict=True))
        return [combined([hashes[node] for node in span]) for span in spans]

    async def _hash(self, node: Node) -> bytes:
        """A node is the root of some of the hashes of one tile."""
        level, height = divmod(node.level, 8)
        first, count = node.index << height, 1 << height
        if level == 0:
            return root_of(await self._leaves(first, first + count))
        found = await self.pool.fetchval(_queries["tile_part"], level, first // TILE, first % TILE, count)
        hashes = split(found or b"")
        if len(hashes) != count:
            raise Incomplete(f"the tree has no tile {first // TILE} of level {level} yet")
        return root_of(hashes)

    async def _leaves(self, start: int, end: int) -> list[bytes]:
        return await leaves(self.pool, start, end)


async def leaves(source: Pool | Connection, after: int, until: int) -> list[bytes]:
    """The hashes of the leaves of some positions. Raises Incomplete."""
    row = await source.fetchrow(_queries["leaves"], after, until)
    assert row is not None, "an aggregate has one row"
    count, joined = row
    if count != until - after:
        raise Incomplete(f"the log has {count} events where {until - after} should be, after position {after}")
    return split(joined)


async def recomputed(source: Connection, sizes: Sequence[int]) -> dict[int, bytes]:
    """The roots of several sizes from the events alone, whatever the tiles say. Raises Incomplete."""
    growing, roots = Growing(), dict[int, bytes]()
    for size in sorted(sizes):
        while growing.size < size:
            page = await leaves(source, growing.size, min(growing.size + PAGE, size))
            await asyncio.to_thread(growing.add, page)
        roots[size] = growing.root
    return roots


def _roots(hashes: Sequence[bytes]) -> list[bytes]:
    return [root_of(hashes[at : at + TILE]) for at in range(0, len(hashes), TILE)]


async def _add(
    connection: "Connection | PoolConnectionProxy[asyncpg.Record]", level: int, first: int, hashes: Sequence[bytes]
) -> None:
    """Add hashes to one tile; once it is whole, its root to the level above."""
    index, place = divmod(first, TILE)
    tile = await connection.fetchval(_queries["grow_tile"], level, index, b"".join(hashes), place)
    if tile is not None and place + len(hashes) == TILE:
        await _add(connection, level + 1, index, [root_of(split(tile))])
