"""Files of runs, to be downloaded: /api/v1/files/{id}."""

import asyncio
import re
from collections.abc import AsyncIterator
from urllib.parse import quote
from uuid import UUID

import msgspec
import structlog
from litestar import Controller, get
from litestar.params import FromPath
from litestar.types import Receive, Scope, Send

from app.accounts.auth import AuthedRequest
from app.http.api.audit_export import STALL_S, Exports, left
from app.http.inputs import Injected
from app.http.openapi.notes import notes
from app.http.problems import NO_SNIFF
from app.http.services import Services
from domain.account.identity import FileDownloaded
from domain.files.file import ANY_TYPE, File, FileError
from domain.log.errors import NotFound
from domain.log.event import NewEvent
from domain.log.ports import StoreUnavailable
from domain.log.stream import facts
from sql.files.store import FileStore

log = structlog.get_logger()
_PLAIN = re.compile(r"[^A-Za-z0-9._ -]")
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+")


class Download(msgspec.Struct, frozen=True):
    """The answer, as an ASGI application: it reads on when the client has read what was sent."""

    downloads: Exports
    tenant_id: UUID
    file: File
    content: AsyncIterator[bytes]

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send piece by piece. A file that is not as it was kept breaks off before its end."""
        gone = asyncio.create_task(left(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _headers(self.file)})
            async for piece in self.content:
                if gone.done():
                    return
                async with asyncio.timeout(STALL_S):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            self.downloads.leave(self.tenant_id)


class FileController(Controller):
    """Gives away what was kept."""

    path = "/files"
    tags = ("Runs",)

    @get("/{file_id:uuid}", summary="Download a file", operation_id="downloadFile",
         opt=notes("rate_limited", "unavailable", answer=msgspec.Raw, media_type=ANY_TYPE))  # fmt: skip
    async def download(
        self,
        file_id: FromPath[UUID],
        request: AuthedRequest,
        services: Injected[Services],
        files: Injected[FileStore],
        downloads: Injected[Exports],
    ) -> Download:
        """A file that a trigger or a step of a run has: `$file` of its reference is its id.

        It always comes as an attachment, whatever its type. It is there as long as its run, and the download itself is
        in the audit.
        """
        who = request.user
        try:
            kept = await files.find(who.tenant_id, file_id)
        except FileError as error:
            raise StoreUnavailable(error.message) from error
        if kept is None:
            raise NotFound("there is no such file, or not any more")
        downloads.enter(who.tenant_id)
        try:
            event = FileDownloaded(file_id=file_id, run_id=kept.owner_id, size=kept.file.size)
            new = NewEvent(services.new_id(), event)
            await services.store.append(facts(who.user_id, who.tenant_id, new, metadata=who.metadata))
        except BaseException:
            downloads.leave(who.tenant_id)
            raise
        return Download(downloads, who.tenant_id, kept.file, files.read(who.tenant_id, kept))


def _headers(file: File) -> list[tuple[bytes, bytes]]:
    """Nothing of what a stranger has sent may run in our origin: an attachment, of exactly its type, in a sandbox."""
    plain, exact = _PLAIN.sub("_", file.filename) or "file", quote(file.filename or "file", safe="")
    media_type = file.content_type.partition(";")[0].strip().lower()
    fields = {
        **NO_SNIFF,
        "content-type": media_type if _TYPE.fullmatch(media_type) else ANY_TYPE,
        "content-length": str(file.size),
        "content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}",
        "content-security-policy": "sandbox; default-src 'none'",
        "cache-control": "private, no-store",
        "x-accel-buffering": "no",
    }
    return [(name.encode(), value.encode()) for name, value in fields.items()]
