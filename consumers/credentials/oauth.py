"""Gets tokens for connections with OAuth: one refresh at a time, whoever asks, and in whatever process.

A lease in the row says who asks; the tokens are put by compare and set on their version. No connection to the database
is held while an authorization server thinks. Who waits reads the row again.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec
import structlog

from domain.connection.blot import Blot
from domain.connection.kinds import OAuth2
from domain.connection.oauth import Form, Refused, Tokens, answered, claims, renewal
from domain.connector.http_client import HttpClient, HttpRequest, Unreachable
from domain.log.ports import Clock
from sql.process.crash_points import reached
from sql.secrets.secret_box import SecretBox
from sql.tables.connections import ConnectionTables, SealedConnection, connection_context

log = structlog.get_logger()
ANSWER_S = 15.0
LEASE = timedelta(seconds=2 * ANSWER_S + 5)
"""Longer than the two requests of an exchange take, so that no other process sends the same refresh token meanwhile. A
process that died with the lease holds others up for so long."""
ASK_AGAIN_S = 0.1
PATIENCE_S = 25.0
LATER_S = 10.0
"""When to try again after an authorization server that fails."""
RECONNECT_S = 60.0
"""How often a run looks whether somebody has consented again."""
_SECRET = frozenset({"client_secret", "refresh_token", "code", "code_verifier", "assertion"})
"""Fields of a request for tokens."""
HttpOf = Callable[[UUID], HttpClient]
"""The way out of a workspace."""


class TokenSource:
    """The tokens of all connections, for one process. `lost` is told of connections that somebody has to reconnect."""

    def __init__(self, tables: ConnectionTables, http_of: HttpOf, clock: Clock) -> None:
        self._tables = tables
        self._http_of = http_of
        self._clock = clock
        self._under_way: dict[UUID, asyncio.Task[Tokens]] = {}
        self.lost: Callable[[UUID, SealedConnection, str], object] = lambda _tenant, _row, _why: None

    async def tokens(
        self, tenant_id: UUID, row: SealedConnection, setup: OAuth2, box: SecretBox, *, besides: str = ""
    ) -> Tokens:
        """Tokens that can be used now, other ones than `besides`. Raises Unreachable."""
        known = opened_tokens(row, box)
        if known is not None and known.last(self._clock()) and known.access_token != besides:
            return known
        task = self._under_way.get(row.id)
        if task is None:
            task = asyncio.create_task(self._renewed(tenant_id, row, setup, box, besides))
            self._under_way[row.id] = task
            task.add_done_callback(lambda _done: self._under_way.pop(row.id, None))
        return await asyncio.shield(task)

    async def traded(
        self, tenant_id: UUID, setup: OAuth2, form: Form, before: Tokens | None = None
    ) -> Tokens | Refused:
        """What a token endpoint answers to a request, with the client's credential. Raises Unreachable."""
        found = await self._asked(tenant_id, setup, form, before, basic=False)
        if isinstance(found, Refused) and found.code == "invalid_client" and setup.secrets.client_secret:
            return await self._asked(tenant_id, setup, form, before, basic=True)
        return found

    async def _renewed(
        self, tenant_id: UUID, row: SealedConnection, setup: OAuth2, box: SecretBox, besides: str
    ) -> Tokens:
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while asyncio.get_running_loop().time() < deadline:
            known = opened_tokens(row, box)
            if known is not None and known.last(self._clock()) and known.access_token != besides:
                return known
            if row.status == "needs_reconnect":
                raise _needs_reconnect(row)
            now = self._clock()
            if await self._tables.lease(row.id, row.token_version, now, now + LEASE):
                return await self._renew(tenant_id, row, setup, box, known)
            await asyncio.sleep(ASK_AGAIN_S)
            row = await self._read(tenant_id, row)
        raise Unreachable("token_unavailable", "another process is about to get a token", after_s=LATER_S)

    async def _renew(
        self, tenant_id: UUID, row: SealedConnection, setup: OAuth2, box: SecretBox, known: Tokens | None
    ) -> Tokens:
        form = renewal(setup, known, _assertion(setup, self._clock()))
        if form is None:
            return await self._lose(tenant_id, row, box, "nobody has consented yet, or there is no refresh token")
        try:
            found = await self.traded(tenant_id, setup, form, known)
        except Unreachable as error:
            await self._tables.release(row.id, row.token_version)
            raise Unreachable("token_unavailable", f"no token: {error.message}", after_s=LATER_S) from None
        if isinstance(found, Tokens):
            reached("runner.after_token")
            await self.keep(row, box, found)
            return found
        if found.for_good:
            return await self._lose(tenant_id, row, box, found.detail)
        await self._tables.release(row.id, row.token_version)
        raise Unreachable("token_unavailable", f"no token: {found.detail}", after_s=LATER_S)

    async def keep(self, row: SealedConnection, box: SecretBox, tokens: Tokens) -> bool:
        """Keep new tokens; False where others were kept meanwhile."""
        sealed = box.seal(msgspec.json.encode(tokens).decode(), connection_context(row.id))
        return await self._tables.put_tokens(
            row.id, row.token_version, sealed, expires_at=tokens.expires_at, at=self._clock()
        )

    async def _lose(self, tenant_id: UUID, row: SealedConnection, box: SecretBox, why: str) -> Tokens:
        """Somebody has to consent again, unless another process has got tokens meanwhile."""
        now = await self._read(tenant_id, row)
        known = opened_tokens(now, box)
        if now.token_version != row.token_version and known is not None and known.last(self._clock()):
            return known
        if await self._tables.lose(row.id, row.token_version):
            log.warning("connection.needs_reconnect", connection_id=str(row.id), why=why)
            self.lost(tenant_id, row, why)
        raise _needs_reconnect(row)

    async def _read(self, tenant_id: UUID, row: SealedConnection) -> SealedConnection:
        found = await self._tables.get(tenant_id, row.id)
        if found is None:
            raise Unreachable("connection_missing", "the connection does not exist any more", permanent=True)
        return found

    async def _asked(
        self, tenant_id: UUID, setup: OAuth2, form: Form, before: Tokens | None, *, basic: bool
    ) -> Tokens | Refused:
        config, secret = setup.config, setup.secrets.client_secret or ""
        headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")]
        if basic:
            headers.append(("Authorization", _basic(config.client_id, secret)))
        elif config.grant != "jwt_bearer":
            form = [*form, ("client_id", config.client_id), *([("client_secret", secret)] if secret else [])]
        request = HttpRequest(
            method="POST", url=config.token_url, headers=headers, body=urlencode(form).encode(), timeout_s=ANSWER_S
        )
        reply = await self._http_of(tenant_id).request(request)
        kind, now = reply.header("content-type"), self._clock()
        found = answered(reply.status, reply.body, kind, now, before)
        if isinstance(found, Tokens):
            return found
        return answered(reply.status, _blot(form, headers, secret).raw(reply.body), kind, now, before)


