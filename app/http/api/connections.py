"""Connections: /api/v1/connections."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, Response, delete, get, patch
from litestar.params import FromPath, JSONBody, QueryParameter

from app.accounts.auth import AuthedRequest
from app.connections.consent import Consents
from app.connections.stored import Connections
from app.connections.trials import ConnectionTest, ConnectionTests
from app.http.broken import broken_rules
from app.http.inputs import Injected, Input, Name
from app.http.openapi.notes import command, notes
from app.http.paging import Page, Paging
from app.http.requests import refused
from app.http.services import Services
from domain.connection.kinds import HttpUrl, Kind, Setup, merged, setup_of
from domain.flow.steps import UNSET, Unset
from domain.values.json import Json, JsonObject
from projections.connection_uses import ConnectionUse, count_uses, uses_of
from sql.tables.connections import Status, StoredConnection

MOST_USES = 1_000
Force = Annotated[bool, QueryParameter(description="Although zaps name it")]


class ConnectionIn(Input, frozen=True):
    """What a zap can call others with. `config` and `secrets` are those of the kind; the guide lists them.

    `config.hosts`: the only hosts that the credential goes to; without any, that of the first step that uses it.
    Secrets can be set and never read.
    """

    name: Name
    kind: Kind
    config: JsonObject = msgspec.field(default_factory=dict)
    secrets: JsonObject = msgspec.field(default_factory=dict)


class ConnectionChange(Input, frozen=True):
    """What is to be another: as JSON Merge Patch, so what is left out stays, and null takes a field away."""

    name: Name | Unset = UNSET
    config: dict[str, Json] | Unset = UNSET
    secrets: dict[str, Json] | Unset = UNSET


class ConnectionTestIn(Input, frozen=True):
    """Which URL to call, one of the connection's hosts; without it, the first host itself."""

    url: HttpUrl | None = None


class ConnectionOut(msgspec.Struct, frozen=True, kw_only=True):
    """A connection, without its secrets. `used_by` counts the zaps that name it.

    `status`: `ok` where its last use or test was let in, `failed` where not, `untested` before either;
    `needs_reconnect`: somebody has to consent again. `expires_at`: of its present token.
    """

    id: UUID
    name: str
    kind: Kind
    config: JsonObject
    status: Status
    expires_at: datetime | None
    last_used_at: datetime | None
    last_refreshed_at: datetime | None
    used_by: int
    position: int


class NewConnectionOut(ConnectionOut, frozen=True, kw_only=True):
    """A new connection. `authorize_url`: where somebody consents to it, where that is needed."""

    authorize_url: str | Unset = UNSET


class Reconnect(msgspec.Struct, frozen=True):
    """Where somebody consents, in a browser, within 15 minutes."""

    authorize_url: str


