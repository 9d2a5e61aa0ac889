"""The engine: takes batches of events to all projections, exactly once, whoever else tries the same.

Per projection, build and partition there is a gate: the position up to which its rows hold everything. Rows and gates
move in one transaction, by compare and set, so a repeated batch, a second projector or a crash changes nothing.

Nothing is notified after a batch: NOTIFY holds a lock of the whole database through the commit's fsync, for which the
appends to the log would wait. Whoever needs fresh rows asks for the gate (projections/engine/freshness.py).
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

import asyncpg
import msgspec
import structlog

from domain.log.event import StoredEvent
from domain.registry import EVENT_TYPES
from projections.engine.build import FEW_ROWS, Build, is_poison
from projections.engine.projection import Projection
from projections.engine.rebuild import ensure_built, not_built
from sql.log.pages import PAGE_BYTES, PAGE_EVENTS
from sql.postgres.pool import Connection, connect
from sql.postgres.queries import Queries
from sql.process.crash_points import reached

log = structlog.get_logger()
_gates = Queries("queries/gates.sql")
_KNOWN_TYPES = frozenset(kind.name for kind in EVENT_TYPES)

Batch = Mapping[int, Sequence[StoredEvent]]
"""Events by partition, in order of position."""


class GateMoved(Exception):
    """Somebody else moved a gate: another projector owns the partition now, or a rebuild was switched in.

    Nothing of the batch was stored. Read the gates again, and repeat it.
    """


class GateLost(Exception):
    """A gate is behind what this engine has stored: the database was restored. Start again from the gates."""


class NewerRelease(Exception):
    """A read model has a definition that only a newer release knows."""


class NotBuilt(Exception):
    """A read model has no build yet."""


class _GateMove(msgspec.Struct, frozen=True):
    """One gate to be moved, and the events behind it."""

    build: Build
    partition: int
    seen: int
    position: int
    events: Sequence[StoredEvent]


class Engine:
    """Keeps all projections. Open it with `async with`; tasks that use it at once wait for one another."""

    def __init__(self, dsn: str, projections: Sequence[Projection], partitions: int) -> None:
        self._dsn = dsn
        self._projections = projections
        self._partitions = partitions
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._builds: list[Build] = []
        self._seen: dict[tuple[str, int], int] = {}
        self._applied: dict[int, int] = {}
        self.unknown: Counter[str] = Counter()
        """Events skipped so far as this release does not know their type, by type."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection:
            self._connection.terminate()

    async def start(self) -> None:
        """Build what was never built, or is of an older definition. Any number of projectors may race.

        Raises NewerRelease, and what connections raise.
        """
        for projection in await not_built(self._dsn, self._projections, self._partitions):
            await ensure_built(self._dsn, projection, self._partitions)

    async def gates(self, partitions: Iterable[int]) -> dict[int, int]:
        """Read the gates afresh; gives the smallest of all projections by partition. Raises NewerRelease, GateLost."""
        async with self._lock:
            await self._load(await self._connect())
            names = [build.projection.name for build in self._builds]
            return {partition: min(self._seen.get((name, partition), 0) for name in names) for partition in partitions}

    async def apply(self, batch: Batch) -> None:
        """Take a batch to all projections. Raises GateMoved, and what connections raise; then nothing was stored,
        or it was without our learning of it, which the next attempt finds out by the gates.
        """
        async with self._lock:
            connection = await self._loaded()
            moves = self._moves(batch)
            await self._take(connection, moves)
        self._applied.update({partition: events[-1].position for partition, events in batch.items() if events})
        self._count_unknown(moves)

    async def pass_over(self, partition: int, position: int) -> None:
        """Move the gates of a partition over positions that hold nothing for it. Raises as `apply` does."""
        async with self._lock:
            connection = await self._loaded()
            moves = [
                _GateMove(build, partition, seen, position, [])
                for build in self._builds
                if (seen := self._seen.get((build.projection.name, partition), 0)) < position
            ]
            await self._take(connection, moves)

    async def _loaded(self) -> Connection:
        connection = await self._connect()
        if not self._builds:
            await self._load(connection)
        return connection

    async def _take(self, connection: Connection, moves: Sequence[_GateMove]) -> None:
        try:
            await self._store(connection, moves)
        except asyncpg.TransactionRollbackError as error:
            raise GateMoved from error
        except asyncpg.InvalidTransactionStateError as error:
            connection.terminate()
            raise GateMoved from error
        except asyncio.CancelledError:
            # A BEGIN that was cut off leaves the connection in a transaction that asyncpg would never commit.
            connection.terminate()
            raise
        self._seen.update({(move.build.projection.name, move.partition): move.position for move in moves})

    async def retry_parked(self, name: str) -> int:
        """Take again what a projection parked. Gives how many events stay parked."""
        async with self._lock:
            connection = await self._connect()
            await self._load(connection)
            build = next(build for build in self._builds if build.projection.name == name)
            async with connection.transaction():
                # With the gates held no projector is in the middle of a batch, and none parks on what it remembers.
                await connection.execute(_gates["lock_gates"], name)
                build.parked.clear()
                async for events in _unparked(connection, build):
                    await build.take(connection, events, singly=True)
                await build.load_parked(connection)
                return int(await connection.fetchval(_gates["parked_count"], name))

    def _moves(self, batch: Batch) -> list[_GateMove]:
        moves = []
        for build in self._builds:
            for partition, events in batch.items():
                seen = self._seen.get((build.projection.name, partition), 0)
                fresh = [event for event in events if event.position > seen]
                if fresh:
                    moves.append(_GateMove(build, partition, seen, fresh[-1].position, fresh))
        return moves

    async def _store(self, connection: Connection, moves: Sequence[_GateMove]) -> None:
        if not moves:
            return
        try:
            await self._transact(connection, moves, singly=False)
        except GateMoved:
            raise
        except Exception as error:
            if not is_poison(error):
                raise
            log.warning("projection.poison", error=repr(error))
            await self._transact(connection, moves, singly=True)

    async def _transact(self, connection: Connection, moves: Sequence[_GateMove], *, singly: bool) -> None:
        async with connection.transaction():
            await self._move_gates(connection, moves)
            for build in self._builds:
                events = [event for move in moves if move.build is build for event in move.events]
                await build.take(connection, events, singly=singly)
                reached("projector.in_batch")

    async def _move_gates(self, connection: Connection, moves: Sequence[_GateMove]) -> None:
        moved = await connection.fetchval(
            _gates["move"],
            [move.build.projection.name for move in moves],
            [move.build.version for move in moves],
            [move.partition for move in moves],
            [move.seen for move in moves],
            [move.position for move in moves],
        )
        if moved != len(moves):
            raise GateMoved

    def _count_unknown(self, moves: Sequence[_GateMove]) -> None:
        # Every projection has the same events, but for those that one had had before.
        for event in (event for move in moves if move.build is self._builds[0] for event in move.events):
            if event.type not in _KNOWN_TYPES:
                if event.type not in self.unknown:
                    log.warning("projection.unknown_type", type=event.type, position=event.position)
                self.unknown[event.type] += 1

    async def _load(self, connection: Connection) -> None:
        live = {row[0]: row for row in await connection.fetch(_gates["live"])}
        builds = []
        for projection in self._projections:
            row = live.get(projection.name)
            if row is None:
                raise NotBuilt(f"{projection.name} was never built: a projector does that when it starts")
            if row["definition"] > projection.definition:
                raise NewerRelease(f"{projection.name} is of definition {row['definition']}")
            build = Build(projection, row["version"], set())
            await build.load_parked(connection)
            builds.append(build)
        seen = {(row[0], row[1]): row[2] for row in await connection.fetch(_gates["read"])}
        self._builds, self._seen = builds, seen
        applied, self._applied = self._applied, {}
        for build in builds:
            for partition, position in applied.items():
                if seen.get((build.projection.name, partition), 0) < position:
                    raise GateLost(f"{build.projection.name} is behind {position} in partition {partition}")
        self._applied = applied

    async def _connect(self) -> Connection:
        """The connection whose unqualified table names are the live read models."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(
                self._dsn,
                "projector",
                search_path="rm",
                statement_timeout="60s",
                # A projector that hangs must not keep the gates from others.
                idle_in_transaction_session_timeout="30s",
                **FEW_ROWS,
            )
        return self._connection


async def _unparked(connection: Connection, build: Build) -> AsyncIterator[list[StoredEvent]]:
    """What is parked of a build, taken out page by page. What is parked anew meanwhile is not met again."""
    of_build = build.projection.name, build.version
    after = 0
    while rows := await connection.fetch(_gates["parked_page"], *of_build, after, PAGE_EVENTS, PAGE_BYTES):
        positions = [row[0] for row in rows]
        yield [StoredEvent(*row) for row in await connection.fetch(_gates["unpark"], *of_build, positions)]
        after = positions[-1]
