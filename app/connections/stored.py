"""Commands on connections: the log has what they are, the table beside it their secrets, sealed."""

from contextlib import suppress
from uuid import UUID

import msgspec

from app.accounts.auth import Principal
from domain.aggregates import ZAP
from domain.connection.events import ConnectionChanged, ConnectionCreated, ConnectionDeleted, ConnectionEvent
from domain.connection.kinds import Kind, Setup
from domain.log.errors import DomainError, LimitReached, NotFound
from domain.log.event import ANY_VERSION, Appended, Metadata, NewEvent, StreamKind
from domain.log.ports import NewId, StoreUnavailable
from domain.log.stream import append, facts, load
from domain.values.json import JsonObject
from domain.zap.zap import UnflagZap, decide
from projections.connection_uses import CONNECTION_USES, uses_of
from projections.engine.freshness import wait_until
from projections.engine.projection import BEING_BUILT
from sql.log.event_store import PgEventStore
from sql.secrets.data_keys import DataKeys
from sql.secrets.secret_box import Unreadable
from sql.tables.connections import MOST, ConnectionTables, SealedConnection, StoredConnection, connection_context

FRESH_S = 2.0
"""How long a deletion waits until it is known which zaps name the connection."""


class ConnectionInUse(DomainError, code="in_use"):
    """Zaps name it."""


class SecretsUnreadable(DomainError, code="secrets_unreadable"):
    """No key on the ring opens its secrets: they have to be given anew, all of them."""


