"""Connectors made of the descriptions that services publish of their APIs."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from app.accounts.auth import Principal
from app.connectors.added import ConnectorDetail, Connectors
from app.connectors.affected import AffectedZap, affected_by
from consumers.importing.child import imported
from consumers.outbound.targets import Targets
from domain.connector.http_client import HttpRequest, Unreachable
from domain.declared.file import ConnectorFile
from domain.imported.document import MAX_DOCUMENT, Unusable, Wish, difference
from domain.imported.operations import OperationItem
from domain.log.errors import Invalid, NotFound
from sql.log.event_store import PgEventStore

FETCH_S = 30.0


class ImportChanges(msgspec.Struct, frozen=True):
    """What another version would change, by the ids of operations."""

    added: Sequence[str]
    changed: Sequence[str]
    removed: Sequence[str]


class ConnectorImport(msgspec.Struct, frozen=True, kw_only=True):
    """An import, or its preview: then `connector` is null. `operations`: all that the document has.

    `affected`: the zaps whose drafts name what is changed or removed. What they have published stays as it is.
    """

    name: str
    version: str
    dry_run: bool
    base_url: str
    connection_kind: str
    operations: Sequence[OperationItem]
    chosen: int
    changes: ImportChanges
    affected: Sequence[AffectedZap]
    connector: ConnectorDetail | None = None


class Imports:
    """Imports of all tenants. Methods raise Invalid for what can't be imported."""

    def __init__(self, store: PgEventStore, connectors: Connectors, targets: Targets) -> None:
        self._store = store
        self._connectors = connectors
        self._targets = targets

    async def make(
        self, principal: Principal, content: bytes | None, url: str | None, wish: Wish, *, dry_run: bool
    ) -> ConnectorImport:
        """Read a document, given or fetched, and keep what was wished for of it as the next version."""
        before = await self._before(principal.tenant_id, wish.name)
        version = _next(before.version) if before else wish.version
        document = await self._fetched(principal.tenant_id, url) if content is None and url else content or b""
        try:
            wanted = msgspec.structs.replace(wish, version=version, at=url or "")
            listed = await imported(principal.tenant_id, document, wanted)
        except Unusable as error:
            raise Invalid(str(error), errors=list(error.errors)) from None
        file = listed.file
        found = difference(before, file) if before else None
        changes = ImportChanges(
            found.added if found else list(file.actions), found.changed if found else [], found.removed if found else []
        )
        reached = {*changes.changed, *changes.removed}
        affected = await affected_by(self._store, principal.tenant_id, wish.name, reached)
        detail = None
        if not dry_run and (found is None or found.added or found.changed or found.removed):
            detail = await self._connectors.keep(principal, file, "imported")
        elif not dry_run:
            detail = await self._connectors.detail(principal.tenant_id, wish.name, None)
        return ConnectorImport(
            name=wish.name,
            version=detail.connector.version if detail else version,
            dry_run=dry_run,
            base_url=file.base_url,
            connection_kind=file.connection.kind,
            operations=listed.operations,
            chosen=len(file.actions),
            changes=changes,
            affected=affected,
            connector=detail,
        )

    async def _before(self, tenant_id: UUID, name: str) -> ConnectorFile | None:
        try:
            return await self._connectors.file(tenant_id, name)
        except NotFound:
            return None

    async def _fetched(self, tenant_id: UUID, url: str) -> bytes:
        http = self._targets.of(tenant_id, None)
        try:
            reply = await http.request(HttpRequest(method="GET", url=url, timeout_s=FETCH_S, max_bytes=MAX_DOCUMENT))
        except Unreachable as error:
            raise Invalid(f"url: {error.message}") from None
        if reply.status != 200 or reply.truncated:
            what = f"has more than {MAX_DOCUMENT:,} bytes" if reply.truncated else f"is answered {reply.status}"
            raise Invalid(f"url: the document {what}")
        return reply.body


def _next(version: str) -> str:
    major, minor, _patch = version.split(".")
    return f"{major}.{int(minor) + 1}.0"