def _blot(form: Form, headers: list[tuple[str, str]], secret: str) -> Blot:
    """What a refusal may repeat of that which was sent, and which is told to people, logged and kept."""
    sent = [value for name, value in form if name in _SECRET]
    basic = [value.removeprefix("Basic ") for name, value in headers if name == "Authorization"]
    return Blot([secret, *sent, *basic])


def opened_tokens(row: SealedConnection, box: SecretBox) -> Tokens | None:
    """The tokens of a connection, if it has any."""
    if row.tokens is None:
        return None
    return msgspec.json.decode(box.open(row.tokens, connection_context(row.id)), type=Tokens)


def _needs_reconnect(row: SealedConnection) -> Unreachable:
    message = f"the connection {row.name!r} has to be reconnected: POST /api/v1/connections/{row.id}/reconnect"
    return Unreachable("needs_reconnect", message, after_s=RECONNECT_S)


def _assertion(setup: OAuth2, now: datetime) -> str:
    if setup.config.grant != "jwt_bearer" or not setup.secrets.private_key:
        return ""
    import jwt  # only service accounts need it

    try:
        return jwt.encode(claims(setup.config, now), setup.secrets.private_key, algorithm="RS256")
    except (ValueError, TypeError, jwt.PyJWTError):
        raise Unreachable(
            "bad_private_key", "the private key can not be read: PEM of an RSA key", permanent=True
        ) from None


def _basic(client_id: str, secret: str) -> str:
    """RFC 6749 §2.3.1."""
    import base64

    both = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return "Basic " + base64.b64encode(both.encode()).decode()
