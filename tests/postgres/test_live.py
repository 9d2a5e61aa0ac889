"""What the live stream reads of the log is found by position, in no more rows than there are between the two."""

import json
from typing import Any
from uuid import UUID

from app.live.news import TYPES
from sql.log.event_store import PgEventStore
from sql.postgres.pool import Connection
from sql.postgres.queries import Queries
from sql.process.clock import new_id
from tests.support.projected import live_many

QUERIES = Queries("queries/live.sql")


def scans(plan: dict[str, Any]) -> list[dict[str, Any]]:
    found = [plan] if plan["Node Type"].endswith("Scan") and "Relation Name" in plan else []
    return found + [scan for inner in plan.get("Plans", ()) for scan in scans(inner)]


async def planned(connection: Connection, name: str, *values: object) -> list[dict[str, Any]]:
    plan = await connection.fetchval("explain (analyze, format json) " + QUERIES[name], *values)
    return scans(json.loads(plan)[0]["Plan"])


async def test_a_page_costs_what_is_between_its_positions_and_a_run_one_row(
    store: PgEventStore, connection: Connection
) -> None:
    ada, bob = new_id(), new_id()
    of_ada: list[UUID] = await live_many(store, ada, 300)
    await live_many(store, bob, 300, seed=2)
    await connection.execute("analyze es.events")
    head = await store.head()
    for mode in ("force_custom_plan", "force_generic_plan"):
        await connection.execute(f"set plan_cache_mode = {mode}")
        found = await planned(connection, "page", head - 200, head - 100, [bob], TYPES, 500)
        assert all(scan["Node Type"].endswith("Index Scan") for scan in found), (mode, found)
        assert sum(scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0) for scan in found) <= 100, (mode, found)
        wanted = sorted(of_ada[:10])
        found = await planned(connection, "requests", wanted, wanted[0], wanted[-1])
        read = sum(
            (scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0)) * scan["Actual Loops"] for scan in found
        )
        assert read <= 20, (mode, found)
