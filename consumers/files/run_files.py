"""The files of one run: those that it may use, and those that its steps keep.

A reference may have been written by anybody: by a stranger into a request, by a user into a definition. So a file is
found only for the runs that had it from us: those of one family, which hangs together by loops, calls and replays.
"""

from collections.abc import AsyncIterator
from typing import Protocol
from uuid import UUID

import msgspec

from consumers.files.places import Places
from domain.connection.blot import NOTHING, Blot
from domain.files.file import File, FileError, Files, file_of, files_in
from domain.log.event import StreamKind
from domain.log.ports import StoreUnavailable
from domain.registry import decode
from domain.run.events import RunRequested
from domain.values.json import Json
from sql.files.store import FileStore, Kept
from sql.log.event_store import PgEventStore

MOST_ABOVE = 100
"""Runs that are climbed from one to the next; loops, calls and replays make chains of a few."""


class FilesOf(Protocol):
    """Where the steps of runs get their files from."""

    def of(self, tenant_id: UUID, run_id: UUID, requested: RunRequested, blot: Blot = NOTHING) -> Files:
        """Those of a run. `blot` takes out what may not be kept."""


class AllFiles(msgspec.Struct, frozen=True):
    """Where a runner gets the files of its runs from."""

    store: FileStore
    events: PgEventStore
    reading: Places = msgspec.field(default_factory=Places)
    keeping: Places = msgspec.field(default_factory=Places)

    def of(self, tenant_id: UUID, run_id: UUID, requested: RunRequested, blot: Blot = NOTHING) -> "RunFiles":
        """See FilesOf."""
        return RunFiles(self, tenant_id, run_id, requested, blot)


class RunFiles(msgspec.Struct, frozen=True):
    """domain.files.file.Files."""

    all: AllFiles
    tenant_id: UUID
    run_id: UUID
    requested: RunRequested
    blot: Blot

    async def find(self, value: Json) -> File:
        """See Files."""
        return (await self._kept(value)).file

    async def read(self, file: File) -> AsyncIterator[bytes]:
        """See Files."""
        kept = await self._kept(file.value())
        async with self.all.reading.of(self.tenant_id):
            async for piece in self.all.store.read(self.tenant_id, kept):
                yield piece

    async def keep(
        self, content: AsyncIterator[bytes], *, filename: str = "", content_type: str = "", most: int | None = None
    ) -> File:
        """See Files."""
        content = self.blot.stream(content) if self.blot else content
        async with self.all.keeping.of(self.tenant_id):
            return await self.all.store.keep(
                self.tenant_id, self.run_id, content, filename=filename, content_type=content_type, most=most
            )

    async def _kept(self, value: Json) -> Kept:
        claimed = file_of(value)
        if claimed is None:
            raise _refused("this is no reference to a file")
        kept = await self.all.store.find(self.tenant_id, claimed.id)
        if kept is None:
            raise FileError("file_missing", f"there is no file {claimed.id}, or not any more")
        if (kept.file.sha256, kept.file.size) != (claimed.sha256, claimed.size):
            raise _refused(f"the reference to the file {claimed.id} was changed")
        if kept.owner_id != self.run_id and not await self._is_ours(kept):
            raise _refused(f"the file {claimed.id} belongs to another run")
        return kept

    async def _is_ours(self, kept: Kept) -> bool:
        """Whether the file is of this run's family, or came with the request that began it."""
        first, requested = await self._first(self.run_id, self.requested)
        if any(value["$file"] == str(kept.file.id) for value in files_in(requested.request.kept)):
            return True
        theirs = await self._requested(kept.owner_id)
        return theirs is not None and (await self._first(kept.owner_id, theirs))[0] == first

    async def _first(self, run_id: UUID, requested: RunRequested) -> tuple[UUID, RunRequested]:
        """The run at the top of a family."""
        for _ in range(MOST_ABOVE):
            above = requested.parent.run_id if requested.parent else requested.replay_of
            found = await self._requested(above) if above else None
            if above is None or found is None:
                break
            run_id, requested = above, found
        return run_id, requested

    async def _requested(self, run_id: UUID) -> RunRequested | None:
        """How a run of the same workspace began; None where it is gone."""
        try:
            events, _more = await self.all.events.stream_page(StreamKind.RUN, run_id, 0, 1)
        except StoreUnavailable as error:
            raise FileError("files_unavailable", "the log can't be asked whose the file is", retry=True) from error
        if not events or events[0].tenant_id != self.tenant_id:
            return None
        event = decode(events[0].type, events[0].schema_version, events[0].data)
        return event if isinstance(event, RunRequested) else None


def _refused(message: str) -> FileError:
    return FileError("file_refused", f"{message}: a step may use the files of its own run only")
