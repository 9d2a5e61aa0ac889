"""Actions that workspaces have added: a runner keeps thousands of them in little memory, and each does what it says."""

import tracemalloc
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from consumers.connectors import presets
from consumers.connectors.shipped import names, shipped
from consumers.connectors.workspace import Workspaces
from consumers.definitions import compile_definition
from consumers.outbound.client import Outbound
from domain.connector.catalog import Catalog, Wanted
from domain.connector.descriptor import ActionContext
from domain.connector.outcome import Failed, Succeeded
from domain.declared.action import declared, descriptor
from domain.declared.file import ConnectorFile
from domain.flow.steps import ActionStep
from domain.zap.definition import Definition, Trigger
from sql.process.clock import now
from tests.support.operations import OPERATIONS, operations, performed

TENANT = UUID(int=1)
CONNECTORS = 60
MOST = 20_000_000


class Kept:
    """domain.connector.catalog.Shelf of 2,000 imported operations."""

    def __init__(self) -> None:
        self.documents_by_type = {one.type: msgspec.json.encode(one) for one in operations(OPERATIONS)}

    async def documents(self, _tenant_id: UUID, wanted: Sequence[Wanted], _at: datetime | None) -> dict[str, bytes]:
        return {one.type: self.documents_by_type[one.type] for one in wanted}

    async def file(self, _tenant_id: UUID, _name: str, _version: str | None) -> bytes | None:
        return None


async def test_a_runner_keeps_sixty_connectors_and_two_thousand_operations_in_twenty_megabytes() -> None:
    shelf = Kept()
    workspaces = Workspaces(Catalog({}, {}), shelf, performed, presets(shelf))
    files = [msgspec.json.encode(shipped(name)) for name in names()]
    reading = msgspec.json.Decoder(ConnectorFile)
    tracemalloc.start()
    try:
        before, _peak = tracemalloc.get_traced_memory()
        built_in = [reading.decode(files[number % len(files)]) for number in range(CONNECTORS)]
        actions = [descriptor(one, performed) for file in built_in for one in declared(file)]
        versions = []
        for type_ in shelf.documents_by_type:
            definition = Definition(Trigger("webhook.catch"), (ActionStep("a", type_),))
            versions.append(compile_definition(definition, await workspaces.of(TENANT, [type_])))
        after, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(actions) > 3 * CONNECTORS
    assert all(version.actions for version in versions)
    assert after - before < MOST


async def test_an_action_that_is_kept_packed_does_what_its_document_says(http: Outbound) -> None:
    shelf = Kept()
    type_ = next(
        type_ for type_, document in shelf.documents_by_type.items() if b'"POST","path":"/v1/customers"' in document
    )
    action = (await Workspaces(Catalog({}, {}), shelf, performed, presets(shelf)).of(TENANT, [type_])).actions[type_]
    context = ActionContext(http, "run.step", UUID(int=2), now)
    found = await action.run({"body": {"email": "ada@example.com"}}, context)
    assert isinstance(found, Succeeded)
    assert found.output == {
        "method": "POST", "url": "https://many.example/v1/customers", "body": {"email": "ada@example.com"},
        "body_type": "json",
    }  # fmt: skip
    wrong = await action.run({"body": {"emial": "ada@example.com"}}, context)
    assert isinstance(wrong, Failed)
    assert "did you mean email" in wrong.message