class ConnectionController(Controller):
    """Secrets go in, and never come out: not in answers, runs, logs or the history."""

    path = "/connections"
    tags = ("Connections",)

    @command("/", "createConnection", "Store a credential", "limit_reached", status_code=201, headers=("Location",))
    async def create(
        self,
        data: JSONBody[ConnectionIn],
        request: AuthedRequest,
        connections: Injected[Connections],
        consents: Injected[Consents],
    ) -> Response[NewConnectionOut]:
        """A step names it as `connection`; then it goes along with what the step sends, and with nothing else."""
        setup = _checked(data.kind, data.config, data.secrets)
        made = await connections.create(request.user, data.name, data.kind, setup)
        url = consents.url(request.user, made)
        shown = NewConnectionOut(**msgspec.structs.asdict(_out(made, 0)), authorize_url=url or UNSET)
        return Response(shown, status_code=201, headers={"location": f"/api/v1/connections/{made.id}"})

    @get("/", summary="List connections", operation_id="listConnections")
    async def list_connections(
        self,
        request: AuthedRequest,
        connections: Injected[Connections],
        services: Injected[Services],
        paging: Injected[Paging],
    ) -> Page[ConnectionOut]:
        """Newest first."""
        tenant_id = request.user.tenant_id
        found = await connections.tables.page(tenant_id, before=paging.before, limit=paging.enough)
        used = await count_uses(services.store.pool, tenant_id, [one.id for one in found])
        return paging.page([_out(one, used.get(one.id, 0)) for one in found], lambda one: one.id)

    @get("/{connection_id:uuid}", summary="Read a connection", operation_id="getConnection")
    async def read(
        self,
        connection_id: FromPath[UUID],
        request: AuthedRequest,
        connections: Injected[Connections],
        services: Injected[Services],
    ) -> ConnectionOut:
        """What it is and how it does; its secrets are never shown."""
        return await self._shown(request, services, await connections.load(request.user.tenant_id, connection_id))

    @patch(
        "/{connection_id:uuid}",
        summary="Change a connection",
        operation_id="changeConnection",
        opt=notes("secrets_unreadable"),
    )
    async def change(
        self,
        connection_id: FromPath[UUID],
        data: JSONBody[ConnectionChange],
        request: AuthedRequest,
        connections: Injected[Connections],
        services: Injected[Services],
    ) -> ConnectionOut:
        """Another name, config, or secret; the kind stays. Zaps use what it is now within a second."""
        row = await connections.load(request.user.tenant_id, connection_id)
        secrets = merged(await connections.secrets(request.user.tenant_id, row), data.secrets or {})
        setup = _checked(row.kind, merged(row.config, data.config or {}), secrets)
        replaced = tuple(sorted(data.secrets or {}))
        changed = await connections.change(request.user, row, data.name or row.name, setup, replaced)
        return await self._shown(request, services, changed)

    @delete(
        "/{connection_id:uuid}", summary="Delete a connection", operation_id="deleteConnection", opt=notes("in_use")
    )
    async def remove(
        self,
        connection_id: FromPath[UUID],
        request: AuthedRequest,
        connections: Injected[Connections],
        *,
        force: Force = False,
    ) -> None:
        """Its secrets are forgotten. Refused while zaps name it, unless `force`: their steps fail then."""
        await connections.delete(request.user, connection_id, force=force)

    @get(
        "/{connection_id:uuid}/used-by",
        summary="List the zaps that name it",
        operation_id="listConnectionUses",
    )
    async def used_by(
        self,
        connection_id: FromPath[UUID],
        request: AuthedRequest,
        connections: Injected[Connections],
        services: Injected[Services],
    ) -> Page[ConnectionUse]:
        """In their drafts, and in the versions that new runs use. A read model: it follows the log within moments."""
        row = await connections.load(request.user.tenant_id, connection_id)
        return Page(await uses_of(services.store.pool, request.user.tenant_id, row.id, MOST_USES))

    @command("/{connection_id:uuid}/test", "testConnection", "Try a connection", "invalid")
    async def test(
        self,
        connection_id: FromPath[UUID],
        request: AuthedRequest,
        connections: Injected[Connections],
        connection_tests: Injected[ConnectionTests],
        data: JSONBody[ConnectionTestIn | None] = None,
    ) -> ConnectionTest:
        """Says whether the credential is let in, by the call that its service's connector has for that, or by a GET."""
        row = await connections.load(request.user.tenant_id, connection_id)
        return await connection_tests.test(request.user, row, data.url if data else None)

    @command("/{connection_id:uuid}/reconnect", "reconnectConnection", "Consent again", "wrong_status")
    async def reconnect(
        self, connection_id: FromPath[UUID], request: AuthedRequest, consents: Injected[Consents]
    ) -> Reconnect:
        """Client id, secret and scopes stay; runs that wait for it go on once somebody has consented."""
        return Reconnect(await consents.reconnect(request.user, connection_id))

    async def _shown(self, request: AuthedRequest, services: Services, row: StoredConnection) -> ConnectionOut:
        used = await count_uses(services.store.pool, request.user.tenant_id, [row.id])
        return _out(row, used.get(row.id, 0))


def _out(row: StoredConnection, used_by: int) -> ConnectionOut:
    return ConnectionOut(
        id=row.id,
        name=row.name,
        kind=row.kind,
        config=row.config,
        status=row.status,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        last_refreshed_at=row.last_refreshed_at,
        used_by=used_by,
        position=row.position,
    )


def _checked(kind: Kind, config: JsonObject, secrets: JsonObject) -> Setup:
    """The setup; every mistake in it is told at once. Raises Problem."""
    parts: dict[str, Json] = {"kind": kind, "config": config, "secrets": secrets}
    errors = broken_rules(parts, Setup)
    if errors:
        raise refused(errors)
    return setup_of(kind, config, secrets)
