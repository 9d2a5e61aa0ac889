"""Archives: runs of a month as a compressed file in a directory or an S3-compatible store, and the way back.

A file is gzip of lines of JSON: a header, then each event in the order of the log, whole, then the content of files.
Whoever brings one back has each event held against the hash that the log has kept of it, files against the hash that
their run names, and all of a file comes back, or nothing.
"""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar
from uuid import UUID

import asyncpg
import msgspec
import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from consumers.scheduler.archived_files import Contents, FilePart, Returning, Unlike, counted, part_of, written
from domain.log.event import StoredEvent, StreamKind
from projections.engine.registry import BY_THEMSELVES, PROJECTIONS
from projections.stats import unseal_runs
from sql.log.forgetting import digest_of
from sql.postgres.pool import Connection, connect
from sql.postgres.queries import Queries

T = TypeVar("T")

log = structlog.get_logger()
_queries = Queries("queries/retention.sql")
_gates = Queries("queries/gates.sql")
_forgetting = Queries("queries/forgetting.sql")
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


def place(url: str) -> ObjectStore:
    """Where archives are: a directory, or `s3://bucket/prefix` with the AWS_… variables of the environment."""
    if "://" not in url:
        return LocalStore(Path(url).absolute(), mkdir=True)
    return from_url(url)


def sweep(url: str) -> None:
    """Remove what a killed process has left of files in a directory; by whoever is `alone`."""
    if "://" not in url:
        for left in Path(url).absolute().glob("*.gz#*"):
            left.unlink(missing_ok=True)


async def write(dsn: str, connection: Connection, store: ObjectStore, month: date) -> str:
    """Write the events of the runs of a month that a transaction has noted to a file of their own. Gives its name.

    That transaction is read committed: what was erased while others were waited for is not written.
    """
    async with alone(dsn):
        return await _write(connection, store, month)


async def remove(dsn: str, store: ObjectStore, name: str) -> None:
    """Remove a file that was written for nothing."""
    async with alone(dsn):
        await obstore.delete_async(store, name)
    log.info("archive.removed", name=name)


@asynccontextmanager
async def alone(dsn: str) -> AsyncIterator[None]:
    """Nobody else writes archives, or takes something out of them: so whoever looks through them sees whole files."""
    connection = await connect(dsn, "archives", statement_timeout="0")
    try:
        await connection.execute(_forgetting["lock_archives"])
        yield
    finally:
        connection.terminate()


async def _write(connection: Connection, store: ObjectStore, month: date) -> str:
    newest, runs = await connection.fetchrow(_queries["noted"]) or (None, 0)
    name = f"runs-{month:%Y-%m}-{newest.hex[-12:] if newest else ''}-{runs}.ndjson.gz"
    files = await counted(connection)
    header = Header(
        month=f"{month:%Y-%m}",
        runs=runs,
        files=files.files,
        file_bytes=files.bytes,
        files_elsewhere=files.elsewhere,
    )
    await obstore.put_async(store, name, compressed(_lines(connection, header, month)), use_multipart=True)
    log.info("archive.written", name=name, runs=runs, files=files.files, files_elsewhere=files.elsewhere)
    return name


async def _lines(connection: Connection, header: Header, month: date) -> AsyncIterator[bytes]:
    yield msgspec.json.encode(header) + b"\n"
    rows: list[bytes] = []
    async for row in connection.cursor(_queries["of_expired"], StreamKind.RUN, month, prefetch=EVENTS):
        event = StoredEvent(*row)
        rows.append(msgspec.json.encode(line_of(event)))
        if len(rows) == EVENTS:
            yield b"\n".join([*rows, b""])
            rows.clear()
    yield b"\n".join([*rows, b""])
    async for line in written(connection):
        yield line


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


