"""Variables: /api/v1/variables."""

from datetime import datetime

import msgspec
from litestar import Controller, delete, get, put
from litestar.params import FromPath, JSONBody

from app.accounts.auth import AuthedRequest
from app.connections.variable_uses import variable_uses
from app.connections.variables import Variables
from app.http.broken import broken_rules
from app.http.inputs import Injected, Input
from app.http.openapi.notes import notes
from app.http.paging import Page
from app.http.requests import refused
from app.http.services import Services
from domain.connection.variables import Scalar, VariableName
from projections.connection_uses import ConnectionUse
from sql.tables.variables import StoredVariable

MOST_USES = 1_000


class VariableIn(Input, frozen=True):
    """The value from now on. A secret one is a text, which is never shown."""

    value: Scalar
    secret: bool = False


class VariableOut(msgspec.Struct, frozen=True):
    """A variable. `value` is null where it is secret."""

    name: str
    value: Scalar | None
    secret: bool
    changed_at: datetime
    position: int


class VariableController(Controller):
    """Templates name them as `vars.NAME`."""

    path = "/variables"
    tags = ("Variables",)

    @get("/", summary="List variables", operation_id="listVariables")
    async def list_variables(self, request: AuthedRequest, variables: Injected[Variables]) -> Page[VariableOut]:
        """All of them, by name."""
        return Page([_out(one) for one in await variables.tables.all(request.user.tenant_id)])

    @get("/{name:str}", summary="Read a variable", operation_id="getVariable")
    async def read(self, name: FromPath[str], request: AuthedRequest, variables: Injected[Variables]) -> VariableOut:
        """Its value, unless that is secret."""
        return _out(await variables.get(request.user.tenant_id, name))

    @get("/{name:str}/used-by", summary="List the zaps that name it", operation_id="listVariableUses")
    async def used_by(
        self,
        name: FromPath[str],
        request: AuthedRequest,
        variables: Injected[Variables],
        services: Injected[Services],
    ) -> Page[ConnectionUse]:
        """In their drafts, and in the versions that new runs use. Looked for when it is asked for."""
        known = await variables.get(request.user.tenant_id, name)
        return Page(await variable_uses(services.store, request.user.tenant_id, known.name, MOST_USES))

    @put("/{name:str}", summary="Set a variable", operation_id="putVariable", opt=notes("invalid", "limit_reached"))
    async def replace(
        self, name: FromPath[str], data: JSONBody[VariableIn], request: AuthedRequest, variables: Injected[Variables]
    ) -> VariableOut:
        """Makes it, or replaces its value. Runs see the new value within a second, also those that have begun."""
        errors = broken_rules(name, VariableName, ("name",))
        if errors:
            raise refused(errors)
        return _out(await variables.put(request.user, name, data.value, secret=data.secret))

    @delete("/{name:str}", summary="Delete a variable", operation_id="deleteVariable")
    async def remove(self, name: FromPath[str], request: AuthedRequest, variables: Injected[Variables]) -> None:
        """Steps that name it fail from now on."""
        await variables.delete(request.user, name)


def _out(one: StoredVariable) -> VariableOut:
    return VariableOut(one.name, one.value, one.box is not None, one.changed_at, one.position)
