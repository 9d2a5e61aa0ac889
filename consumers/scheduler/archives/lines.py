"""The lines of an archive: a header, then each event, then the content of files; and how they are packed."""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Annotated, TypeVar
from uuid import UUID

import msgspec
import obstore
from obstore.store import ObjectStore

from consumers.scheduler.archives.files import FilePart, part_of
from domain.log.event import StoredEvent, StreamKind

T = TypeVar("T")
FORMAT = "triggerhub-archive-2"
FORMATS = ("triggerhub-archive-1", FORMAT)
"""The first one has no content of files."""
EVENTS = 2_000
"""Events that are read, or brought back, at once."""
PART = 8 * 2**20
"""Bytes that are written at once."""
PIECE = 2**16
"""Bytes that are unpacked at once: they may become a thousand times as many."""
MOST_LINE = 2**27
"""Bytes of a line: no event is as long, so whoever makes up such a file fills no memory."""
LEVEL = 3
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. `month`: of the runs, `2026-01` (UTC). `files`: whose content was written with them, of
    `file_bytes` in all; `files_elsewhere`: whose content was not, as an object store has it.
    """

    format: str = FORMAT
    month: Annotated[str, msgspec.Meta(pattern=r"^[12]\d{3}-(0[1-9]|1[0-2])\Z")]
    runs: int
    files: int = 0
    file_bytes: int = 0
    files_elsewhere: int = 0


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """An event. `recorded_us`: microseconds since 1970. `meta` and `data` are JSON as it is stored."""

    position: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    recorded_us: int
    stream_id: UUID
    tenant_id: UUID
    ordering_key: UUID
    event_id: UUID
    type: str
    schema_version: Annotated[int, msgspec.Meta(ge=0, le=2**15 - 1)]
    meta: str
    data: str


class NotAnArchive(Exception):
    """What is wrong with a file."""


_header, _line = msgspec.json.Decoder(Header), msgspec.json.Decoder(Line)


def line_of(event: StoredEvent) -> Line:
    """An event as an archive has it."""
    return Line(
        position=event.position,
        version=event.version,
        recorded_us=(event.recorded_at - _EPOCH) // timedelta(microseconds=1),
        stream_id=event.stream_id,
        tenant_id=event.tenant_id,
        ordering_key=event.ordering_key,
        event_id=event.event_id,
        type=event.type,
        schema_version=event.schema_version,
        meta=event.meta.decode(),
        data=event.data.decode(),
    )


async def compressed(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A file of lines, part by part."""
    packer, part = zlib.compressobj(LEVEL, wbits=31), bytearray()
    async for some in lines:
        part += packer.compress(some)
        if len(part) >= PART:
            yield bytes(part)
            part.clear()
    yield bytes(part) + packer.flush()


async def read(store: ObjectStore, name: str) -> AsyncGenerator[Header | list[StoredEvent] | FilePart, None]:
    """The header, then the events in portions, then files part by part. Raises NotAnArchive."""
    found: list[StoredEvent] = []
    async with aclosing(_unpacked(store, name)) as lines:
        header = _decoded(_header, await anext(lines, b""))
        if header.format not in FORMATS:
            raise NotAnArchive(f"the file is of the format {header.format!r}, not {FORMAT!r}")
        yield header
        async for line in lines:
            part = _part(line)
            if part is None:
                found.append(_event(line))
            if found and (part is not None or len(found) == EVENTS):
                yield found
                found = []
            if part is not None:
                yield part
    if found:
        yield found


def _part(line: bytes) -> FilePart | None:
    try:
        return part_of(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotAnArchive(f"a line is not as in an archive: {error}") from None


def _event(line: bytes) -> StoredEvent:
    try:
        return event_of(_decoded(_line, line))
    except OverflowError:
        raise NotAnArchive("a line has a time that there is not") from None


def _decoded(decoder: "msgspec.json.Decoder[T]", line: bytes) -> T:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotAnArchive(f"a line is not as in an archive: {error}") from None


async def _unpacked(store: ObjectStore, name: str) -> AsyncGenerator[bytes, None]:
    """The lines of a file."""
    unpacker, rest = zlib.decompressobj(wbits=31), b""
    try:
        async for part in (await obstore.get_async(store, name)).stream(min_chunk_size=PIECE):
            *lines, rest = (rest + unpacker.decompress(bytes(part))).split(b"\n")
            if len(rest) > MOST_LINE:
                raise NotAnArchive("a line is longer than any in an archive")
            for line in lines:
                yield line
    except FileNotFoundError:
        raise NotAnArchive(f"there is no file {name}") from None
    except zlib.error as error:
        raise NotAnArchive(f"the file is damaged: {error}") from None
    if rest or not unpacker.eof:
        raise NotAnArchive("the file ends in the middle")
    if unpacker.unused_data:
        raise NotAnArchive("the file goes on behind its end")


def event_of(line: Line) -> StoredEvent:
    return StoredEvent(
        position=line.position,
        kind=StreamKind.RUN,
        stream_id=line.stream_id,
        version=line.version,
        tenant_id=line.tenant_id,
        ordering_key=line.ordering_key,
        event_id=line.event_id,
        type=line.type,
        schema_version=line.schema_version,
        recorded_at=_EPOCH + timedelta(microseconds=line.recorded_us),
        meta=line.meta.encode(),
        data=line.data.encode(),
    )
