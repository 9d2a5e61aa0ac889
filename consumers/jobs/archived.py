"""Erasure in archives: runs that have left the log are forgotten where their payloads are yet.

What stays of a run goes on record first, then its file is written anew, beside the old one, and takes its place at
once. Whoever is killed between the two leaves a file with payloads, and begins anew: the file says whose they are.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection
from contextlib import aclosing
from typing import TypeAlias
from uuid import UUID

import msgspec
import obstore
import structlog
from obstore.store import ObjectStore

from consumers.jobs.erasures import Erased
from consumers.scheduler.archives.archive import alone, place, sweep
from consumers.scheduler.archives.files import FilePart
from consumers.scheduler.archives.files import line_of as file_line
from consumers.scheduler.archives.lines import Header, compressed, line_of, read
from domain.erasure.forgetting import forgotten, subject_key, subject_of
from domain.log.event import Metadata, StoredEvent
from domain.log.ports import NewId
from domain.registry import decode
from domain.run.events import RunRequested
from domain.zap.settings import DEFAULT
from projections.request_list import request_of
from projections.run_keys import settings_of, subject_secret
from projections.run_list import family
from sql.log.event_store import PgEventStore
from sql.log.forgetting import Of, digest_of, forget_dropped, forget_request, forgotten_of, is_forgotten
from sql.process.crash_points import reached

log = structlog.get_logger()
MOST_RELATIVES = 10_000
Erase: TypeAlias = Callable[[UUID, UUID, Metadata], Awaitable[Erased]]
"""Of a tenant, a run."""


class Wanted(msgspec.Struct, frozen=True):
    """Whose runs: by the keyed hash of the subject, and runs of before, of which others may have come."""

    tenant_id: UUID
    hashed: bytes
    of: frozenset[UUID]
    metadata: Metadata


class _Run(msgspec.Struct):
    """A run of a file: of each event its position, and the digest of what stays. `holds`: the file has more."""

    of: Of
    stays: list[tuple[int, bytes]] = []
    holds: bool = False


class ArchivedRuns:
    """Archives of a directory or an S3-compatible store. `erase_live` forgets a run that is in the log."""

    def __init__(self, store: PgEventStore, new_id: NewId, url: str, erase_live: Erase) -> None:
        self._store = store
        self._new_id = new_id
        self._url = url
        self._erase_live = erase_live

    async def erase(self, wanted: Wanted) -> int:
        """Forget all runs of a subject, and those that came of them. Gives how many were forgotten now.

        Raises NotAnArchive, StoreUnavailable, WrongStatus where one that came of them has not ended, and what
        connections and stores raise; a repeat goes on.
        """
        async with alone(self._store.dsn):
            sweep(self._url)
            files = place(self._url)
            found = await self._found(files, wanted)
            erased = 0
            for run_id in sorted({run_id for runs in found.values() for run_id in runs}):
                for relative in await family(self._store.pool, wanted.tenant_id, run_id, MOST_RELATIVES):
                    if relative != run_id:
                        erased += (await self._erase_live(wanted.tenant_id, relative, wanted.metadata)).runs
            return erased + sum([await self._forget(files, name, runs, wanted) for name, runs in found.items()])

    async def count(self, wanted: Wanted) -> int:
        """How many runs `erase` would find. Raises likewise."""
        found = await self._found(place(self._url), wanted)
        return sum(len(runs) for runs in found.values())

    async def _found(self, files: ObjectStore, wanted: Wanted) -> dict[str, set[UUID]]:
        """The runs by file. What came of a run may stand in a file that was looked through before."""
        names = sorted([one["path"] async for page in obstore.list(files) for one in page])
        paths: dict[UUID, str | None] = {}
        known = set(wanted.of)
        while True:
            before = len(known)
            found = {}
            for name in names:
                if name.endswith(".ndjson.gz"):
                    found[name] = await self._of(files, name, wanted, known, paths)
            if len(known) == before:
                return {name: runs for name, runs in found.items() if runs}

    async def _of(
        self, files: ObjectStore, name: str, wanted: Wanted, known: set[UUID], paths: dict[UUID, str | None]
    ) -> set[UUID]:
        secret = await subject_secret(self._store.pool)
        runs: set[UUID] = set()
        async with aclosing(_events(files, name)) as events:
            async for event in events:
                if event.tenant_id != wanted.tenant_id or event.version != 1:
                    continue
                requested = decode(event.type, event.schema_version, event.data)
                if not isinstance(requested, RunRequested):
                    continue
                parent = requested.parent.run_id if requested.parent else None
                path = await self._path(requested.zap_id, paths)
                subject = subject_of(requested.request, path) if path else ""
                is_of = subject and subject_key(secret, wanted.tenant_id, subject) == wanted.hashed
                if is_of or {event.stream_id, parent, requested.replay_of} & (known | runs):
                    runs.add(event.stream_id)
        known |= runs
        return runs

    async def _path(self, zap_id: UUID, paths: dict[UUID, str | None]) -> str | None:
        if zap_id not in paths:
            async with self._store.pool.acquire() as connection:
                paths[zap_id] = (await settings_of(connection, [zap_id])).get(zap_id, DEFAULT).subject
        return paths[zap_id]

    async def _forget(self, files: ObjectStore, name: str, run_ids: set[UUID], wanted: Wanted) -> int:
        runs = {run.of.run_id: run for run in await _whole(files, name, run_ids) if run.holds}
        erased = 0
        for run in runs.values():
            erased += await self._record(run, wanted.metadata)
            reached("scheduler.archive_recorded")
        if runs:
            await obstore.put_async(files, name, compressed(_without(files, name, runs.keys())), use_multipart=True)
            log.info("archive.erased", name=name, runs=len(runs))
            reached("scheduler.archive_rewritten")
        return erased

    async def _record(self, run: _Run, metadata: Metadata) -> int:
        """How many runs were forgotten by that."""
        pool, of = self._store.pool, run.of
        recorded, in_log = await forgotten_of(pool, [position for position, _digest in run.stays])
        if in_log:
            return (await self._erase_live(of.tenant_id, of.run_id, metadata)).runs
        if recorded < len(run.stays):
            await forget_dropped(pool, self._new_id, of, run.stays, metadata)
        position = await request_of(pool, of.tenant_id, of.zap_id, of.run_id)
        if position and not await is_forgotten(pool, position):
            for request in await self._store.read_log(position - 1, 1):
                await forget_request(pool, self._new_id, of, request, metadata)
        return int(recorded < len(run.stays))


async def _events(files: ObjectStore, name: str) -> AsyncGenerator[StoredEvent, None]:
    async with aclosing(read(files, name)) as pages:
        async for page in pages:
            for event in page if isinstance(page, list) else ():
                yield event


async def _whole(files: ObjectStore, name: str, run_ids: set[UUID]) -> list[_Run]:
    runs: dict[UUID, _Run] = {}
    async with aclosing(_events(files, name)) as events:
        async for event in events:
            if event.stream_id not in run_ids:
                continue
            if event.stream_id not in runs:
                requested = decode(event.type, event.schema_version, event.data)
                assert isinstance(requested, RunRequested), "it was found by that"
                of = Of(event.stream_id, requested.zap_id, event.tenant_id, event.ordering_key)
                runs[event.stream_id] = _Run(of)
            run, stays = runs[event.stream_id], forgotten(event.data)
            run.stays.append((event.position, digest_of(event, stays)))
            run.holds = run.holds or stays != event.data
    return list(runs.values())


async def _without(files: ObjectStore, name: str, run_ids: Collection[UUID]) -> AsyncIterator[bytes]:
    """The lines of a file, without the payloads and files of some runs."""
    async with aclosing(read(files, name)) as pages:
        async for page in pages:
            if isinstance(page, Header):
                yield msgspec.json.encode(page) + b"\n"
                continue
            if isinstance(page, FilePart):
                if page.owner_id not in run_ids:
                    yield file_line(page)
                continue
            lines = []
            for event in page:
                stays = forgotten(event.data) if event.stream_id in run_ids else event.data
                lines.append(msgspec.json.encode(line_of(msgspec.structs.replace(event, data=stays))))
            yield b"\n".join([*lines, b""])
