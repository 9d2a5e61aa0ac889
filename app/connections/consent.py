"""Consent: a person is sent to the authorization server, and comes back with a code that is traded for tokens.

The state that goes along is sealed: it says which connection it is about, and holds the verifier (RFC 7636), so that
nothing has to be kept meanwhile, and nobody can make one up.
"""

import base64
import binascii
import secrets
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from app.accounts.auth import Principal
from app.connections.stored import Connections
from consumers.credentials.oauth import TokenSource, opened_tokens
from domain.connection.events import ConnectionAuthorized
from domain.connection.kinds import OAuth2, setup_of
from domain.connection.oauth import Refused, consent, exchange
from domain.connector.http_client import Unreachable
from domain.connector.url import with_query
from domain.log.errors import NotFound, WrongStatus
from domain.log.event import Metadata
from domain.log.ports import Clock
from sql.secrets.secret_box import SecretBox, Unreadable
from sql.tables.connections import StoredConnection

LASTS = timedelta(minutes=15)
"""How long somebody may take to consent."""
_CONTEXT = b"oauth state"


class ConsentFailed(Exception):
    """Nobody has consented, or the authorization server gave no tokens. The message is for the page that says so."""


class _State(msgspec.Struct, frozen=True, array_like=True):
    connection_id: UUID
    tenant_id: UUID
    actor: str
    verifier: str
    until: datetime


class Consents:
    """Consent to connections of all tenants. `public_url` is where browsers come back to."""

    def __init__(
        self, connections: Connections, source: TokenSource, box: SecretBox, public_url: str, now: Clock
    ) -> None:
        self._connections = connections
        self._source = source
        self._box = box
        self._redirect_uri = f"{public_url}/oauth/callback"
        self._now = now

    def url(self, principal: Principal, row: StoredConnection) -> str | None:
        """Where somebody consents; None for a connection that needs nobody's consent."""
        if row.kind != "oauth2" or row.config.get("grant") != "authorization_code":
            return None
        verifier = secrets.token_urlsafe(48)
        actor = principal.metadata.actor
        state = _State(row.id, principal.tenant_id, actor, verifier, self._now() + LASTS)
        sealed = self._box.seal(msgspec.json.encode(state).decode(), _CONTEXT)
        text = base64.urlsafe_b64encode(sealed).decode().rstrip("=")
        setup = setup_of("oauth2", row.config, {})
        assert isinstance(setup, OAuth2), "its kind says so"
        pairs = consent(setup.config, redirect_uri=self._redirect_uri, state=text, verifier=verifier)
        return with_query(setup.config.authorize_url or "", pairs)

    async def reconnect(self, principal: Principal, connection_id: UUID) -> str:
        """Where somebody consents again: client id, secret and scopes stay. Raises NotFound and WrongStatus."""
        url = self.url(principal, await self._connections.load(principal.tenant_id, connection_id))
        if url is None:
            raise WrongStatus("only an OAuth connection with the grant authorization_code needs anybody's consent")
        return url

    async def come_back(self, state: str, code: str, error: str) -> StoredConnection:
        """Trade the code that a browser came back with. Raises ConsentFailed."""
        known = self._opened(state)
        if error or not code:
            raise ConsentFailed(f"the authorization server says: {error[:200] or 'nothing'}")
        try:
            row = await self._connections.load(known.tenant_id, known.connection_id)
            secrets_ = await self._connections.secrets(known.tenant_id, row)
        except NotFound:
            raise ConsentFailed("the connection was deleted meanwhile") from None
        setup = setup_of(row.kind, row.config, secrets_)
        assert isinstance(setup, OAuth2), "only such a connection gets a state"
        form = exchange(code, redirect_uri=self._redirect_uri, verifier=known.verifier)
        box = await self._connections.keys.of(known.tenant_id)
        try:
            found = await self._source.traded(known.tenant_id, setup, form, opened_tokens(row, box))
        except Unreachable as unreachable:
            raise ConsentFailed(unreachable.message) from None
        if isinstance(found, Refused):
            raise ConsentFailed(found.detail)
        if not await self._source.keep(row, box, found):
            raise ConsentFailed("somebody else has reconnected it at the same moment")
        metadata = Metadata(actor=known.actor)
        await self._connections.record(known.tenant_id, row.id, ConnectionAuthorized(scope=found.scope), metadata)
        await self._connections.healed(known.tenant_id, row.id, metadata)
        return await self._connections.load(known.tenant_id, row.id)

    def _opened(self, text: str) -> _State:
        try:
            sealed = base64.b64decode(text + "==", altchars=b"-_", validate=True)
            state = msgspec.json.decode(self._box.open(sealed, _CONTEXT), type=_State)
        except (binascii.Error, ValueError, Unreadable, msgspec.DecodeError):
            raise ConsentFailed("this link is not one of ours, or its key is gone: begin again") from None
        if state.until < self._now():
            raise ConsentFailed(f"this took more than {LASTS.seconds // 60} minutes: begin again")
        return state
