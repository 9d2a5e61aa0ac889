"""The audit as one file: /api/v1/audit/export, a stream that takes as much memory as one page."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

import msgspec
import structlog
from litestar import Controller, get
from litestar.params import QueryParameter
from litestar.types import Receive, Scope, Send

from app.accounts.auth import AuthedRequest
from app.http.api.audit import FromTime, ToTime
from app.http.inputs import Injected
from app.http.openapi.notes import notes
from app.http.problems import NO_SNIFF
from app.http.requests import gives_body
from app.http.services import Services
from domain.account.identity import AuditExported
from domain.audit.entry import Entry
from domain.audit.written import Format, head, written
from domain.log.errors import DomainError
from domain.log.event import NewEvent
from domain.log.stream import facts
from projections.audit import AuditFilter, list_entries
from sql.postgres.pool import CONNECTION_ERRORS, Pool

log = structlog.get_logger()
NDJSON = "application/x-ndjson"
_TYPES = {"ndjson": NDJSON, "csv": "text/csv; charset=utf-8; header=present"}
PAGE = 500
"""Entries that are read, and sent, at a time."""
AT_ONCE, AT_ONCE_OF_ONE = 8, 2
"""Exports that are under way in one API process: of all accounts, and of one."""
STALL_S = 60.0
"""How long a client may leave what was sent unread before its export ends unfinished."""
After = Annotated[int, QueryParameter(ge=0, le=2**63 - 1, description="Only what is behind this position")]


class TooManyExports(DomainError, code="rate_limited"):
    """Others are under way."""

    retry_after_s = 10


class Exports:
    """How many there are at once."""

    def __init__(self) -> None:
        self._under_way: Counter[UUID] = Counter()

    def enter(self, tenant_id: UUID) -> None:
        """Begin one. Raises TooManyExports."""
        if self._under_way[tenant_id] >= AT_ONCE_OF_ONE or self._under_way.total() >= AT_ONCE:
            raise TooManyExports("other exports are under way: wait until one of them has ended")
        self._under_way[tenant_id] += 1

    def leave(self, tenant_id: UUID) -> None:
        """End one."""
        self._under_way[tenant_id] -= 1
        self._under_way += Counter()  # forgets who has none


class Export(msgspec.Struct, frozen=True):
    """The answer, as an ASGI application. It reads on when the client has read what was sent."""

    exports: Exports
    pool: Pool
    tenant_id: UUID
    format: Format
    wanted: AuditFilter

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send page by page. An answer without its last chunk tells the client that it is not complete."""
        gone = asyncio.create_task(left(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _headers(self.format)})
            async for page in pages(self.pool, self.tenant_id, self.format, self.wanted):
                if gone.done():
                    return
                async with asyncio.timeout(STALL_S):
                    await send({"type": "http.response.body", "body": page, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except CONNECTION_ERRORS as error:
            log.warning("audit.export_broken", tenant_id=str(self.tenant_id), error=repr(error))
        finally:
            gone.cancel()
            self.exports.leave(self.tenant_id)


async def pages(pool: Pool, tenant_id: UUID, wanted: Format, chosen: AuditFilter) -> AsyncIterator[bytes]:
    """The export, a page at a time; nothing is held between them."""
    if first := head(wanted):
        yield first
    while entries := await list_entries(pool, tenant_id, chosen):
        yield await asyncio.to_thread(written, entries, wanted)
        chosen = msgspec.structs.replace(chosen, after=entries[-1].position)


class AuditExportController(Controller):
    """Gives the audit away."""

    path = "/audit/export"
    tags = ("Audit",)

    @get("/", summary="Export the audit", operation_id="exportAudit",
         opt=notes("rate_limited", answer=Entry, media_type=NDJSON, texts=("text/csv",)))  # fmt: skip
    async def export(
        self,
        request: AuthedRequest,
        services: Injected[Services],
        exports: Injected[Exports],
        *,
        format_: Annotated[
            Format, QueryParameter(name="format", description="An entry a line as JSON, or a table")
        ] = "ndjson",
        from_: FromTime = None,
        to: ToTime = None,
        after: After = 0,
    ) -> Export:
        """All entries, oldest first, as `application/x-ndjson` or `text/csv`; streamed, whatever their number.

        To go on with an export that broke off, send the `position` of its last whole line as `after`. It is itself in
        the audit. In a table, a cell that a spreadsheet would take for a formula begins with `'`.
        """
        who, since, until = request.user, from_.at if from_ else None, to.at if to else None
        pool, wanted = services.store.pool, AuditFilter(from_=since, to=until, after=after, limit=PAGE)
        exports.enter(who.tenant_id)
        try:
            await list_entries(pool, who.tenant_id, msgspec.structs.replace(wanted, limit=1))  # it may not be built yet
            if gives_body(request):
                event = AuditExported(format=format_, from_=since, to=until, after=after)
                new = NewEvent(services.new_id(), event)
                await services.store.append(facts(who.user_id, who.tenant_id, new, metadata=who.metadata))
        except BaseException:
            exports.leave(who.tenant_id)
            raise
        return Export(exports, pool, who.tenant_id, format_, wanted)


def _headers(wanted: Format) -> list[tuple[bytes, bytes]]:
    fields = {
        **NO_SNIFF,
        "content-type": _TYPES[wanted],
        "content-disposition": f'attachment; filename="audit.{wanted}"',
        "x-accel-buffering": "no",
    }
    return [(name.encode(), value.encode()) for name, value in fields.items()]


async def left(receive: Receive) -> None:
    """Returns once the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
