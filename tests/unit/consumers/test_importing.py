"""Documents are read one at a time, and tenants take turns at it."""

import asyncio
from uuid import UUID

import pytest

from consumers.importing.child import imported
from domain.imported.document import Unusable, Wish

GREEDY, MODEST = UUID(int=1), UUID(int=2)


async def test_a_tenant_with_many_documents_delays_another_by_one_of_them() -> None:
    done: list[UUID] = []

    async def read(tenant_id: UUID) -> None:
        with pytest.raises(Unusable):
            await imported(tenant_id, b"{}", Wish(name="shop"))
        done.append(tenant_id)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(read(GREEDY))
            await asyncio.sleep(0)
        tasks.create_task(read(MODEST))
    assert done.index(MODEST) <= 2
