"""Tries whether a connection is let in, by a request to one of its hosts."""

import msgspec

from app.accounts.auth import Principal
from app.connections.stored import Connections
from consumers.credentials.armed import Armed
from consumers.credentials.credentials import Credentials
from consumers.outbound.targets import Targets
from domain.connection.kinds import HTTP_KINDS
from domain.connector.http_client import HttpRequest, Unreachable
from domain.log.errors import Invalid
from sql.tables.connections import SealedConnection, Status

TIMEOUT_S = 15.0
REFUSED = frozenset({401, 403})


class ConnectionTest(msgspec.Struct, frozen=True, kw_only=True):
    """What a test has shown. `http_status`: of the answer, null where none came."""

    ok: bool
    detail: str
    http_status: int | None
    status: Status


class ConnectionTests:
    """Tests connections of all tenants."""

    def __init__(self, connections: Connections, credentials: Credentials, targets: Targets) -> None:
        self._connections = connections
        self._credentials = credentials
        self._targets = targets

    async def test(self, principal: Principal, row: SealedConnection, url: str | None) -> ConnectionTest:
        """Send a GET with the credential. Raises Invalid where it is not known to where."""
        if row.kind not in HTTP_KINDS:
            raise Invalid(f"a connection of kind {row.kind} is tested by a step that uses it: POST /zaps/{{id}}/test")
        http = self._targets.of(principal.tenant_id, None)
        armed = Armed(http, self._credentials, principal.tenant_id, row.id)
        request = HttpRequest(method="GET", url=url or _default_url(row), timeout_s=TIMEOUT_S)
        try:
            reply = await armed.request(request)
        except Unreachable as error:
            return await self._result(principal, row, ok=False, detail=error.message, http_status=None)
        ok = reply.status < 500 and reply.status not in REFUSED
        words = "let it in" if ok else "did not let it in" if reply.status in REFUSED else "failed"
        detail = f"the host {words}: it answered {reply.status}"
        if reply.status in REFUSED or ok:
            opened = await self._credentials.open(principal.tenant_id, row.id)
            await self._credentials.note(principal.tenant_id, opened, "ok" if ok else "failed")
        return await self._result(principal, row, ok=ok, detail=detail, http_status=reply.status)

    async def _result(
        self, principal: Principal, row: SealedConnection, *, ok: bool, detail: str, http_status: int | None
    ) -> ConnectionTest:
        now = await self._connections.load(principal.tenant_id, row.id)
        return ConnectionTest(ok=ok, detail=detail, http_status=http_status, status=now.status)


def _default_url(row: SealedConnection) -> str:
    hosts = row.config.get("hosts")
    first = hosts[0] if isinstance(hosts, list) and hosts else "*"
    if not isinstance(first, str) or first.startswith("*"):
        reason = "say which URL is to be called: the connection names no host that is one for certain"
        raise Invalid(f"url: {reason}", errors=[{"path": "url", "reason": reason}])
    return f"https://{first}/"
