"""Every named query stands on the schema as it is: a wrong column or type fails here, not in production."""

import re
from collections.abc import Iterator
from typing import Any

import asyncpg
import msgspec
import pytest

from projections.engine.build import FEW_ROWS
from projections.engine.engine import Engine
from projections.engine.registry import BY_THEMSELVES, PROJECTIONS
from sql.postgres.pool import connect
from sql.postgres.queries import all_queries

SEVERAL_STATEMENTS = [name for name in all_queries() if name.startswith("projections/") and name.endswith(":create")]

ARGUMENTS = {
    "bool": "true",
    "bytea": "''::bytea",
    "date": "'2026-01-01'::date",
    "int2": "1::int2",
    "int4": "1",
    "int8": "1000::int8",
    "text": "'a'::text",
    "timestamptz": "'2026-01-01'::timestamptz",
    "uuid": "'01a21a75-dad8-7687-8a07-2fe4a83af137'::uuid",
}


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


async def test_no_projection_reads_more_of_the_log_than_it_asks_for(dsn: str) -> None:
    """Whatever the planner takes the log for: plans made on a new installation are kept, and know nothing of it."""
    async with Engine(dsn, (*PROJECTIONS, *BY_THEMSELVES), partitions=1) as engine:
        await engine.start()
    connection = await connect(dsn, "test", search_path="rm", **FEW_ROWS)
    asked = {
        name: sql
        for name, sql in all_queries().items()
        if name.startswith("projections/") and " es.events" in sql and name not in SEVERAL_STATEMENTS
    }
    assert len(asked) > 10
    for name, sql in asked.items():
        types = [parameter.name for parameter in (await connection.prepare(sql)).get_parameters()]
        arguments = f"({', '.join(map(_argument, types))})" if types else ""
        await connection.execute(f"prepare asked as {sql}")
        plan = await connection.fetchval(f"explain (format json) execute asked{arguments}")
        await connection.execute("deallocate asked")
        for scan in _scans(msgspec.json.decode(plan)[0]["Plan"]):
            assert re.search(r"\b(stream_id|position)\b", scan.get("Index Cond", "")), f"{name}: {scan}"
    await connection.close()


def _argument(type_: str) -> str:
    """A literal of a type; of lists one with as many as a batch may have."""
    value = ARGUMENTS[type_.removesuffix("[]")]
    return f"array_fill({value}, array[1000])" if type_.endswith("[]") else value


def _scans(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of a plan that read the log by themselves."""
    of_log = str(node.get("Index Name", node.get("Relation Name", ""))).startswith("events_")
    if of_log and node["Node Type"] != "Bitmap Heap Scan":
        yield node
    for inner in node.get("Plans", ()):
        yield from _scans(inner)


def test_there_is_one_file_and_one_create_for_each_projection() -> None:
    everything = sorted((*PROJECTIONS, *BY_THEMSELVES), key=lambda projection: projection.name)
    assert [f"projections/{projection.name}.sql:create" for projection in everything] == SEVERAL_STATEMENTS
    names = [projection.name for projection in PROJECTIONS]
    assert names == sorted(set(names))
