"""The files of all tenants: kept and read as streams, bounded, each with an owner, and gone with it.

A file belongs to a stream of the log, which has to name it. It is kept first and named afterwards, so a crash between
the two leaves a file that nobody can use; `sweep` finds it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import asyncpg
import msgspec
import structlog

from domain.files.file import File, FileError, named, typed
from domain.files.span import Span
from domain.log.event import StreamKind
from domain.log.ports import Clock, NewId
from sql.files.chunks import Chunks
from sql.files.objects import Objects
from sql.files.pieces import Measured, proven
from sql.postgres.pool import CONNECTION_ERRORS, Connection, Pool
from sql.postgres.queries import Queries

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

log = structlog.get_logger()
T = TypeVar("T")
_queries = Queries("queries/files.sql")
LEFT_S = 3_600.0
"""A file that is not named after so long is looked at: it goes if its stream has ended, or never began."""
LEFT_FOR_GOOD_S = 24 * 3_600.0
"""After so long it goes in any case: no attempt of a step takes that long."""
AT_ONCE = 500
OWNERS = [int(StreamKind.RUN), int(StreamKind.REQUEST)]
_ENDS = [f"zap.run.{end}" for end in ("completed", "filtered", "failed", "timed_out", "cancelled")]
_FIRST = UUID(int=0)


class FileLimits(msgspec.Struct, frozen=True):
    """Bytes of one file, and of all files of a workspace."""

    of_file: int = 256 * 2**20
    of_workspace: int = 10 * 2**30


class Kept(msgspec.Struct, frozen=True):
    """A whole file, whose it is, and whether an object store has its bytes."""

    file: File
    owner_id: UUID
    in_store: bool


class FileStore:
    """`url`: the directory or object store that gets the bytes of new files; without one the database does."""

    def __init__(
        self, pool: Pool, clock: Clock, new_id: NewId, *, url: str = "", limits: FileLimits | None = None
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._new_id = new_id
        self.limits = limits or FileLimits()
        self._chunks = Chunks(pool)
        self._objects = Objects(url) if url else None
        self._errors: tuple[type[Exception], ...] = (
            *CONNECTION_ERRORS,
            asyncpg.PostgresError,
            *(self._objects.errors if self._objects else ()),
        )

    async def keep(
        self,
        tenant_id: UUID,
        owner_id: UUID,
        content: AsyncIterator[bytes],
        *,
        filename: str = "",
        content_type: str = "",
        most: int | None = None,
    ) -> File:
        """Keep content as it comes. Raises FileError, and what the content raises; nothing is kept then."""
        file_id, filename, content_type = self._new_id(), named(filename), typed(content_type)
        measured = Measured(content, self.limits.of_file if most is None else min(most, self.limits.of_file))
        begun = file_id, tenant_id, owner_id, filename, content_type, self._objects is not None, self._clock()
        await self._answered(lambda: self._begin(begun))
        try:
            where = self._objects or self._chunks
            await self._answered(lambda: where.write(tenant_id, file_id, measured.pieces()), measured)
            await self._answered(lambda: self._seal(file_id, measured))
        except BaseException:
            with suppress(*self._errors):
                await self.forget([file_id])
            raise
        return File(
            id=file_id,
            sha256=measured.digest.hex(),
            size=measured.size,
            content_type=content_type,
            filename=filename,
        )

    async def find(self, tenant_id: UUID, file_id: UUID) -> Kept | None:
        """A whole file of a tenant. Raises FileError where nobody can tell now."""
        row = await self._answered(lambda: self._pool.fetchrow(_queries["file"], file_id, tenant_id))
        return _kept(row) if row else None

    async def read(self, tenant_id: UUID, kept: Kept, span: Span | None = None) -> AsyncIterator[bytes]:
        """The content, piece by piece; see domain.files.file.Files. Of a part only, the hash is not checked."""
        where = self._objects if kept.in_store else self._chunks
        if where is None:
            raise FileError("files_unavailable", "the object store of this file is not set here", retry=True)
        content = where.read(tenant_id, kept.file.id, span or Span(0, kept.file.size))
        try:
            async for piece in content if span else proven(kept.file, content):
                yield piece
        except self._errors as error:
            raise _unavailable(error) from error

    async def forget(self, file_ids: Sequence[UUID]) -> int:
        """Forget files, with their bytes. Gives how many there were."""
        gone: int = await self._pool.fetchval(_queries["forget_files"], list(file_ids), [])
        await self._delete_objects(gone)
        return gone

    async def forget_of(self, owners: Sequence[UUID]) -> int:
        """Forget all files of some streams, with their bytes. Gives how many there were."""
        gone = await forget_rows(self._pool, owners)
        await self._delete_objects(gone)
        return gone

    async def sweep(self) -> int:
        """Forget what crashes have left behind, and gives how many files that were."""
        left, last, began = 0, _FIRST, datetime.fromisoformat("1970-01-01T00:00:00+00:00")
        now = self._clock()
        while True:
            rows = await self._pool.fetch(
                _queries["doubtful_files"], now - timedelta(seconds=LEFT_S), began, last, OWNERS, _ENDS, AT_ONCE
            )
            if not rows:
                break
            last, began = rows[-1]["id"], rows[-1]["began_at"]
            await self._pool.execute(_queries["settle_files"], [row["id"] for row in rows if row["is_named"]])
            too_old = now - timedelta(seconds=LEFT_FOR_GOOD_S)
            gone = [row["id"] for row in rows if not row["is_named"] and (row["is_over"] or row["began_at"] < too_old)]
            left += await self.forget(gone)
        await self._delete_objects(1)
        if left:
            log.info("files.swept", files=left)
        return left

    async def _begin(self, row: tuple[object, ...]) -> None:
        taken: int = await self._pool.fetchval(_queries["room_taken"], row[1])
        if taken >= self.limits.of_workspace:
            raise _full(self.limits)
        await self._pool.execute(_queries["begin_file"], *row)

    async def _seal(self, file_id: UUID, measured: Measured) -> None:
        sealed = file_id, measured.size, measured.digest, self.limits.of_workspace
        async with self._pool.acquire() as connection, connection.transaction():
            if await connection.fetchval(_queries["seal_file"], *sealed) is None:
                raise _full(self.limits)

    async def _delete_objects(self, gone: int) -> None:
        """What an object store has of files that are gone. What cannot be deleted now is deleted by the next sweep."""
        if self._objects is None or not gone:
            return
        while rows := await self._pool.fetch(_queries["gone_objects"], AT_ONCE):
            try:
                for row in rows:
                    await self._objects.delete(row["tenant_id"], row["file_id"])
            except self._objects.errors as error:
                log.warning("files.objects_left", error=repr(error))
                return
            await self._pool.execute(_queries["object_deleted"], [row["file_id"] for row in rows])

    async def _answered(self, ask: Callable[[], Awaitable[T]], measured: Measured | None = None) -> T:
        try:
            return await ask()
        except self._errors as error:
            if measured is not None and measured.error is not None:
                raise measured.error from error
            raise _unavailable(error) from error


async def hand_over(pool: Pool, request_id: UUID | None, run_id: UUID) -> None:
    """The files of a request that was held, or refused, belong to the run that it became."""
    await pool.execute(_queries["hand_over_files"], request_id, run_id)


async def forget_rows(connection: Connection | Pool, owners: Sequence[UUID]) -> int:
    """Forget all files of some streams in a transaction of the caller's; a sweep deletes what an object store has."""
    gone: int = await connection.fetchval(_queries["forget_files"], [], list(owners))
    return gone


async def forget_files_of_requests(connection: "Connection | PoolConnectionProxy[asyncpg.Record]", month: date) -> None:
    """Forget the files of all requests of a month, in the transaction that drops them from the log."""
    rows = await connection.fetch(_queries["files_of_requests"], month)
    await connection.execute(_queries["forget_files"], [row["id"] for row in rows], [])


def _kept(row: "asyncpg.Record") -> Kept:
    file = File(
        id=row["id"],
        sha256=row["sha256"].hex(),
        size=row["size"],
        content_type=row["content_type"],
        filename=row["filename"],
    )
    return Kept(file, row["owner_id"], row["in_store"])


def _full(limits: FileLimits) -> FileError:
    return FileError("files_full", f"the files of a workspace may have {limits.of_workspace:,} bytes in all")


def _unavailable(error: Exception) -> FileError:
    log.warning("files.unavailable", error=repr(error))
    return FileError("files_unavailable", "the place where files are kept can't be reached now", retry=True)
