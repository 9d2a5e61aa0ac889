"""One build of a projection, and how it takes events: all at once, or, when one is broken, without the broken ones.

An event that a projection cannot take is parked, together with all later events of its stream, so that the others go
on and its stream stays in order. `Engine.retry_parked`, or a rebuild, brings parked events in once the cause is gone.
"""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec
import structlog

from domain.log.event import StoredEvent
from projections.engine.projection import Projection
from projections.engine.rows import storable
from sql.postgres.pool import CONNECTION_ERRORS, DATA_ERRORS, Connection
from sql.postgres.queries import Queries

log = structlog.get_logger()
_gates = Queries("queries/gates.sql")

FEW_ROWS = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
"""Settings of a connection that writes batches into large tables: always by the index. A plan made, and kept, while
the table was small would scan it whole for every batch."""

_BEHIND_PARKED = "an earlier event of this stream is parked"


def is_poison(error: Exception) -> bool:
    """Whether events are to blame: their payload, or what a projection makes of it.

    Not so for outages, lost races, or a table that does not fit its statements: those would park everything.
    """
    if isinstance(error, asyncpg.PostgresError):
        return isinstance(error, DATA_ERRORS)
    return not isinstance(error, CONNECTION_ERRORS)


class Build(msgspec.Struct, eq=False):
    """A table of its own, written through a connection whose search path leads to it.

    `parked` are the streams of which an event is parked; only whoever holds the build's gates may add to them, or
    take from them.
    """

    projection: Projection
    version: int
    parked: set[UUID]

    async def take(self, connection: Connection, events: Sequence[StoredEvent], *, singly: bool) -> None:
        """Apply handled events, in a transaction of the caller.

        Raises whatever bad events make of a projection; with `singly` those are looked for, and parked, instead.
        """
        events = [event for event in events if event.type in self.projection.handles]
        if self.parked:
            events = await self._without_parked(connection, events)
        if not events:
            return
        if singly:
            await self._take_sound(connection, events)
        else:
            await self.projection.apply(connection, events)

    async def load_parked(self, connection: Connection) -> None:
        """Read afresh which streams are parked: another projector may have parked, an operator retried them."""
        rows = await connection.fetch(_gates["parked_streams"], self.projection.name, self.version)
        self.parked = {row[0] for row in rows}

    async def _without_parked(self, connection: Connection, events: list[StoredEvent]) -> list[StoredEvent]:
        await self.load_parked(connection)
        behind = [event for event in events if event.stream_id in self.parked]
        if behind:
            await self._park(connection, behind, _BEHIND_PARKED)
        return [event for event in events if event.stream_id not in self.parked]

    async def _take_sound(self, connection: Connection, events: Sequence[StoredEvent]) -> None:
        """Halve until what fails stands alone. Savepoints undo the failed attempts."""
        try:
            async with connection.transaction():
                await self.projection.apply(connection, events)
        except Exception as error:
            if not is_poison(error):
                raise
            if len(events) == 1:
                await self._park_poison(connection, events[0], error)
                return
        else:
            return
        half = len(events) // 2
        await self._take_sound(connection, events[:half])
        rest = events[half:]
        behind = [event for event in rest if event.stream_id in self.parked]
        await self._park(connection, behind, _BEHIND_PARKED)
        if sound := [event for event in rest if event.stream_id not in self.parked]:
            await self._take_sound(connection, sound)

    async def _park_poison(self, connection: Connection, event: StoredEvent, error: Exception) -> None:
        log.error(
            "projection.parked",
            projection=self.projection.name,
            stream_id=str(event.stream_id),
            position=event.position,
            type=event.type,
            error=repr(error),
        )
        self.parked.add(event.stream_id)
        await self._park(connection, [event], storable(repr(error)[:1_000]))

    async def _park(self, connection: Connection, events: Sequence[StoredEvent], error: str) -> None:
        await connection.execute(
            _gates["park"],
            self.projection.name,
            self.version,
            [event.stream_id for event in events],
            [event.position for event in events],
            [event.type for event in events],
            error.encode("utf-8", "replace").decode(),
        )
