"""Authentication: from bearer credentials to a Principal, and the guard of every private route."""

import re
from datetime import datetime
from typing import Any, TypeAlias, cast
from uuid import UUID

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard, HTTPScope

from app.accounts.refusals import Refusals
from app.accounts.tokens import BadToken, Tokens, fingerprint, is_api_key
from domain.account.identity import AccessRefused
from domain.log.errors import DomainError, Unauthorized
from domain.log.event import Metadata, Via
from sql.tables.identity import Identity, Scope


class Principal(msgspec.Struct, frozen=True):
    """The user that a request acts for, and its credential.

    Exactly one of session_id and key_id is set. A personal workspace has its user's id. `expires_at`: when the access
    token does. `via`: from where the request came.
    """

    user_id: UUID
    session_id: UUID | None = None
    key_id: UUID | None = None
    scopes: tuple[Scope, ...] = ("read", "write", "keys")
    expires_at: datetime | None = None
    via: Via = Via()

    @property
    def tenant_id(self) -> UUID:
        """The workspace."""
        return self.user_id

    @property
    def metadata(self) -> Metadata:
        """The metadata of events that this request causes."""
        return Metadata(actor=f"key:{self.key_id}" if self.key_id else f"user:{self.user_id}", via=self.via)


AuthedRequest: TypeAlias = Request[Principal, None, State]
"""A request that has passed the guard: its `user` is the Principal."""


SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110 §9.2.1)."""
Connection: TypeAlias = "ASGIConnection[Any, Any, Any, Any]"
MAX_USER_AGENT = 300
"""Characters that are kept."""
_UNSHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, and those that turn the direction of a text around."""


class Forbidden(DomainError, code="forbidden"):
    """The credentials are valid, but do not allow this."""


class Authenticator:
    """Checks bearer credentials against the tables of sessions and keys at every request: revoking works at once."""

    def __init__(self, identity: Identity, tokens: Tokens) -> None:
        self._identity = identity
        self._tokens = tokens

    async def principal(self, header: str) -> Principal:
        """The principal of an Authorization header. Raises Unauthorized."""
        scheme, _, credential = header.partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential:
            raise _unauthorized("send `Authorization: Bearer <access token or API key>`")
        found = await (self._by_key(credential) if is_api_key(credential) else self._by_token(credential))
        if found is None:
            raise _unauthorized("the access token or API key is not valid (any more)", 'error="invalid_token"')
        return found

    async def _by_key(self, key: str) -> Principal | None:
        owner = await self._identity.api_key_owner(fingerprint(key))
        if owner is None:
            return None
        return Principal(owner.user_id, key_id=owner.key_id, scopes=owner.scopes, via=Via(api_key=owner.name))

    async def _by_token(self, token: str) -> Principal | None:
        try:
            claims = self._tokens.read_access(token)
        except BadToken:
            return None
        if not await self._identity.session_lasts(claims.session_id, claims.user_id):
            return None
        return Principal(claims.user_id, session_id=claims.session_id, expires_at=claims.expires_at)


def via_of(connection: Connection, api_key: str = "") -> Via:
    """From where a request comes, as texts that can be stored and shown."""
    agent = _UNSHOWN.sub(" ", connection.headers.get("user-agent", "")[:MAX_USER_AGENT])
    return Via(ip=connection.client.host if connection.client else "", user_agent=agent, api_key=api_key)


def guard(authenticator: Authenticator, refusals: Refusals) -> Guard:
    """A Litestar guard that leaves the Principal in `request.user`, or raises Unauthorized."""

    # Not a method: Litestar deep-copies guards, and with a method the object it belongs to.
    async def check(connection: Connection, handler: BaseRouteHandler) -> None:
        found = await authenticator.principal(connection.headers.get("authorization", ""))
        principal = msgspec.structs.replace(found, via=via_of(connection, found.via.api_key))
        method = cast(HTTPScope, connection.scope)["method"]
        needed: Scope = "read" if method in SAFE else handler.opt.get("scope", "write")
        if needed not in principal.scopes:
            path = connection.scope["path_template"]
            refusals.note(principal.user_id, AccessRefused(method=method, path=path, needs=needed), principal.metadata)
            has = ", ".join(principal.scopes)
            raise Forbidden(f"this API key may not do that: it needs the scope `{needed}`, and has {has}")
        connection.scope["user"] = principal

    return check


def _unauthorized(detail: str, parameters: str = "") -> Unauthorized:
    challenge = f'Bearer realm="triggerhub"{", " if parameters else ""}{parameters}'
    return Unauthorized(detail, challenge)
