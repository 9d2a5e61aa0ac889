"""What zaps can be made of: /api/v1/triggers/available and /api/v1/actions/available."""

from typing import cast

import msgspec
from litestar import Controller, get

from app.accounts.auth import AuthedRequest
from app.connectors.added import Connectors
from app.http.inputs import Injected
from app.http.services import Services
from domain.connection.kinds import Kind
from domain.connector.descriptor import TriggerDescriptor
from domain.values.json import Json, JsonObject


class CatalogConnection(msgspec.Struct, frozen=True):
    """The kinds of connections that go with it, and whether it needs one."""

    kinds: tuple[Kind, ...]
    required: bool


class CatalogItem(msgspec.Struct, frozen=True):
    """A trigger or action; `config_schema` is the JSON Schema of its config, `example` shows what it gives.

    `connection` is null where it takes none.
    """

    type: str
    name: str
    description: str
    icon: str
    config_schema: JsonObject
    example: Json = None
    connection: CatalogConnection | None = None


class CatalogController(Controller):
    """The catalog of the workspace, for signed-in users only."""

    tags = ("Catalog",)

    @get("/triggers/available", summary="All triggers", operation_id="listAvailableTriggers")
    async def triggers(self, services: Injected[Services]) -> list[CatalogItem]:
        """All triggers: what can start a run."""
        return [_item(trigger) for trigger in services.catalog.triggers.values()]

    @get("/actions/available", summary="All actions", operation_id="listAvailableActions")
    async def actions(self, request: AuthedRequest, connectors: Injected[Connectors]) -> list[CatalogItem]:
        """All actions: what a step can do. Those of connectors that the workspace has added come last."""
        items = msgspec.Raw(await connectors.items(request.user.tenant_id))
        return cast(list[CatalogItem], items)  # they are CatalogItems, as JSON already


def _item(item: TriggerDescriptor) -> CatalogItem:
    uses = CatalogConnection(item.connection.kinds, item.connection.required) if item.connection else None
    return CatalogItem(item.type, item.name, item.description, item.icon, item.form, item.example, uses)
