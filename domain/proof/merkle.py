"""The Merkle tree over the log, as RFC 9162 §2.1 has it: which of its hashes a proof consists of, and how they combine.

Leaf n is the event at position n + 1. A node is named by its level (0 are the leaves) and its index there; it is the
root of 2^level leaves. Only such nodes are ever looked up, as they never change once their leaves are there.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import msgspec

EMPTY = sha256(b"").digest()
"""The root of a tree without leaves."""
HASH = 32
"""Bytes of a hash."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Node(msgspec.Struct, frozen=True):
    """The root of the leaves from index · 2^level to (index + 1) · 2^level."""

    level: int
    index: int


def micros(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of what stands above two nodes."""
    return sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root of complete nodes beside each other, 2^n of them."""
    while len(hashes) > 1:
        hashes = [node_hash(left, right) for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]


def split(joined: bytes) -> list[bytes]:
    """Hashes that were joined."""
    return [joined[at : at + HASH] for at in range(0, len(joined), HASH)]


def nodes_of(start: int, end: int) -> list[Node]:
    """The complete nodes that the leaves from `start` to `end` consist of, left to right."""
    found = []
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        found.append(Node(level, start >> level))
        start += 1 << level
    return found


def combined(hashes: Sequence[bytes]) -> bytes:
    """The root over the nodes of a range: as the tree splits, the smaller ones at its right end come together first."""
    if not hashes:
        return EMPTY
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def inclusion(index: int, size: int) -> list[list[Node]]:
    """The audit path of a leaf in a tree of some size (RFC 9162 §2.1.3): of each hash, what it is combined from."""
    return [nodes_of(*span) for span in _path(index, 0, size)]


def consistency(old: int, new: int) -> list[list[Node]]:
    """What proves that a tree is the beginning of a larger one (RFC 9162 §2.1.4); both have leaves."""
    return [nodes_of(*span) for span in _subproof(old, 0, new, known=True)] if old < new else []


def _path(index: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    if end - start == 1:
        return
    middle = start + _split(end - start)
    if index < middle:
        yield from _path(index, start, middle)
        yield middle, end
    else:
        yield from _path(index, middle, end)
        yield start, middle


def _subproof(old: int, start: int, end: int, *, known: bool) -> Iterator[tuple[int, int]]:
    if old == end:
        if not known:
            yield start, end
        return
    middle = start + _split(end - start)
    if old <= middle:
        yield from _subproof(old, start, middle, known=known)
        yield middle, end
    else:
        yield from _subproof(old, middle, end, known=False)
        yield start, middle


def _split(count: int) -> int:
    """The largest power of two below a count."""
    return 1 << ((count - 1).bit_length() - 1)


class Growing:
    """The root of leaves that come one after the other."""

    def __init__(self) -> None:
        self.size = 0
        self._nodes: list[bytes] = []

    def add(self, leaves: Iterable[bytes]) -> None:
        """Take the hashes of the next leaves."""
        for leaf in leaves:
            self.size += 1
            self._nodes.append(leaf)
            for _ in range((self.size & -self.size).bit_length() - 1):
                right = self._nodes.pop()
                self._nodes[-1] = node_hash(self._nodes[-1], right)

    @property
    def root(self) -> bytes:
        """The root so far."""
        return combined(self._nodes)
