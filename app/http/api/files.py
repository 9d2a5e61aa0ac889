"""Files of runs, to be downloaded: /api/v1/files/{id}."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import quote
from uuid import UUID

import msgspec
import structlog
from litestar import Controller, get
from litestar.params import FromPath, HeaderParameter
from litestar.types import Receive, Scope, Send

from app.accounts.auth import AuthedRequest
from app.http.api.audit_export import STALL_S, Exports, left
from app.http.inputs import Injected
from app.http.openapi.notes import notes
from app.http.problems import NO_SNIFF, Problem
from app.http.requests import gives_body
from app.http.services import Services
from domain.account.identity import FileDownloaded
from domain.files.file import ANY_TYPE, File, FileError
from domain.files.span import NoSuchRange, Span, span_of
from domain.log.errors import NotFound
from domain.log.event import NewEvent
from domain.log.ports import StoreUnavailable
from domain.log.stream import facts
from sql.files.store import FileStore

log = structlog.get_logger()
_PLAIN = re.compile(r"[^A-Za-z0-9._ -]")
Range = Annotated[str | None, HeaderParameter(name="Range", description="One range of bytes, such as `bytes=0-1023`")]
IfRange = Annotated[
    str | None, HeaderParameter(name="If-Range", description="The ETag of the part that you have: else all comes anew")
]
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+")


class Download(msgspec.Struct, frozen=True):
    """The answer, as an ASGI application: it reads on when the client has read what was sent."""

    downloads: Exports
    tenant_id: UUID
    file: File
    content: AsyncIterator[bytes]
    span: Span | None = None

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send piece by piece. A file that is not as it was kept breaks off before its end."""
        gone = asyncio.create_task(left(receive))
        try:
            status, headers = 206 if self.span else 200, _headers(self.file, self.span)
            await send({"type": "http.response.start", "status": status, "headers": headers})
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
         opt=notes("rate_limited", "range_not_satisfiable", "unavailable",
                   answer=msgspec.Raw, statuses={206: msgspec.Raw}, media_type=ANY_TYPE))  # fmt: skip
    async def download(
        self,
        file_id: FromPath[UUID],
        request: AuthedRequest,
        services: Injected[Services],
        files: Injected[FileStore],
        downloads: Injected[Exports],
        *,
        range_: Range = None,
        if_range: IfRange = None,
    ) -> Download:
        """A file that a trigger or a step of a run has: `$file` of its reference is its id.

        It always comes as an attachment, whatever its type. It is there as long as its run, and the download itself is
        in the audit. With `Range: bytes=…` it gives that part (RFC 9110 §14), so that a download can go on where it
        broke off; the ETag is the SHA-256 of the whole file, against which to check it.
        """
        who = request.user
        try:
            kept = await files.find(who.tenant_id, file_id)
        except FileError as error:
            raise StoreUnavailable(error.message) from error
        if kept is None:
            raise NotFound("there is no such file, or not any more")
        wanted = range_ if if_range in (None, _etag(kept.file)) else None
        span = _span(wanted, kept.file.size) if wanted else None
        downloads.enter(who.tenant_id)
        try:
            if gives_body(request):
                event = FileDownloaded(file_id=file_id, run_id=kept.owner_id, size=kept.file.size)
                new = NewEvent(services.new_id(), event)
                await services.store.append(facts(who.user_id, who.tenant_id, new, metadata=who.metadata))
        except BaseException:
            downloads.leave(who.tenant_id)
            raise
        return Download(downloads, who.tenant_id, kept.file, files.read(who.tenant_id, kept, span), span)


def _span(wanted: str, size: int) -> Span | None:
    try:
        return span_of(wanted, size)
    except NoSuchRange as error:
        headers = {"content-range": f"bytes */{size}"}
        raise Problem("range_not_satisfiable", str(error), headers=headers) from None


def _etag(file: File) -> str:
    return f'"{file.sha256}"'


def _headers(file: File, span: Span | None) -> list[tuple[bytes, bytes]]:
    """Nothing of what a stranger has sent may run in our origin: an attachment, of exactly its type, in a sandbox."""
    plain, exact = _PLAIN.sub("_", file.filename) or "file", quote(file.filename or "file", safe="")
    media_type = file.content_type.partition(";")[0].strip().lower()
    fields = {
        **NO_SNIFF,
        "content-type": media_type if _TYPE.fullmatch(media_type) else ANY_TYPE,
        "content-length": str(span.end - span.start if span else file.size),
        **({"content-range": f"bytes {span.start}-{span.end - 1}/{file.size}"} if span else {}),
        "accept-ranges": "bytes",
        "etag": _etag(file),
        "content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}",
        "content-security-policy": "sandbox; default-src 'none'",
        "cache-control": "private, no-store",
        "x-accel-buffering": "no",
    }
    return [(name.encode(), value.encode()) for name, value in fields.items()]
