"""The connections that a definition names: they are there, they fit, and they may go where the zap calls."""

from collections.abc import Iterator
from uuid import UUID

from app.accounts.auth import Principal
from app.connections.stored import Connections
from domain.connection.hosts import is_named
from domain.connection.kinds import HTTP_KINDS
from domain.connector.catalog import Catalog
from domain.connector.uses import Uses
from domain.flow.steps import ActionStep
from domain.language.mistakes import Mistake, place_of
from domain.log.errors import Invalid
from domain.values.json import JsonObject
from domain.zap.definition import Definition, NamedTrigger
from sql.tables.connections import SealedConnection


class NamedConnections:
    """What definitions of all tenants name."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def require(self, principal: Principal, definition: Definition, catalog: Catalog, *, saves: bool) -> None:
        """Check what a definition names. A connection that may go nowhere yet may go to its first step's host from now
        on, where the definition is saved. Raises Invalid.
        """
        rows = {
            connection_id: await self._connections.tables.get(principal.tenant_id, connection_id)
            for _path, connection_id, _named in definition.connected()
        }
        bound: dict[UUID, str] = {}
        found = list(_mistakes(definition, catalog, rows, bound))
        if found:
            raise Invalid(f"{found[0].path}: {found[0].reason}", errors=[mistake.as_json() for mistake in found])
        for connection_id, host in bound.items() if saves else ():
            row = rows[connection_id]
            assert row is not None, "it was found"
            await self._connections.bind(principal, row, host)

    async def settle(self, tenant_id: UUID, definition: Definition, position: int) -> None:
        """Remember at which position of the log the zap has named them."""
        named = {connection_id for _path, connection_id, _named in definition.connected()}
        if named:
            await self._connections.tables.name(tenant_id, named, position)


def _mistakes(
    definition: Definition, catalog: Catalog, rows: dict[UUID, SealedConnection | None], bound: dict[UUID, str]
) -> Iterator[Mistake]:
    for path, connection_id, named in definition.connected():
        uses = _uses(named, catalog)
        if uses is None:
            continue  # it takes no connection, which the check of the definition has said
        at, row = (*place_of(path), "connection"), rows[connection_id]
        if row is None:
            yield Mistake(at, "unknown_connection", "no such connection: GET /api/v1/connections lists yours")
        elif row.kind not in uses.kinds:
            kinds = " or ".join(uses.kinds)
            yield Mistake(at, "wrong_kind", f"{named.type} takes a connection of kind {kinds}, not {row.kind}")
        elif row.kind in HTTP_KINDS:
            reason = _host_problem(row, uses.host(named.config), bound)
            if reason:
                yield Mistake(at, "host_not_allowed", reason)


def _uses(named: ActionStep | NamedTrigger, catalog: Catalog) -> Uses | None:
    known = catalog.actions if isinstance(named, ActionStep) else catalog.triggers
    found = known.get(named.type)
    return found.connection if found else None


def _host_problem(row: SealedConnection, host: str, bound: dict[UUID, str]) -> str | None:
    """Why the credential may not go where a step calls; None where it may, or only data can tell."""
    hosts = _hosts(row.config) or ([bound[row.id]] if row.id in bound else [])
    if not hosts and not host:
        return "only data can tell which host is called: name those that may be in the connection's config.hosts"
    if not hosts:
        bound[row.id] = host
        return None
    if host and not is_named(host, hosts):
        return f"the connection may go to {', '.join(hosts)} only, not to {host}: add that to its config.hosts"
    return None


def _hosts(config: JsonObject) -> list[str]:
    hosts = config.get("hosts")
    return [str(host) for host in hosts] if isinstance(hosts, list) else []
