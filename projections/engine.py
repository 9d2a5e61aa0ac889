"""The engine: takes batches of events to all projections, exactly once, whoever else tries the same.

Per projection, build and partition there is a gate: the position up to which its rows hold everything. Rows and gates
move in one transaction, by compare and set, so a repeated batch, a second projector or a crash changes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self
from uuid import UUID

import msgspec
import structlog

from domain.event import StoredEvent
from projections.projection import Projection
from projections.rebuild import rebuild
from sql.pool import CONNECTION_ERRORS, Connection, connect
from sql.queries import Queries

log = structlog.get_logger()
_gates = Queries("queries/gates.sql")

Batch = Mapping[int, Sequence[StoredEvent]]
"""Events by partition, in order of position."""


class GateMoved(Exception):
    """Somebody else moved a gate: another projector owns the partition now, or a rebuild was switched in."""


class Poison(Exception):
    """A projection could not take an event for a reason that a repeat would not heal."""

    def __init__(self, projection: str, error: Exception) -> None:
        super().__init__(f"{projection}: {error!r}")
        self.projection = projection
        self.error = error


class _Move(msgspec.Struct, frozen=True):
    """One gate to be moved, and the events behind it that its projection takes."""

    projection: Projection
    partition: int
    seen: int
    position: int
    events: Sequence[StoredEvent]


class Engine:
    """Keeps all projections. Open it with `async with`; not for use by several tasks at once."""

    def __init__(self, dsn: str, projections: Sequence[Projection], partitions: int) -> None:
        self._dsn = dsn
        self._projections = {projection.name: projection for projection in projections}
        self._partitions = partitions
        self._connection: Connection | None = None
        self._versions: dict[str, int] = {}
        self._seen: dict[tuple[str, int], int] = {}
        self._parked: set[tuple[str, UUID]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection:
            self._connection.terminate()

    async def start(self) -> None:
        """Build what was never built, or is of an older definition. Any number of projectors may race."""
        for projection in self._projections.values():
            if not await self._is_current(projection):
                await rebuild(self._dsn, projection, self._partitions, only_if_older=True)

    async def gates(self, partitions: Iterable[int]) -> dict[int, int]:
        """Read the gates afresh; gives the smallest of all projections by partition."""
        connection = await self._connect()
        wanted = list(partitions)
        live = await connection.fetch(_gates["live"])
        self._versions = {row[0]: row[1] for row in live if row[0] in self._projections}
        names, versions = list(self._versions), list(self._versions.values())
        await connection.execute(_gates["ensure"], names, versions, wanted)
        rows = await connection.fetch(_gates["read"], names, versions, wanted)
        self._seen.update({(row[0], row[1]): row[2] for row in rows})
        self._parked = {(row[0], row[1]) for row in await connection.fetch(_gates["parked_streams"], names, versions)}
        return {partition: min(self._seen[name, partition] for name in names) for partition in wanted}

    async def apply(self, batch: Batch) -> None:
        """Take a batch to all projections. Raises GateMoved, and what connections raise."""
        try:
            await self._apply(batch)
        except Poison as poison:
            log.warning("projection.poison", projection=poison.projection, error=repr(poison.error))
            await self._apply_singly(batch)

    async def _apply(self, batch: Batch) -> None:
        moves = [
            move
            for partition, events in batch.items()
            for projection in self._projections.values()
            if (move := self._move(projection, partition, events))
        ]
        if not moves:
            return
        connection = await self._connect()
        async with connection.transaction():
            await self._move_gates(connection, moves)
            for projection in self._projections.values():
                events = [event for move in moves if move.projection is projection for event in move.events]
                await self._apply_to(connection, projection, events)
        self._seen.update({(move.projection.name, move.partition): move.position for move in moves})

    def _move(self, projection: Projection, partition: int, events: Sequence[StoredEvent]) -> _Move | None:
        seen = self._seen[projection.name, partition]
        if not events or events[-1].position <= seen:
            return None
        handled = [event for event in events if event.position > seen and event.type in projection.handles]
        return _Move(projection, partition, seen, events[-1].position, handled)

    async def _move_gates(self, connection: Connection, moves: Sequence[_Move]) -> None:
        moved = await connection.fetchval(
            _gates["move"],
            [move.projection.name for move in moves],
            [self._versions[move.projection.name] for move in moves],
            [move.partition for move in moves],
            [move.seen for move in moves],
            [move.position for move in moves],
        )
        if moved != len(moves):
            raise GateMoved

    async def _apply_to(self, connection: Connection, projection: Projection, events: Sequence[StoredEvent]) -> None:
        parked = [event for event in events if (projection.name, event.stream_id) in self._parked]
        for event in parked:
            await self._park(connection, projection, event, "an earlier event of this stream is parked")
        healthy = [event for event in events if event not in parked] if parked else events
        if not healthy:
            return
        try:
            await projection.apply(connection, healthy)
        except CONNECTION_ERRORS:
            raise
        except Exception as error:  # whatever a bad event makes of a projection, the others must go on
            raise Poison(projection.name, error) from error

    async def _apply_singly(self, batch: Batch) -> None:
        """Find the poison: event by event, parking what fails together with the rest of its stream."""
        for partition, events in batch.items():
            for event in events:
                await self._apply_or_park(partition, event)

    async def _apply_or_park(self, partition: int, event: StoredEvent) -> None:
        while True:
            try:
                await self._apply({partition: [event]})
                return
            except Poison as poison:
                log.exception(
                    "projection.parked",
                    projection=poison.projection,
                    stream_id=str(event.stream_id),
                    position=event.position,
                )
                self._parked.add((poison.projection, event.stream_id))
                connection = await self._connect()
                await self._park(connection, self._projections[poison.projection], event, repr(poison.error))

    async def _park(self, connection: Connection, projection: Projection, event: StoredEvent, error: str) -> None:
        await connection.execute(
            _gates["park"], projection.name, self._versions[projection.name], event.stream_id, event.position,
            event.type, error[:1_000].replace("\0", ""),
        )  # fmt: skip

    async def _is_current(self, projection: Projection) -> bool:
        connection = await self._connect()
        live: dict[str, int] = {row[0]: row[2] for row in await connection.fetch(_gates["live"])}
        return live.get(projection.name, 0) >= projection.definition

    async def _connect(self) -> Connection:
        """The connection whose unqualified table names are the live read models."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._dsn, "projector", search_path="rm", statement_timeout="60s")
        return self._connection