class Connections:
    """Connections of all tenants. Every method takes the tenant, and raises NotFound for what is another one's."""

    def __init__(self, store: PgEventStore, keys: DataKeys, new_id: NewId) -> None:
        self._store = store
        self.keys = keys
        self._new_id = new_id
        self.tables = ConnectionTables(store.pool)

    async def load(self, tenant_id: UUID, connection_id: UUID) -> SealedConnection:
        """The connection as it is. Raises NotFound."""
        found = await self.tables.get(tenant_id, connection_id)
        if found is None:
            raise NotFound("no such connection")
        return found

    async def secrets(self, tenant_id: UUID, row: SealedConnection) -> JsonObject:
        """Its secrets. Raises SecretsUnreadable."""
        try:
            box = await self.keys.of(tenant_id)
            opened: JsonObject = msgspec.json.decode(box.open(row.secrets, connection_context(row.id)))
        except Unreadable:
            raise SecretsUnreadable("no key of this installation opens its secrets: make a new connection") from None
        return opened

    async def create(self, principal: Principal, name: str, kind: Kind, setup: Setup) -> StoredConnection:
        """A new connection. Raises LimitReached."""
        if await self.tables.count(principal.tenant_id) >= MOST:
            raise LimitReached(f"a workspace has at most {MOST:,} connections: delete one first")
        connection_id, config = self._new_id(), config_of(setup)
        created = ConnectionCreated(name=name, kind=kind, config=config)
        position = await self.record(principal.tenant_id, connection_id, created, principal.metadata, expected=0)
        secrets = await self._sealed(principal.tenant_id, connection_id, setup)
        await self.tables.put(
            principal.tenant_id,
            connection_id,
            name=name,
            kind=kind,
            config=config,
            secrets=secrets,
            position=position,
            fresh=True,
        )
        return await self.load(principal.tenant_id, connection_id)

    async def change(
        self, principal: Principal, row: SealedConnection, name: str, setup: Setup, secrets: tuple[str, ...]
    ) -> StoredConnection:
        """The connection with another name or setup; `secrets` are the names of those that were replaced."""
        config = config_of(setup)
        if not secrets and name == row.name and config == row.config:
            return row
        changed = ConnectionChanged(name=name, config=config, secrets=secrets)
        box = await self._sealed(principal.tenant_id, row.id, setup) if secrets else row.secrets
        fresh = bool(secrets) or _without_hosts(config) != _without_hosts(row.config)
        stored = await self._changed(principal, row, changed, box, fresh=fresh)
        if fresh and row.status == "needs_reconnect":
            await self.healed(principal.tenant_id, row.id, principal.metadata)
        return stored

    async def healed(self, tenant_id: UUID, connection_id: UUID, metadata: Metadata) -> None:
        """Zaps need not be told any more that it has to be reconnected."""
        with suppress(*BEING_BUILT):
            for zap_id in {use.zap_id for use in await uses_of(self._store.pool, tenant_id, connection_id, MOST)}:
                zap = await load(self._store, ZAP, zap_id)
                if zap is not None and zap.state.status != "deleted":
                    unflagged = decide(UnflagZap("needs_reconnect"), zap.state)
                    await append(self._store, self._new_id, zap, unflagged, metadata)

    async def bind(self, principal: Principal, row: SealedConnection, host: str) -> None:
        """Let a credential go to the host of the first step that uses it, where nothing else was said."""
        changed = ConnectionChanged(name=row.name, config={**row.config, "hosts": [host]})
        await self._changed(principal, row, changed, row.secrets, fresh=False)

    async def delete(self, principal: Principal, connection_id: UUID, *, force: bool) -> None:
        """Forget a connection. Raises ConnectionInUse where zaps name it, unless `force`."""
        row = await self.load(principal.tenant_id, connection_id)
        if not force:
            await self._require_unused(principal.tenant_id, row)
        await self.record(principal.tenant_id, connection_id, ConnectionDeleted(forced=force), principal.metadata)
        await self.tables.delete(principal.tenant_id, connection_id)

    async def _require_unused(self, tenant_id: UUID, row: SealedConnection) -> None:
        if row.named_at and not await wait_until(self._store.pool, CONNECTION_USES.name, row.named_at, FRESH_S):
            raise StoreUnavailable("it is not known yet which zaps name the connection")
        uses = await uses_of(self._store.pool, tenant_id, row.id, 100)
        names = list(dict.fromkeys(use.name for use in uses))
        if names:
            shown = ", ".join(map(repr, names[:3])) + (" and others" if len(names) > 3 else "")
            raise ConnectionInUse(f"{shown} name the connection: give them another one, or delete with ?force=true")

    async def _changed(
        self, principal: Principal, row: SealedConnection, event: ConnectionChanged, secrets: bytes, *, fresh: bool
    ) -> StoredConnection:
        position = await self.record(principal.tenant_id, row.id, event, principal.metadata)
        await self.tables.put(
            principal.tenant_id,
            row.id,
            name=event.name,
            kind=row.kind,
            config=event.config,
            secrets=secrets,
            position=position,
            fresh=fresh,
        )
        return await self.load(principal.tenant_id, row.id)

    async def record(
        self,
        tenant_id: UUID,
        connection_id: UUID,
        event: ConnectionEvent,
        metadata: Metadata,
        expected: int = ANY_VERSION,
    ) -> int:
        """The position of the event; of one that was stored before the request was cut short, its old one."""
        new = NewEvent(self._new_id(), event)
        match await self._store.append(facts(connection_id, tenant_id, new, metadata=metadata, expected=expected)):
            case Appended(position=position):
                return position
            case _:
                return (await self._store.read_stream(StreamKind.CORE, connection_id))[-1].position

    async def _sealed(self, tenant_id: UUID, connection_id: UUID, setup: Setup) -> bytes:
        box = await self.keys.of(tenant_id)
        return box.seal(msgspec.json.encode(setup.secrets).decode(), connection_context(connection_id))


def _without_hosts(config: JsonObject) -> JsonObject:
    return {name: value for name, value in config.items() if name != "hosts"}


def config_of(setup: Setup) -> JsonObject:
    """The config as the log and answers have it, its defaults included."""
    config: JsonObject = msgspec.to_builtins(setup.config)
    return config