async def bring_back(dsn: str, store: ObjectStore, name: str, tenant_id: UUID | None = None) -> int:
    """Bring all events of a file, or a tenant's, back to the log and to the read models. Gives how many.

    Raises NotAnArchive where it is none, or has other events than those that were dropped; then nothing has changed.
    """
    async with alone(dsn):
        count = await _bring_back(dsn, store, name, tenant_id)
    log.info("archive.brought_back", name=name, events=count)
    return count


async def _bring_back(dsn: str, store: ObjectStore, name: str, tenant_id: UUID | None) -> int:
    connection = await connect(dsn, "import", statement_timeout="0", search_path="rm")
    try:
        async with aclosing(read(store, name)) as pages:
            header = await anext(pages)
            assert isinstance(header, Header), "the first comes first"
            month = date.fromisoformat(f"{header.month}-01")
            await connection.execute(_queries["make_month"], month)
            async with connection.transaction():
                await _lock(connection)
                count, drops, files = 0, set[UUID](), Returning(connection)
                async for page in pages:
                    if isinstance(page, FilePart) and tenant_id in (None, page.tenant_id):
                        await files.take(page)
                    if not isinstance(page, list):
                        continue
                    page = [event for event in page if tenant_id in (None, event.tenant_id)]  # noqa: PLW2901 - narrowed
                    positions = [event.position for event in page]
                    drops |= {row[0] for row in await connection.fetch(_queries["drops_of"], positions)}
                    await _take(connection, page)
                    count += len(page)
                files.close()
                if await connection.fetchval(_queries["left_of"], sorted(drops)):
                    raise NotAnArchive("events are missing that were dropped with these")
                await connection.execute(_queries["forget_drops"], sorted(drops))
    except (Unlike, asyncpg.DataError) as error:
        raise NotAnArchive(str(error)) from None
    finally:
        connection.terminate()
    return count


async def check(dsn: str, store: ObjectStore, name: str, tenant_id: UUID) -> int:
    """Hold a tenant's events in a file against the log's hashes, and files against theirs. Gives how many events;
    raises NotAnArchive.
    """
    count, contents = 0, Contents()
    connection = await connect(dsn, "archive check")
    try:
        async with aclosing(read(store, name)) as pages:
            async for page in pages:
                if isinstance(page, FilePart) and page.tenant_id == tenant_id:
                    contents.take(page)
                mine = [event for event in page if event.tenant_id == tenant_id] if isinstance(page, list) else []
                digests = [digest_of(event, event.data) for event in mine]
                wrong = await connection.fetchval(_queries["unlike"], [event.position for event in mine], digests)
                if wrong is not None:
                    raise NotAnArchive(f"the event at position {wrong} is not as the log had it")
                count += len(mine)
        contents.close()
    except Unlike as error:
        raise NotAnArchive(str(error)) from None
    finally:
        connection.terminate()
    return count


async def size_of(url: str, name: str) -> int | None:
    """The bytes of a file; None where there is none, or it cannot be asked for."""
    try:
        return int((await obstore.head_async(place(url), name))["size"])
    except (FileNotFoundError, BaseError):
        return None


async def _lock(connection: Connection) -> None:
    for projection in (*PROJECTIONS, *BY_THEMSELVES):
        if not await connection.fetchval(_gates["try_lock_rebuild"], projection.name):
            raise NotAnArchive(f"the read model {projection.name} is being built anew: try again later")


async def _take(connection: Connection, events: list[StoredEvent]) -> None:
    try:
        await connection.execute(
            _queries["take_back"],
            [e.stream_id for e in events], [e.version for e in events], [e.position for e in events],
            [e.tenant_id for e in events], [e.ordering_key for e in events], [e.event_id for e in events],
            [e.type for e in events], [e.schema_version for e in events], [e.recorded_at for e in events],
            [e.meta for e in events], [e.data for e in events],
        )  # fmt: skip
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        raise NotAnArchive(str(error)) from None
    for projection in (*PROJECTIONS, *BY_THEMSELVES):
        handled = [event for event in events if event.type in projection.handles]
        if handled:
            await projection.apply(connection, handled)
    await unseal_runs(connection, events)


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
