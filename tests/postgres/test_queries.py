"""Every named query stands on the schema as it is: a wrong column or type fails here, not in production."""

import asyncpg
import pytest

from projections.engine.engine import Engine
from projections.engine.registry import BY_THEMSELVES, PROJECTIONS
from sql.postgres.pool import connect
from sql.postgres.queries import all_queries

SEVERAL_STATEMENTS = [name for name in all_queries() if name.startswith("projections/") and name.endswith(":create")]


async def test_every_query_prepares_on_the_migrated_schema_with_its_read_models(dsn: str) -> None:
    async with Engine(dsn, (*PROJECTIONS, *BY_THEMSELVES), partitions=1) as engine:
        await engine.start()
    connection = await connect(dsn, "test", search_path="rm")
    for name, sql in all_queries().items():
        if name in SEVERAL_STATEMENTS:
            continue
        try:
            await connection.prepare(sql)
        except asyncpg.PostgresError as error:
            pytest.fail(f"{name}: {error}")
    await connection.close()


def test_there_is_one_file_and_one_create_for_each_projection() -> None:
    everything = sorted((*PROJECTIONS, *BY_THEMSELVES), key=lambda projection: projection.name)
    assert [f"projections/{projection.name}.sql:create" for projection in everything] == SEVERAL_STATEMENTS
    names = [projection.name for projection in PROJECTIONS]
    assert names == sorted(set(names))
