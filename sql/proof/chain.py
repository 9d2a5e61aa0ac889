"""The hash chain over a stretch of the log, recomputed: whole commits, after one whose stored hash is believed.

PostgreSQL sends what hashes are made of, and they are made here: its own SHA-256 knows nothing of the CPU's
instructions for that.
"""

from collections.abc import Sequence
from hashlib import sha256
from struct import Struct
from typing import TYPE_CHECKING

import msgspec

from sql.log.hashing import GENESIS
from sql.postgres.pool import Connection
from sql.postgres.queries import Queries

if TYPE_CHECKING:
    import asyncpg

_verify = Queries("queries/verify.sql")

LINK = 4 + 32
"""Bytes of an event's version and hash, as they enter the hash of its commit."""
TIME = 8
"""Bytes of a time."""
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
"""What the binary format of COPY begins with: flags and an extension, which there are not."""
_ROW = Struct(">hiq36s8s")
"""Of a row the number of columns, then the bytes of the only one, which begins with position, link and time."""
_FRAME = 2 + 4
MOST_EVENTS = 2**23
"""Events that are looked at, at once. Commits have thousands; of one that says it had more the first gap is found."""


class Checked(msgspec.Struct, frozen=True):
    """Commits up to `position`, where the chain has the hash `head`; `believed` is the one before the first of them.

    `broken_at`: the first position that does not fit, with the reason.
    """

    after: int
    believed: bytes
    position: int
    head: bytes
    broken_at: int | None = None
    reason: str = ""


class Broken(Exception):
    """A position that does not fit."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position
        self.reason = reason


async def bounds(connection: Connection, first: int, last: int | None) -> tuple[int, bytes, int]:
    """The end of the commit after which to begin, with its hash, and of the one to end with. Raises Broken."""
    start = await connection.fetchrow(_verify["commit_before"], first)
    if start is None or (first <= 1 and start["last_position"] != 0):
        raise Broken(1, "the first commit is missing")
    if start["last_position"] == 0 and start["hash"] != GENESIS:
        raise Broken(1, "the chain does not begin as every chain does")
    until: int = await connection.fetchval(_verify["commit_of"], 2**62 if last is None else last)
    return start["last_position"], start["hash"], until


async def check(connection: Connection, first: int, last: int) -> Checked:
    """Check the commits that hold these positions and those between. Takes some 50 bytes of memory for each event.

    Raises what connections raise.
    """
    after, believed, until = await bounds(connection, first, last)
    chain = _Chain(after, believed)
    try:
        commits = await connection.fetch(_verify["commits"], after, until)
        most = min(until, after + MOST_EVENTS)
        events = _Events(after, most)
        await connection.copy_from_query(_verify["preimages"], after, most, output=events.take, format="binary")
        wrong = [*await _changed(connection, events), *events.irregular()]
        for commit in commits:
            chain.take(commit, events, min(wrong, key=lambda one: one.position, default=None))
    except Broken as broken:
        return Checked(after, believed, chain.position, chain.head, broken.position, broken.reason)
    return Checked(after, believed, chain.position, chain.head)


async def _changed(connection: Connection, events: "_Events") -> list[Broken]:
    """The first event that was changed, if there is one. Of one that was forgotten what stays has a hash, too."""
    if not events.changed:
        return []
    rows = await connection.fetch(_verify["forgotten"], list(events.changed))
    forgotten = {row["position"]: row["digest"] for row in rows}
    changed = [position for position, digest in events.changed.items() if forgotten.get(position) != digest]
    return [Broken(min(changed), "the event was changed")] if changed else []


class _Chain:
    """The log as far as its commits follow from one another."""

    def __init__(self, position: int, head: bytes) -> None:
        self.position = position
        self.head = head

    def take(self, commit: "asyncpg.Record", events: "_Events", wrong: Broken | None) -> None:
        """Check the next commit. Raises Broken, also where something is `wrong` with its events."""
        last, previous, head, time, stored = commit
        if previous != self.position:
            raise Broken(self.position + 1, "a commit is missing")
        if wrong and wrong.position <= last:
            raise wrong
        links, times = events.between(previous, last)
        # The chain holds only the commit's time, so its events must have the same.
        if times != time * (last - previous):
            number = next(n for n in range(last - previous) if times[n * TIME : (n + 1) * TIME] != time)
            raise Broken(previous + 1 + number, "the event's time is not that of its commit")
        if sha256(self.head + head + links).digest() != stored:
            raise Broken(previous + 1, "the commit's hash does not follow from its events")
        self.head, self.position = stored, last


class _Events:
    """The events after a position and up to another, as they come, in any order. Payloads are not kept."""

    def __init__(self, after: int, until: int) -> None:
        self.changed: dict[int, bytes] = {}
        """The hashes that events have now, by position, where others are stored."""
        self._after = after
        self._seen = bytearray(until - after)
        self._links = bytearray((until - after) * LINK)
        self._times = bytearray((until - after) * TIME)
        self._rest = bytearray()
        self._begun = False

    async def take(self, received: bytes) -> None:
        """Some of the output of COPY: rows may be cut anywhere."""
        self._rest += received
        if not self._begun and len(self._rest) >= len(_SIGNATURE):
            del self._rest[: len(_SIGNATURE)]
            self._begun = True
        if self._begun:
            with memoryview(self._rest) as rows:
                done = self._hashed(rows)
            del self._rest[:done]

    def _hashed(self, rows: memoryview) -> int:
        """Hash whole rows. Gives their bytes."""
        at, size, head, following = 0, len(rows), _ROW.size, -1
        links: list[bytes] = []
        times: list[bytes] = []
        while (begin := at + head) <= size:
            _columns, length, position, link, time = _ROW.unpack_from(rows, at)
            end = at + _FRAME + length
            if end > size:
                break
            if end > begin and (digest := sha256(rows[begin:end]).digest()) != link[4:]:
                self.changed[position] = digest
            if position != following:
                self._note(following, links, times)
                links, times = [], []
            links.append(link)
            times.append(time)
            at, following = end, position + 1
        self._note(following, links, times)
        return at

    def _note(self, before: int, links: Sequence[bytes], times: Sequence[bytes]) -> None:
        """Keep what came of the positions right before one: nearly all come in order."""
        if not links:
            return
        end = before - self._after - 1
        first = end - len(links)
        self._seen[first:end] = bytes([2 if seen else 1 for seen in self._seen[first:end]])
        self._links[first * LINK : end * LINK] = b"".join(links)
        self._times[first * TIME : end * TIME] = b"".join(times)

    def irregular(self) -> list[Broken]:
        """The first position that not exactly one event has, if there is one."""
        if self._seen.count(1) == len(self._seen):
            return []
        found = next(slot for slot, count in enumerate(self._seen) if count != 1)
        reason = "the event is there twice" if self._seen[found] else "the event is missing"
        return [Broken(self._after + 1 + found, reason)]

    def between(self, after: int, until: int) -> tuple[bytes, bytes]:
        """Versions and stored hashes of events in their order, joined; and their times."""
        first, end = after - self._after, until - self._after
        return bytes(self._links[first * LINK : end * LINK]), bytes(self._times[first * TIME : end * TIME])
