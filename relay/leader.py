"""Leadership of the relay: a session lock and an epoch on the connection that reads and checkpoints."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec

from domain.envelope import MAX_INLINE_DATA
from domain.log.event import StoredEvent
from sql.log.pages import PAGE_BYTES
from sql.postgres.pool import Connection, connect
from sql.postgres.queries import Queries
from sql.process.patience import rest

_relay = Queries("queries/relay.sql")
_events = Queries("queries/events.sql")
_STANDBY_S = 0.5
LEASE_S = 1.0
"""How old the knowledge that we lead may be when we publish."""
IDLE_S = 5.0
"""A leader that is not heard of for so long, as it is stopped in its tracks, is cut off, and another takes over."""

Sent = Mapping[int, tuple[int, int]]
"""Partition → (offset of the last acknowledged batch, position of the last acknowledged message)."""

_offsets = msgspec.json.Decoder(dict[int, tuple[int, int]])


class Deposed(Exception):
    """Another leader has taken over. What this one has in memory is out of date."""


class Checkpoint(msgspec.Struct, frozen=True):
    """How far publishing has come."""

    position: int
    sent: Sent


class Leader:
    """The leader's connection: everything it writes is fenced by its epoch."""

    def __init__(self, connection: Connection, epoch: int, checkpoint: Checkpoint) -> None:
        self.connection = connection
        self.epoch = epoch
        self.checkpoint = checkpoint
        self.hinted = 0
        """How far the log has come, as its last commits have told."""
        self.hurried_at = float("-inf")
        """When somebody last said that they wait for the topic."""
        self._confirmed_at = _time()

    async def confirm(self) -> None:
        """That we still lead, asked again where that is not certain. Raises Deposed, and what connections raise.

        Whoever was stopped, and goes on as if nothing had happened, learns here that another took over. Should it be
        stopped between this and the sending, consumers drop what it sends, by its position.
        """
        if _time() - self._confirmed_at >= LEASE_S:
            await self.rewind_wanted()

    async def read(self, after: int, limit: int) -> list[StoredEvent]:
        """The next events of the log. A payload that will travel by reference is left out."""
        rows = await self.connection.fetch(_relay["read"], after, limit, PAGE_BYTES, MAX_INLINE_DATA)
        return [StoredEvent(*row) for row in rows]

    async def dropped(self, after: int, until: int) -> int:
        """How many events between two positions retention has dropped."""
        count: int = await self.connection.fetchval(_relay["dropped"], after, until)
        return count

    async def keys(self, after: int, until: int) -> list[tuple[int, UUID]]:
        """The positions and ordering keys of a stretch of the log, in order."""
        return [(row[0], row[1]) for row in await self.connection.fetch(_relay["keys"], after, until)]

    async def head(self) -> int:
        """The last position of the log."""
        position: int = await self.connection.fetchval(_events["head"])
        return position

    async def advance(self, position: int, sent: Sent) -> int | None:
        """Checkpoint acknowledged messages. Returns the position of a requested rewind, if any. Raises Deposed."""
        row = await self.connection.fetchrow(_relay["advance"], self.epoch, position, _encoded(sent))
        if row is None:
            raise Deposed
        self.checkpoint = Checkpoint(position, sent)
        self._confirmed_at = _time()
        wish: int | None = row[0]
        return wish

    async def rewind(self, position: int, sent: Sent) -> None:
        """Go back to an earlier position. Raises Deposed."""
        row = await self.connection.fetchrow(_relay["rewind"], self.epoch, position, _encoded(sent))
        if row is None:
            raise Deposed
        self.checkpoint = Checkpoint(position, sent)

    async def rewind_wanted(self) -> int | None:
        """The position of a requested rewind. Raises Deposed."""
        row = await self.connection.fetchrow(_relay["rewind_wanted"], self.epoch)
        if row is None:
            raise Deposed
        self._confirmed_at = _time()
        wish: int | None = row[0]
        return wish

    async def erasure(self) -> int | None:
        """The position of the last erasure, if the topic has not been cleared since. Raises Deposed."""
        row = await self.connection.fetchrow(_relay["erasure"], self.epoch)
        if row is None:
            raise Deposed
        position: int | None = row[0]
        return position

    async def cleared(self, erasure: int) -> None:
        """Record that the topic has nothing of what was erased up to there. Raises Deposed."""
        if await self.connection.fetchval(_relay["cleared"], self.epoch, erasure) is None:
            raise Deposed

    async def consumer_gates(self) -> dict[str, dict[int, int]]:
        """How far each consumer has come, by partition."""
        gates: dict[str, dict[int, int]] = {}
        for consumer, partition, position in await self.connection.fetch(_relay["consumer_gates"]):
            known = gates.setdefault(consumer, {})
            if partition is not None:
                known[partition] = position
        return gates


@asynccontextmanager
async def lead(dsn: str, stop: asyncio.Event, wake: asyncio.Event) -> AsyncIterator[Leader | None]:
    """Wait for leadership and hold it; None when `stop` came first. `wake` is set at each commit of the log, and when
    somebody waits.

    The checkpoint need not survive a crash of the server to be right (older is only repeated work), so its
    writes do not wait for the disk.
    """
    connection = await connect(
        dsn, "relay", synchronous_commit="off", statement_timeout="30s", idle_session_timeout=f"{IDLE_S}s"
    )
    try:
        while not await connection.fetchval(_relay["try_lead"]):
            if await rest(stop, _STANDBY_S):
                yield None
                return
        row = await connection.fetchrow(_relay["take_over"])
        assert row is not None, "the migration inserts the relay's row"
        leader = Leader(connection, row[0], Checkpoint(row[1], _offsets.decode(row[2])))

        def hinted(_connection: object, _pid: object, _channel: object, head: object) -> None:
            leader.hinted = int(str(head))
            wake.set()

        def hurried(*_said: object) -> None:
            leader.hurried_at = _time()
            wake.set()

        await connection.add_listener("es", hinted)
        await connection.add_listener("relay", hurried)
        connection.add_termination_listener(lambda _: wake.set())
        yield leader
    finally:
        connection.terminate()


def _time() -> float:
    return asyncio.get_running_loop().time()


def _encoded(sent: Sent) -> str:
    return msgspec.json.encode(sent).decode()
