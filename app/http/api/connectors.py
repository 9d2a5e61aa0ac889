"""Connectors: /api/v1/connectors."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from app.accounts.auth import AuthedRequest
from app.connectors.added import ConnectorDetail, ConnectorItem, Connectors
from app.connectors.choices import Asked, ChoicePage, Choices
from app.connectors.imports import ConnectorImport, Imports
from app.http.inputs import Injected, Input
from app.http.openapi.notes import command, notes
from app.http.paging import Page
from domain.flow.steps import UNSET, Unset
from domain.imported.document import MAX_DOCUMENT, Wish
from domain.values.json import Json

ConnectorName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,49}\Z")]
ImportedKind = Literal["none", "bearer", "api_key", "basic", "oauth2", "custom"]


class ConnectorUpload(Input, frozen=True):
    """The file of a connector: its YAML or JSON as a text, or the object that it holds."""

    file: str | dict[str, Json]


class ChoicesWish(Input, frozen=True):
    """What to choose from. `input`: the fields that are filled in already; `cursor`: of the page before."""

    connection_id: UUID | None = None
    input: dict[str, Json] = msgspec.field(default_factory=dict)
    search: Annotated[str, Meta(max_length=200)] = ""
    cursor: Annotated[str, Meta(max_length=4_000)] = ""


class ImportWish(Input, frozen=True):
    """A description of an API: OpenAPI 3.0 or 3.1, Swagger 2.0 or a Google discovery document, as text or as object.

    `url`: where it is, instead. `operations`: the ids of those to take, else all. `connection_kind`: how calls are
    authorized, where the document does not say; `base_url`: at which address, the same.
    """

    name: ConnectorName
    document: str | dict[str, Json] | Unset = UNSET
    url: Annotated[str, Meta(max_length=2_000)] | Unset = UNSET
    operations: Annotated[list[str], Meta(max_length=2_000)] | Unset = UNSET
    connection_kind: ImportedKind | Unset = UNSET
    base_url: Annotated[str, Meta(max_length=2_000)] | Unset = UNSET
    dry_run: bool = False

    def __post_init__(self) -> None:
        if (self.document is UNSET) == (self.url is UNSET):
            raise ValueError("give either document or url")


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

    @post(
        "/import",
        status_code=200,
        summary="Import a connector",
        operation_id="importConnector",
        opt=notes("invalid", "version_taken", "limit_reached"),
        request_max_body_size=MAX_DOCUMENT + 2**20,
    )
    async def imports(
        self, data: JSONBody[ImportWish], request: AuthedRequest, imports: Injected[Imports]
    ) -> ConnectorImport:
        """Makes a connector of a document; `dry_run` only says what it would be. Types are `name.operationId`.

        Again under the same name it is the next version; `changes` says what that adds, changes and removes.
        """
        content: bytes | None = None
        if isinstance(data.document, str):
            content = data.document.encode("utf-8", "replace")
        elif isinstance(data.document, dict):
            content = msgspec.json.encode(data.document)
        wish = Wish(
            name=data.name,
            operations=tuple(data.operations) if data.operations is not UNSET else None,
            connection_kind=data.connection_kind or None,
            base_url=data.base_url or None,
        )
        return await imports.make(request.user, content, data.url or None, wish, dry_run=data.dry_run)

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
