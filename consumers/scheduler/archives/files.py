"""The files of archived runs: their content stands behind the events, piece by piece, and comes back with them.

Only what the database holds: what an object store has stays there until its run is dropped, and does not go along.
"""

import hashlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec

from domain.log.event import StreamKind
from sql.postgres.pool import Connection
from sql.postgres.queries import Queries

_queries = Queries("queries/archived_files.sql")
_files = Queries("queries/files.sql")
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_FIRST = UUID(int=0)
AT_ONCE = 500


class FileLine(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a run. Its content follows in lines of their own."""

    file: UUID
    owner_id: UUID
    tenant_id: UUID
    filename: str
    content_type: str
    size: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    began_us: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class ChunkLine(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the content, in base64, of the file and the run that it is of."""

    chunk: bytes
    number: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    file: UUID
    owner_id: UUID
    tenant_id: UUID


FilePart: TypeAlias = FileLine | ChunkLine
_file, _chunk = msgspec.json.Decoder(FileLine), msgspec.json.Decoder(ChunkLine)


class Unlike(ValueError):
    """Content that is not that of a run's file; the message says why."""


class Counted(msgspec.Struct, frozen=True):
    """The files that go along and their bytes, and how many do not, as an object store has them."""

    files: int
    bytes: int
    elsewhere: int


async def counted(connection: Connection) -> Counted:
    """Those of the runs that a transaction has noted."""
    row = await connection.fetchrow(_queries["files_of_noted"])
    assert row is not None, "aggregates have one row"
    return Counted(*row)


async def written(connection: Connection) -> AsyncIterator[bytes]:
    """The lines of these files, one piece in memory at a time."""
    last = _FIRST
    while rows := await connection.fetch(_queries["next_of_noted"], last, AT_ONCE):
        for id_, owner_id, tenant_id, filename, content_type, size, sha256, began_at in rows:
            began_us = (began_at - _EPOCH) // timedelta(microseconds=1)
            yield line_of(
                FileLine(
                    file=id_, owner_id=owner_id, tenant_id=tenant_id, filename=filename, content_type=content_type,
                    size=size, sha256=sha256.hex(), began_us=began_us,
                )
            )  # fmt: skip
            number = 0
            while (chunk := await connection.fetchval(_files["chunk"], id_, number)) is not None:
                yield line_of(ChunkLine(chunk=chunk, number=number, file=id_, owner_id=owner_id, tenant_id=tenant_id))
                number += 1
        last = rows[-1][0]


def line_of(part: FilePart) -> bytes:
    """A part as an archive has it."""
    return msgspec.json.encode(part) + b"\n"


def part_of(line: bytes) -> FilePart | None:
    """The part that a line is; None for an event. Raises msgspec.DecodeError."""
    if line.startswith(b'{"chunk":'):
        return _chunk.decode(line)
    return _file.decode(line) if line.startswith(b'{"file":') else None


class Contents:
    """Sees that the parts of files come in order, and that each file is whole. Raises Unlike."""

    def __init__(self) -> None:
        self._open: FileLine | None = None
        self._hash = hashlib.sha256()
        self._size = self._number = 0

    def take(self, part: FilePart) -> None:
        """The next part."""
        if isinstance(part, FileLine):
            self.close()
            self._open, self._hash, self._size, self._number = part, hashlib.sha256(), 0, 0
            return
        if self._open is None or (part.file, part.number) != (self._open.file, self._number):
            raise Unlike("a piece of a file is not where it belongs")
        self._hash.update(part.chunk)
        self._size, self._number = self._size + len(part.chunk), self._number + 1

    def close(self) -> None:
        """The file that was begun is whole."""
        file = self._open
        if file is not None and (self._size, self._hash.hexdigest()) != (file.size, file.sha256):
            raise Unlike(f"the content of the file {file.file} is not what was kept")
        self._open = None


class Returning:
    """Takes the parts of files one after the other, in a transaction that has their runs back; raises Unlike.

    A file is the one that its run names, in id and hash, or it is none; one that is there yet is left as it is.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._contents = Contents()
        self._is_new = False

    async def take(self, part: FilePart) -> None:
        """The next part."""
        self._contents.take(part)
        if isinstance(part, FileLine):
            self._is_new = await self._begin(part)
        elif self._is_new:
            await self._connection.execute(_files["keep_chunk"], part.file, part.number, part.chunk)

    def close(self) -> None:
        """There are no more parts."""
        self._contents.close()

    async def _begin(self, file: FileLine) -> bool:
        named = StreamKind.RUN, file.owner_id, file.tenant_id, str(file.file), file.sha256
        if not await self._connection.fetchval(_queries["is_named"], *named):
            raise Unlike(f"the file {file.file} is none that its run names")
        began_at = _EPOCH + timedelta(microseconds=file.began_us)
        is_new: bool = await self._connection.fetchval(
            _queries["file_back"], file.file, file.tenant_id, file.owner_id, file.filename, file.content_type,
            file.size, bytes.fromhex(file.sha256), began_at,
        )  # fmt: skip
        return is_new
