"""Appends by group commit: what all tasks of a process have to say to the log goes into few calls.

Commands queue up; one writer task sends as many as are waiting in one call of es.append. That shares one lock and one
fsync among them, which is what makes a globally ordered log fast.
"""

import asyncio
from contextlib import suppress
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec
import structlog

from domain.log.event import Append, Appended, AppendResult, Conflict, Duplicate
from domain.log.ports import AppendRefused, StoreUnavailable
from domain.registry import encode, encode_metadata, event_type
from sql.log.append_queue import AppendQueue
from sql.log.hashing import event_hash
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
APPEND_TIMEOUT_S = 2.0
"""How long a command may wait for its answer before the caller is told to try again later."""
_CALL_TIMEOUT_S = 15.0
"""When a call is made again on a new connection; the server's own limit (10 s) comes first."""
_RETRY_S = 0.1


class _Waiting(msgspec.Struct, eq=False):
    """A command in the queue, encoded once, and the future of its result. `late`: nobody waits for it any more."""

    command: Append
    rows: tuple[tuple[UUID, str, int, bytes, bytes, bytes, datetime | None], ...]
    size: int
    result: "asyncio.Future[AppendResult]"
    late: bool = False


class GroupCommit:
    """The commands that wait for the log, and the task that brings them there."""

    def __init__(self, dsn: str, name: str, patience_s: float) -> None:
        self._dsn = dsn
        self._name = name
        self._queue = AppendQueue[_Waiting](MAX_QUEUED, lambda waiting: waiting.command.tenant_id)
        self._arrived = asyncio.Event()
        self._patience = Patience[_Waiting](patience_s, lambda waiting: waiting.result.done(), self._give_up)
        self._writer: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to write."""
        self._writer = asyncio.create_task(self._write_for_ever(), name="event store writer")

    async def close(self) -> None:
        """Stop writing, and refuse what waits."""
        if self._writer:
            self._writer.cancel()
            with suppress(asyncio.CancelledError):
                await self._writer
        for waiting in self._queue:
            _refuse(waiting, StoreUnavailable("the store is closing"))
        self._patience.close()

    async def append(self, command: Append) -> AppendResult:
        """See domain.log.ports.EventStore. A caller that is cancelled leaves its command to the writer."""
        if self._writer is None or self._writer.done():
            raise StoreUnavailable("the store is not open")
        if self._queue.is_full_for(command.tenant_id):
            raise StoreUnavailable("too many commands are waiting for the log")
        try:
            waiting = _encoded(command, asyncio.get_running_loop().create_future())
        except UnicodeEncodeError as error:
            raise AppendRefused(f"the events cannot be written as UTF-8: {error}") from error
        self._queue.add(waiting)
        self._arrived.set()
        self._patience.watch(waiting)
        return await waiting.result

    def _give_up(self, waiting: _Waiting) -> None:
        """The writer drops it, unless it is being sent."""
        waiting.late = True
        self._queue.drop(waiting)
        _refuse(waiting, StoreUnavailable("the log did not answer in time"))

    async def _write_for_ever(self) -> None:
        connection: Connection | None = None
        batch: list[_Waiting] = []
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
            self._dsn, f"{self._name} writer", lock_timeout="2s", synchronous_commit="on", statement_timeout="10s"
        )
        log.debug("event_store.connected")
        return connection

    def _split(self, batch: list[_Waiting], error: Exception) -> list[_Waiting]:
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

    async def _next_batch(self) -> list[_Waiting]:
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        batch: list[_Waiting] = []
        streams: set[object] = set()
        held: list[_Waiting] = []
        size = 0
        while self._queue and len(batch) < MAX_BATCH_COMMANDS and size < MAX_BATCH_BYTES:
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

    async def _write(self, connection: Connection, batch: list[_Waiting]) -> None:
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


def _encoded(command: Append, result: "asyncio.Future[AppendResult]") -> _Waiting:
    if not command.events:
        raise ValueError("an append needs at least one event")
    meta = encode_metadata(command.metadata)
    rows = []
    size = 0
    for new in command.events:
        kind = event_type(new.event)
        data = encode(new.event)
        digest = event_hash(
            kind=command.kind,
            stream_id=command.stream_id,
            tenant_id=command.tenant_id,
            ordering_key=command.ordering_key,
            event_id=new.event_id,
            type_=kind.name,
            schema_version=kind.schema_version,
            meta=meta,
            data=data,
        )
        rows.append((new.event_id, kind.name, kind.schema_version, meta, data, digest, new.due_at))
        size += len(data) + len(meta)
    return _Waiting(command, tuple(rows), size, result)


def _columns(batch: list[_Waiting]) -> list[list[object]]:
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
    return columns


def _result(row: "asyncpg.Record") -> AppendResult:
    match row[1]:
        case 0 | 1:
            return Appended(row[2], row[3])
        case 3:
            return Duplicate(row[4], row[3])
        case _:
            return Conflict(row[2])


def _refuse(waiting: _Waiting, error: Exception) -> None:
    if not waiting.result.done():
        waiting.result.set_exception(error)
        # The caller may be gone; asyncio warns of an exception that nobody retrieves.
        waiting.result.exception()


def _drop(connection: Connection | None) -> None:
    if connection is not None:
        connection.terminate()
