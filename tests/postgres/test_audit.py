"""The audit's queries go along their indexes, and its rows are bounded."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from domain.log.event import Metadata, NewEvent, Via
from domain.log.stream import facts
from domain.values.json import JsonObject
from domain.zap.definition import Definition, Trigger
from domain.zap.events import ZapCreated, ZapDraftChanged, ZapPaused
from projections.audit import AUDIT, AuditFilter, list_entries, positions_query
from projections.engine.rebuild import rebuild
from sql.postgres.pool import Connection, connect
from sql.postgres.queries import Queries
from sql.process.clock import new_id
from tests.support.stores import patient_store

TENANT, OTHER = UUID(int=7), UUID(int=8)
ZAPS = 300
FILTERS: list[tuple[dict[str, Any], str]] = [
    ({}, "audit_pkey"), ({"before": 400}, "audit_pkey"), ({"after": 400}, "audit_pkey"),
    ({"from_": datetime(2020, 1, 1, tzinfo=UTC), "to": datetime.now(UTC)}, "audit_pkey"),
    ({"actor": ("user:x", "key:x")}, "audit_actor"), ({"entity": UUID(int=9)}, "audit_entity"),
    ({"type": "zap.deleted"}, "audit_type"), ({"q": "needle"}, "audit_words"), ({"q": "ada needle"}, "audit_words"),
]  # fmt: skip


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Connection]:
    """To a log of many entries."""
    async with patient_store(dsn) as store:
        for number in range(ZAPS):
            zap, tenant = new_id(), OTHER if number % 3 else TENANT
            created = ZapCreated(name=f"zap {number}", definition=Definition(Trigger("webhook.catch")))
            events = [NewEvent(new_id(), event) for event in (created, ZapPaused(), ZapPaused())]
            await store.append(facts(zap, tenant, *events, metadata=Metadata(actor=f"user:{tenant}")))
    await rebuild(dsn, AUDIT, 3)
    found = await connect(dsn, "test")
    await found.execute("analyze")
    yield found
    await found.close()


async def test_each_filter_goes_along_its_index(connection: Connection) -> None:
    await connection.execute("set enable_seqscan = off")  # as if there were millions
    for given, index in FILTERS:
        asked = positions_query(TENANT, AuditFilter(**given, limit=20), "Ada")
        plan = await connection.fetchval("explain (format json) " + asked.query, *asked.arguments)
        assert index in plan, (given, plan)
        assert '"Seq Scan"' not in plan, (given, plan)
    positions = await connection.fetch("select position from rm.audit where tenant_id = $1 limit 20", TENANT)
    query = Queries("projections/audit.sql")["entries"]
    plan = await connection.fetchval("explain (format json) " + query, TENANT, [row[0] for row in positions])
    indexes = _indexes(json.loads(plan))
    assert "events_core_pkey" in indexes
    assert any(name.startswith("audit_") for name in indexes)


def _indexes(plan: Any) -> list[str]:
    if isinstance(plan, list):
        return [name for part in plan for name in _indexes(part)]
    if not isinstance(plan, dict):
        return []
    own = [plan["Index Name"]] if "Index Name" in plan else []
    return own + [name for part in plan.values() for name in _indexes(part)]


async def test_what_a_row_holds_is_bounded(dsn: str) -> None:
    large: JsonObject = {f"field {n}": "x" * 10_000 for n in range(90)}
    async with patient_store(dsn) as store:
        zap = new_id()
        for event in (
            ZapCreated(name="a\0b", definition=Definition(Trigger("webhook.catch"))),
            ZapDraftChanged(name="c", definition=Definition(Trigger("webhook.catch", {"deep": large | {"\0": "\0"}}))),
            ZapPaused(reason="r" * 100_000),
        ):
            metadata = Metadata(actor=f"user:{TENANT}", via=Via(ip="192.0.2.1", user_agent="x" * 300))
            await store.append(facts(zap, TENANT, NewEvent(new_id(), event), metadata=metadata))
        await rebuild(dsn, AUDIT, 3)
        paused, changed, created = await list_entries(store.pool, TENANT, AuditFilter(limit=10))
        assert created.entity.name == "ab"
        assert changed.changes
        assert len(paused.summary) < 1_100
        size = await store.pool.fetchval("select max(pg_column_size(a.*)) from rm.audit a")
        assert size < 100_000
