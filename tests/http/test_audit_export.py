"""The export of the audit: whole, resumable, itself on record, and as small in memory as one page."""

import asyncio
import csv
import io
import tracemalloc
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from app.http.api import audit_export
from app.http.api.audit_export import Export, Exports, pages
from projections.audit import AUDIT, AuditFilter
from projections.engine.rebuild import rebuild
from sql.log.event_store import PgEventStore
from sql.postgres.pool import connect
from tests.support.api import Person
from tests.support.stores import patient_store

TENANT = UUID(int=7)
MANY = 20_000
FILL = """
insert into rm.audit (tenant_id, position, at, type, kind, stream_id, version, actor, entity, entity_id, name, told,
                      cut)
select t, n, now(), 'zap.paused', 0, t, n, 'user:' || t, 'zap', t, 'Orders', 'paused it: ' || repeat('x', 500), false
from generate_series(1, $2::int) n, (select $1::uuid) x(t)
"""


async def lines(person: Person, **query: Any) -> list[dict[str, Any]]:
    answer = await person("GET", "/audit/export", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [msgspec.json.decode(line) for line in answer.content.splitlines()]


async def test_the_whole_audit_or_a_part_is_exported_and_that_is_in_it(ada: Person, bob: Person, dsn: str) -> None:
    await ada.live_zap("=Orders")
    await bob.live_zap("of Bob")
    await rebuild(dsn, AUDIT, 3)
    whole = await lines(ada)
    assert [entry["summary"] for entry in whole] == [
        "Ada signed up", "Ada created zap =Orders", "Ada published version 1 of zap =Orders", "Ada enabled zap =Orders",
    ]  # fmt: skip
    listed = (await ada("GET", "/audit")).json()["items"]
    assert whole == listed[::-1]
    assert await lines(ada, after=whole[1]["position"]) == whole[2:], "it is gone on with"
    assert await lines(ada, **{"from": whole[1]["at"], "to": whole[2]["at"]}) == whole[1:2]
    table = await ada("GET", "/audit/export?format=csv")
    rows = list(csv.DictReader(io.StringIO(table.text, newline="")))
    assert [int(row["position"]) for row in rows] == [entry["position"] for entry in whole]
    assert (rows[1]["entity_name"], rows[1]["ip"], rows[1]["actor_id"]) == ("'=Orders", "127.0.0.1", ada.id)
    asked = await ada("HEAD", "/audit/export")
    assert (asked.status_code, asked.content, asked.headers["content-type"]) == (200, b"", "application/x-ndjson")
    await rebuild(dsn, AUDIT, 3)
    told = [entry["summary"] for entry in await lines(ada, after=whole[-1]["position"])]
    assert told == ["Ada exported the audit as NDJSON"] * 3 + ["Ada exported the audit as CSV"]
    for query in ({"format": "xlsx"}, {"after": -1}, {"from": "today"}, {"limit": 3}):
        assert (await ada("GET", "/audit/export", params=query)).status_code == 400, query


async def test_memory_stays_flat_and_a_slow_reader_holds_nothing_but_a_page(
    ada: Person, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ada("GET", "/me")
    await rebuild(dsn, AUDIT, 3)
    owner = await connect(dsn, "test")
    await owner.execute(FILL, TENANT, MANY)
    await owner.close()
    async with patient_store(dsn, read_connections=1) as store:
        tracemalloc.start()
        count = sum([page.count(b"\n") async for page in _measured(store)])
        _size, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count == MANY
        assert peak < 8 * 2**20, f"{peak:,} bytes"

        monkeypatch.setattr(audit_export, "STALL_S", 0.3)
        exports, sent, waits = Exports(), 0, asyncio.Event()

        async def never_reads(message: Any) -> None:
            nonlocal sent
            sent += len(message.get("body", b""))
            if sent:
                await waits.wait()

        async def receive() -> Any:
            await waits.wait()

        exports.enter(TENANT)
        export = Export(exports, store.pool, TENANT, "ndjson", AuditFilter(after=0, limit=audit_export.PAGE))
        stalled = asyncio.create_task(export(cast(Any, {}), receive, never_reads))
        assert await store.pool.fetchval("select 1") == 1, "the only connection is free meanwhile"
        await asyncio.wait_for(stalled, 60)
        assert sent < 2**20
        exports.enter(TENANT)  # its place is free again
        exports.enter(TENANT)
        with pytest.raises(audit_export.TooManyExports):
            exports.enter(TENANT)


async def _measured(store: PgEventStore) -> Any:
    async for page in pages(store.pool, TENANT, "ndjson", AuditFilter(after=0, limit=audit_export.PAGE)):
        yield page
