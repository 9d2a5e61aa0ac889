"""Tries whether a connection is let in, by the call that a connector has for that, or any to one of its hosts."""

import asyncio
from uuid import UUID

import msgspec

from app.accounts.auth import Principal
from app.connections.probes import Probe, probe_of
from app.connections.stored import Connections
from consumers.connectors.http import request as perform
from consumers.credentials.armed import Armed
from consumers.credentials.credentials import Credentials
from consumers.outbound.targets import Targets
from domain.connection.kinds import HTTP_KINDS
from domain.connector.descriptor import ActionContext
from domain.connector.http_client import HttpRequest, Unreachable
from domain.connector.outcome import Postponed, Succeeded
from domain.declared.answers import settled
from domain.declared.file import Output
from domain.log.errors import Invalid
from domain.log.ports import Clock
from sql.tables.connections import SealedConnection, Status

TIMEOUT_S = 15.0
REFUSED = frozenset({401, 403})
MAY_NOT = 403
_ANY = Output(sample=None, response="auto")


class ConnectionTest(msgspec.Struct, frozen=True, kw_only=True):
    """What a test has shown. `http_status`: of the answer, null where none came."""

    ok: bool
    detail: str
    http_status: int | None
    status: Status


class ConnectionTests:
    """Tests connections of all tenants."""

    def __init__(self, connections: Connections, credentials: Credentials, targets: Targets, now: Clock) -> None:
        self._now = now
        self._connections = connections
        self._credentials = credentials
        self._targets = targets

    async def test(self, principal: Principal, row: SealedConnection, url: str | None) -> ConnectionTest:
        """Send a request with the credential. Raises Invalid where it is not known to where."""
        if row.kind not in HTTP_KINDS:
            raise Invalid(f"a connection of kind {row.kind} is tested by a step that uses it: POST /zaps/{{id}}/test")
        http = self._targets.of(principal.tenant_id, None)
        armed = Armed(http, self._credentials, principal.tenant_id, row.id)
        probe = None if url else await asyncio.to_thread(probe_of, row.kind, _first_host(row))
        if probe is not None:
            return await self._probed(principal, row, probe, armed)
        request = HttpRequest(method="GET", url=url or _default_url(row), timeout_s=TIMEOUT_S)
        try:
            reply = await armed.request(request)
        except Unreachable as error:
            return await self._result(principal, row, ok=False, detail=error.message, http_status=None)
        ok = reply.status < 500 and reply.status not in REFUSED
        words = "let it in" if ok else "did not let it in" if reply.status in REFUSED else "failed"
        detail = f"the host {words}: it answered {reply.status}"
        if reply.status in REFUSED or ok:
            await self._note(principal, row, ok=ok)
        return await self._result(principal, row, ok=ok, detail=detail, http_status=reply.status)

    async def _probed(self, principal: Principal, row: SealedConnection, probe: Probe, armed: Armed) -> ConnectionTest:
        """As the connector has it: a service may say no with a 200; a 403 means that it is for other things."""
        context = ActionContext(armed, f"test.{row.id}", UUID(int=0), self._now)
        try:
            answered = await perform({**probe.sent, "timeout_s": TIMEOUT_S, "response": "auto"}, context)
        except Unreachable as error:
            return await self._result(principal, row, ok=False, detail=error.message, http_status=None)
        found = None if isinstance(answered, Postponed) else answered.output
        status = found.get("status") if isinstance(found, dict) else None
        outcome = settled(answered, probe.rules, _ANY)
        if isinstance(outcome, Succeeded):
            ok, refused, said = True, False, f"{probe.connector} let it in"
        else:
            ok, refused = status == MAY_NOT, outcome.code in {"unauthorized", "http_401"}
            said = armed.text(outcome.message)
        if ok or refused:
            await self._note(principal, row, ok=ok)
        return await self._result(
            principal, row, ok=ok, detail=said, http_status=status if isinstance(status, int) else None
        )

    async def _note(self, principal: Principal, row: SealedConnection, *, ok: bool) -> None:
        opened = await self._credentials.open(principal.tenant_id, row.id)
        await self._credentials.note(principal.tenant_id, opened, "ok" if ok else "failed")

    async def _result(
        self, principal: Principal, row: SealedConnection, *, ok: bool, detail: str, http_status: int | None
    ) -> ConnectionTest:
        now = await self._connections.load(principal.tenant_id, row.id)
        return ConnectionTest(ok=ok, detail=detail, http_status=http_status, status=now.status)


def _default_url(row: SealedConnection) -> str:
    first = _first_host(row)
    if not first:
        reason = "say which URL is to be called: the connection names no host that is one for certain"
        raise Invalid(f"url: {reason}", errors=[{"path": "url", "reason": reason}])
    return f"https://{first}/"


def _first_host(row: SealedConnection) -> str:
    """The first host that it may be sent to; empty where that is not a certain one."""
    hosts = row.config.get("hosts")
    first = hosts[0] if isinstance(hosts, list) and hosts else "*"
    return first if isinstance(first, str) and not first.startswith("*") else ""
