"""What the live stream reads of the log is found by position, in no more rows than there are between the two."""

import json
from typing import Any

from app.live.news import TYPES
from sql.log.event_store import PgEventStore
from sql.postgres.pool import Connection
from sql.postgres.queries import Queries
from sql.process.clock import new_id
from tests.benchmarks.support import TENANT, fill
from tests.support.projected import live_many

QUERIES = Queries("queries/live.sql")


def read(plan: dict[str, Any]) -> int:
    """The rows that scans of tables looked at, those that did not fit included."""
    own = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) if "Relation Name" in plan else 0
    return int(own * plan["Actual Loops"]) + sum(read(inner) for inner in plan.get("Plans", ()))


async def rows_read(connection: Connection, name: str, *values: object) -> int:
    plan = await connection.fetchval("explain (analyze, format json) " + QUERIES[name], *values)
    return read(json.loads(plan)[0]["Plan"])


async def test_a_page_costs_what_is_between_its_positions_and_a_run_one_row(
    store: PgEventStore, connection: Connection, dsn: str
) -> None:
    runs = sorted(await live_many(store, new_id(), 100))
    await fill(dsn, 12_000)
    await connection.execute("analyze es.events")
    head = await store.head()
    for mode in ("force_custom_plan", "force_generic_plan"):
        await connection.execute(f"set plan_cache_mode = {mode}")
        for tenant_id in (TENANT, new_id()):
            values = (head - 400, head - 200, [tenant_id], TYPES, 500)
            assert await rows_read(connection, "page", *values) <= 200, (mode, tenant_id)
        assert await rows_read(connection, "requests", runs[:10], runs[0], runs[9]) <= 10, mode
