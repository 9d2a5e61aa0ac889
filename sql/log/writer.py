"""One connection to the log, and the task that brings commands there: all that wait go in one call of es.append."""

import asyncio
from contextlib import suppress
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec
import structlog

from domain.log.event import Append, Appended, AppendResult, Conflict, Duplicate
from domain.log.ports import AppendRefused, StoreUnavailable
from sql.log.append_queue import AppendQueue
from sql.postgres.pool import CONNECTION_ERRORS, DATA_ERRORS, Connection, connect
from sql.postgres.queries import Queries
from sql.process.patience import Patience

log = structlog.get_logger()
_queries = Queries("queries/events.sql")

MAX_BATCH_COMMANDS = 500
"""Commands in one call: the answer must fit in socket buffers, as it is sent while the lock is held."""
MAX_BATCH_BYTES = 8 * 1024 * 1024
MAX_QUEUED = 10_000
"""Commands waiting, at most half of them of one tenant; past this the store says it is unavailable."""
_CALL_TIMEOUT_S = 15.0
"""When a call is made again on a new connection; the server's own limit (10 s) comes first."""
_RETRY_S = 0.1

Row = tuple[UUID, str, int, bytes, bytes, bytes, datetime | None]
"""An event as es.append takes it: id, type, schema version, metadata, payload, hash, and when its timer is due."""


class Waiting(msgspec.Struct, eq=False):
    """A command in the queue, encoded once, and the future of its result. `late`: nobody waits for it any more."""

    command: Append
    rows: tuple[Row, ...]
    size: int
    result: "asyncio.Future[AppendResult]"
    late: bool = False


class Writer:
    """The commands that wait for one connection. Batches end with the command that makes them `most_bytes` long."""

    def __init__(self, dsn: str, name: str, patience_s: float, most_bytes: int = MAX_BATCH_BYTES) -> None:
        self._dsn = dsn
        self._name = name
        self._most_bytes = most_bytes
        self._queue = AppendQueue[Waiting](MAX_QUEUED, lambda waiting: waiting.command.tenant_id)
        self._arrived = asyncio.Event()
        self._patience = Patience[Waiting](patience_s, lambda waiting: waiting.result.done(), self._give_up)
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to write; it connects when there is something to write."""
        self._task = asyncio.create_task(self._write_for_ever(), name=f"event store {self._name}")

    async def close(self) -> None:
        """Stop writing, and refuse what waits."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for waiting in self._queue:
            _refuse(waiting, StoreUnavailable("the store is closing"))
        self._patience.close()

    def require_room(self, tenant_id: UUID) -> None:
        """Raises StoreUnavailable where it is not open, or too many commands of the tenant wait."""
        if self._task is None or self._task.done():
            raise StoreUnavailable("the store is not open")
        if self._queue.is_full_for(tenant_id):
            raise StoreUnavailable("too many commands are waiting for the log")

    def add(self, waiting: Waiting) -> None:
        """Put a command into the queue. Raises StoreUnavailable."""
        self.require_room(waiting.command.tenant_id)
        self._queue.add(waiting)
        self._arrived.set()
        self._patience.watch(waiting)

    def _give_up(self, waiting: Waiting) -> None:
        """The writer drops it, unless it is being sent."""
        waiting.late = True
        self._queue.drop(waiting)
        _refuse(waiting, StoreUnavailable("the log did not answer in time"))

    async def _write_for_ever(self) -> None:
        connection: Connection | None = None
        batch: list[Waiting] = []
        try:
            while True:
                if not batch:
                    batch = await self._next_batch()
                try:
                    if connection is None or connection.is_closed():
                        connection = await self._connect()
                    await self._write(connection, batch)
                    batch = []
                except CONNECTION_ERRORS as error:
                    # The call's outcome is unknown, so the same events are sent again: es.append knows them by id.
                    log.warning("event_store.unreachable", error=repr(error), waiting=len(batch) + len(self._queue))
                    _drop(connection)
                    connection = None
                    batch = [waiting for waiting in batch if not waiting.late]
                    await asyncio.sleep(_RETRY_S)
                except Exception as error:  # noqa: BLE001 - a refusal or a bug: logged, the caller told; the writer lives
                    batch = self._split(batch, error)
        finally:
            for waiting in batch:
                _refuse(waiting, StoreUnavailable("the store is closing"))
            _drop(connection)

    async def _connect(self) -> Connection:
        connection = await connect(
            self._dsn, self._name, lock_timeout="2s", synchronous_commit="on", statement_timeout="10s"
        )
        log.debug("event_store.connected")
        return connection

    def _split(self, batch: list[Waiting], error: Exception) -> list[Waiting]:
        """Halve the batch until the refused command is alone, so that its neighbours are stored."""
        if len(batch) == 1:
            log.error("event_store.command_refused", stream=str(batch[0].command.stream_id), exc_info=error)
            blamed = isinstance(error, DATA_ERRORS) or not isinstance(error, asyncpg.PostgresError)
            refusal = AppendRefused if blamed else StoreUnavailable
            _refuse(batch[0], refusal(f"the log refused the command: {error}"))
            return []
        log.warning("event_store.batch_refused", error=repr(error), commands=len(batch))
        half = len(batch) // 2
        self._queue.put_back(batch[half:])
        return batch[:half]

    async def _next_batch(self) -> list[Waiting]:
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        batch: list[Waiting] = []
        streams: set[object] = set()
        held: list[Waiting] = []
        size = 0
        while self._queue and len(batch) < MAX_BATCH_COMMANDS and size < self._most_bytes:
            waiting = self._queue.take()
            keys = _exclusive_keys(waiting.command)
            if streams.isdisjoint(keys):
                batch.append(waiting)
                size += waiting.size
            else:
                held.append(waiting)
            streams.update(keys)
        self._queue.put_back(held)
        return batch

    async def _write(self, connection: Connection, batch: list[Waiting]) -> None:
        rows = await connection.fetch(_queries["append"], *_columns(batch), timeout=_CALL_TIMEOUT_S)
        for row in rows:
            future = batch[row[0] - 1].result
            if not future.done():
                future.set_result(_result(row))


def _exclusive_keys(command: Append) -> tuple[object, ...]:
    """What may occur only once in a call of es.append."""
    keys: list[object] = [(command.kind, command.stream_id)]
    keys += [key for key in (command.dedupe_key, command.timer_id) if key is not None]
    return tuple(keys)


def _columns(batch: list[Waiting]) -> list[list[object]]:
    commands = [waiting.command for waiting in batch]
    columns: list[list[object]] = [
        [int(command.kind) for command in commands],
        [command.stream_id for command in commands],
        [command.expected for command in commands],
        [command.tenant_id for command in commands],
        [command.ordering_key for command in commands],
        [command.timer_id for command in commands],
        [command.dedupe_key for command in commands],
        [command.dedupe_window_s for command in commands],
    ]
    rows = [(number, *row) for number, waiting in enumerate(batch, 1) for row in waiting.rows]
    columns.extend(list(column) for column in zip(*rows, strict=True))
    return [*columns, [command.carries for command in commands]]


def _result(row: "asyncpg.Record") -> AppendResult:
    match row[1]:
        case 0 | 1:
            return Appended(row[2], row[3])
        case 3:
            return Duplicate(row[4], row[3])
        case _:
            return Conflict(row[2])


def _refuse(waiting: Waiting, error: Exception) -> None:
    if not waiting.result.done():
        waiting.result.set_exception(error)
        # The caller may be gone; asyncio warns of an exception that nobody retrieves.
        waiting.result.exception()


def _drop(connection: Connection | None) -> None:
    if connection is not None:
        connection.terminate()
