"""Connections as those open them who send: read when they are needed, sealed until then, and kept for a second."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
import structlog

from consumers.credentials.oauth import TokenSource
from domain.connection.blot import Blot
from domain.connection.credential import Credential, credential_of
from domain.connection.kinds import OAuth2, Setup, setup_of, texts_of
from domain.connector.http_client import Unreachable
from domain.log.ports import Clock
from domain.values.json import JsonObject
from sql.postgres.pool import CONNECTION_ERRORS, Pool
from sql.process.recent import Recent
from sql.tables.connections import ConnectionTables, SealedConnection, Status, connection_context

if TYPE_CHECKING:
    from sql.secrets.data_keys import DataKeys
    from sql.secrets.secret_box import SecretBox

log = structlog.get_logger()
KEPT_S = 1.0
"""How long an opened connection is used before it is read again: so long may it be out of date."""
MOST = 1_000
NOTED_EVERY = timedelta(minutes=1)
"""How often it is put on record that a connection is in use."""
AWAY_S = 5.0
"""When to try again while the database does not answer."""
UNREADABLE_S = 60.0


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A connection as it was read, with its secrets."""

    row: SealedConnection
    setup: Setup
    credential: Credential
    blot: Blot
    token: str = ""

    def __repr__(self) -> str:
        return f"Opened({self.row.id})"


class Credentials:
    """The connections of all workspaces, for one process. `ring` is TRIGGERHUB_ENCRYPTION_KEY."""

    def __init__(
        self,
        pool: Pool,
        ring: str,
        clock: Clock,
        source: TokenSource,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._tables = ConnectionTables(pool)
        self._pool = pool
        self._ring = ring
        self.clock = clock
        self._keys: DataKeys | None = None
        self._kept = Recent[tuple[UUID, UUID], Opened](MOST, KEPT_S, monotonic)

    async def open(self, tenant_id: UUID, connection_id: UUID) -> Opened:
        """A tenant's connection. Raises Unreachable where it cannot be used (now)."""
        kept = self._kept.get((tenant_id, connection_id))
        if kept is not None:
            return kept
        try:
            opened = await self._read(tenant_id, connection_id)
        except CONNECTION_ERRORS as error:
            log.warning("credentials.store_unavailable", error=repr(error))
            message = "the connection can not be read right now"
            raise Unreachable("connection_unreadable", message, after_s=AWAY_S) from None
        self._kept.put((tenant_id, connection_id), opened)
        return opened

    async def note(self, tenant_id: UUID, opened: Opened, status: Status | None) -> None:
        """Put on record that a connection was used, and what that has shown: news at once, else once in a while."""
        row, now = opened.row, self.clock()
        is_news = status is not None and status != row.status
        if not is_news and row.last_used_at is not None and now - row.last_used_at < NOTED_EVERY:
            return
        self._kept.forget((tenant_id, row.id))
        try:
            await self._tables.note(tenant_id, row, status if is_news else None, now)
        except CONNECTION_ERRORS as error:
            log.warning("credentials.not_noted", error=repr(error))

    async def renewed(self, tenant_id: UUID, opened: Opened) -> Opened | None:
        """The connection with another token than the one that was not let in; None where it has none to renew."""
        if not isinstance(opened.setup, OAuth2):
            return None
        self._kept.forget((tenant_id, opened.row.id))
        return await self._read(tenant_id, opened.row.id, besides=opened.token)

    async def _read(self, tenant_id: UUID, connection_id: UUID, besides: str = "") -> Opened:
        row = await self._tables.get(tenant_id, connection_id)
        if row is None:
            raise Unreachable("connection_missing", "the connection named here does not exist any more", permanent=True)
        box, secrets = await self._opened(tenant_id, row)
        setup, token, old = setup_of(row.kind, row.config, secrets), "", besides
        if isinstance(setup, OAuth2):
            token = (await self._source.tokens(tenant_id, row, setup, box, besides=besides)).access_token
        credential = credential_of(setup, token)
        blot = Blot([*credential.secrets, *texts_of(secrets), *([old] if old else [])])
        return Opened(row=row, setup=setup, credential=credential, blot=blot, token=token)

    async def _opened(self, tenant_id: UUID, row: SealedConnection) -> "tuple[SecretBox, JsonObject]":
        from sql.secrets.data_keys import DataKeys  # most runners meet no connection, and spare the memory
        from sql.secrets.secret_box import Unreadable

        self._keys = self._keys or DataKeys(self._pool, self._ring)
        try:
            box = await self._keys.of(tenant_id)
            opened: JsonObject = msgspec.json.decode(box.open(row.secrets, connection_context(row.id)))
        except Unreadable:
            log.error("credentials.unreadable", connection_id=str(row.id))  # noqa: TRY400 - it says all there is
            message = f"no key of this installation opens the connection {row.name!r}: tell the operator"
            raise Unreachable("connection_unreadable", message, after_s=UNREADABLE_S) from None
        return box, opened
