"""Connectors of workspaces: which version a zap uses, and how much there may be."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from domain.connector.catalog import wanted_of
from sql.postgres.pool import Pool, create_pool
from sql.tables.connectors import ConnectorTables, Full, KeptAction, NewConnector

ADA, BOB = UUID(int=1), UUID(int=2)


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    async with create_pool(dsn, "test", 2) as pool:
        yield pool


def version(number: str, file: bytes = b"x", name: str = "shop") -> NewConnector:
    actions = (KeptAction("add", f"add {number}".encode(), b"{}"),)
    texts = {"title": "Shop", "description": "", "icon": "plug", "source": "uploaded"}
    return NewConnector(name=name, version=number, kinds=(), file=file, sha256=b"", actions=actions, **texts)  # type: ignore[arg-type]  # texts


async def used(tables: ConnectorTables, type_: str, at: datetime | None = None, tenant: UUID = ADA) -> bytes | None:
    wanted = wanted_of(type_)
    assert wanted is not None
    return (await tables.documents(tenant, [wanted], at)).get(type_)


async def test_a_zap_uses_what_there_was_when_it_was_published(pool: Pool) -> None:
    tables = ConnectorTables(pool)
    assert await tables.add(ADA, version("1.0.0"))
    assert not await tables.add(ADA, version("1.0.0"))
    assert await tables.add(ADA, version("1.1.0"))
    first, second = [row["created_at"] for row in await pool.fetch("select created_at from proj.connectors order by 1")]
    assert await used(tables, "shop.add") == b"add 1.1.0"
    assert await used(tables, "shop.add", second) == b"add 1.1.0"
    assert await used(tables, "shop.add", first) == b"add 1.0.0"
    assert await used(tables, "shop.add", first - timedelta(days=1)) == b"add 1.0.0"  # then there was none at all
    assert await used(tables, "shop@1.0.0.add") == b"add 1.0.0"
    assert await used(tables, "shop@9.0.0.add") is None
    assert await used(tables, "shop.other") is None
    assert await used(tables, "shop.add", tenant=BOB) is None
    assert await tables.versions(ADA, "shop") == ["1.1.0", "1.0.0"]


async def test_a_workspace_has_room_for_so_much(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sql.tables.connectors.MAX_BYTES", 1_000)
    tables = ConnectorTables(pool)
    assert await tables.add(ADA, version("1.0.0", b"x" * 600))
    with pytest.raises(Full):
        await tables.add(ADA, version("1.1.0", b"x" * 600))
    assert await tables.versions(ADA, "shop") == ["1.0.0"]
    assert await tables.add(BOB, version("1.0.0", b"x" * 600))


def test_a_type_names_a_connector_and_perhaps_its_version() -> None:
    assert wanted_of("shop") is None
    assert wanted_of("shop@1.0.add") is None
    found = wanted_of("shop@1.2.3.repos/list.all")
    assert found is not None
    assert (found.connector, found.version, found.action) == ("shop", "1.2.3", "repos/list.all")
