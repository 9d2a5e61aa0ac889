"""Authentication: from bearer credentials to a Principal, and the guard of every private route."""

from datetime import datetime
from typing import Any, TypeAlias, cast
from uuid import UUID

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard, HTTPScope

from app.accounts.tokens import BadToken, Tokens, fingerprint, is_api_key
from domain.log.errors import DomainError, Unauthorized
from domain.log.event import Metadata
from sql.tables.identity import Identity, Scope


class Principal(msgspec.Struct, frozen=True):
    """The user that a request acts for, and its credential.

    Exactly one of session_id and key_id is set. A personal workspace has its user's id. `expires_at`: when the access
    token does.
    """

    user_id: UUID
    session_id: UUID | None = None
    key_id: UUID | None = None
    scopes: tuple[Scope, ...] = ("read", "write", "keys")
    expires_at: datetime | None = None

    @property
    def tenant_id(self) -> UUID:
        """The workspace."""
        return self.user_id

    @property
    def metadata(self) -> Metadata:
        """The metadata of events that this request causes."""
        return Metadata(actor=f"key:{self.key_id}" if self.key_id else f"user:{self.user_id}")


AuthedRequest: TypeAlias = Request[Principal, None, State]
"""A request that has passed the guard: its `user` is the Principal."""


SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110 §9.2.1)."""
Connection: TypeAlias = "ASGIConnection[Any, Any, Any, Any]"


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
        return Principal(owner.user_id, key_id=owner.key_id, scopes=owner.scopes) if owner else None

    async def _by_token(self, token: str) -> Principal | None:
        try:
            claims = self._tokens.read_access(token)
        except BadToken:
            return None
        if not await self._identity.session_lasts(claims.session_id, claims.user_id):
            return None
        return Principal(claims.user_id, session_id=claims.session_id, expires_at=claims.expires_at)


def guard(authenticator: Authenticator) -> Guard:
    """A Litestar guard that leaves the Principal in `request.user`, or raises Unauthorized."""

    # Not a method: Litestar deep-copies guards, and with a method the object it belongs to.
    async def check(connection: Connection, handler: BaseRouteHandler) -> None:
        principal = await authenticator.principal(connection.headers.get("authorization", ""))
        _require_scope(principal, cast(HTTPScope, connection.scope)["method"], handler)
        connection.scope["user"] = principal

    return check


def _require_scope(principal: Principal, method: str, handler: BaseRouteHandler) -> None:
    needed: Scope = "read" if method in SAFE else handler.opt.get("scope", "write")
    if needed not in principal.scopes:
        has = ", ".join(principal.scopes)
        raise Forbidden(f"this API key may not do that: it needs the scope `{needed}`, and has {has}")


def _unauthorized(detail: str, parameters: str = "") -> Unauthorized:
    challenge = f'Bearer realm="triggerhub"{", " if parameters else ""}{parameters}'
    return Unauthorized(detail, challenge)
