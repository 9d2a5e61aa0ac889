"""Archives: runs of a month as a compressed file in a directory or an S3-compatible store, and the way back.

A file is gzip of lines of JSON: a header, then each event in the order of the log, whole, then the content of files.
Whoever brings one back has each event held against the hash that the log has kept of it, files against the hash that
their run names, and all of a file comes back, or nothing.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import date
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec
import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from consumers.scheduler.archives.files import Contents, FilePart, Returning, Unlike, counted, written
from consumers.scheduler.archives.lines import EVENTS, Header, NotAnArchive, compressed, line_of, read
from domain.log.event import StoredEvent, StreamKind
from projections.engine.registry import BY_THEMSELVES, PROJECTIONS
from projections.stats import unseal_runs
from sql.log.forgetting import digest_of
from sql.postgres.pool import Connection, connect
from sql.postgres.queries import Queries

log = structlog.get_logger()
_queries = Queries("queries/retention.sql")
_gates = Queries("queries/gates.sql")
_forgetting = Queries("queries/forgetting.sql")


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
