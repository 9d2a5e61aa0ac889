"""Connectors: /api/v1/connectors."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, Response, get
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from app.accounts.auth import AuthedRequest
from app.connectors.added import ConnectorDetail, ConnectorItem, Connectors
from app.connectors.choices import Asked, ChoicePage, Choices
from app.http.inputs import Injected, Input
from app.http.openapi.notes import command
from app.http.paging import Page
from domain.values.json import Json


class ConnectorUpload(Input, frozen=True):
    """The file of a connector: its YAML or JSON as a text, or the object that it holds."""

    file: str | dict[str, Json]


class ChoicesWish(Input, frozen=True):
    """What to choose from. `input`: the fields that are filled in already; `cursor`: of the page before."""

    connection_id: UUID | None = None
    input: dict[str, Json] = msgspec.field(default_factory=dict)
    search: Annotated[str, Meta(max_length=200)] = ""
    cursor: Annotated[str, Meta(max_length=4_000)] = ""


class ConnectorController(Controller):
    """What zaps can work with: what everybody has, and what the workspace has added."""

    path = "/connectors"
    tags = ("Catalog",)

    @get("/", summary="List connectors", operation_id="listConnectors")
    async def list_connectors(self, request: AuthedRequest, connectors: Injected[Connectors]) -> Page[ConnectorItem]:
        """All of them, by name, each in its newest version."""
        return Page(list(await connectors.list(request.user.tenant_id)))

    @command("/", "addConnector", "Add a connector", "invalid", "version_taken", "limit_reached", status_code=201)
    async def add(
        self, data: JSONBody[ConnectorUpload], request: AuthedRequest, connectors: Injected[Connectors]
    ) -> Response[ConnectorDetail]:
        """Only the workspace sees it. A version never changes: the same file again is taken, another one is not.

        The pointers of mistakes lead into the file.
        """
        return Response(await connectors.add(request.user, data.file), status_code=201)

    @get("/{name:str}", summary="Read a connector", operation_id="getConnector")
    async def read(
        self, name: FromPath[str], request: AuthedRequest, connectors: Injected[Connectors]
    ) -> ConnectorDetail:
        """Its newest version, with its actions and the forms of these."""
        return await connectors.detail(request.user.tenant_id, name, None)

    @get("/{name:str}/{version:str}", summary="Read a version of a connector", operation_id="getConnectorVersion")
    async def read_version(
        self, name: FromPath[str], version: FromPath[str], request: AuthedRequest, connectors: Injected[Connectors]
    ) -> ConnectorDetail:
        """As it was added: a version never changes."""
        return await connectors.detail(request.user.tenant_id, name, version)

    @command(
        "/{name:str}/choices/{choice:str}", "listChoices", "List the choices of a field", "invalid", "service_failed"
    )
    async def choices(
        self,
        name: FromPath[str],
        choice: FromPath[str],
        data: JSONBody[ChoicesWish],
        request: AuthedRequest,
        choices: Injected[Choices],
    ) -> ChoicePage:
        """Asks the service, with the connection. Answers are remembered for a minute."""
        asked = Asked(connection_id=data.connection_id, input=data.input, search=data.search, cursor=data.cursor)
        return await choices.page(request.user.tenant_id, name, choice, asked)
