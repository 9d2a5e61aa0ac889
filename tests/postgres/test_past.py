"""Reading the past: by its indexes, and for moments during which something is being appended."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.history.point import Point
from domain.log.errors import Invalid
from domain.log.event import Append, Metadata, NewEvent, StreamKind
from domain.log.stream import facts
from domain.run.events import RunCompleted, StepSucceeded
from domain.zap.definition import Definition, Trigger
from domain.zap.events import ZapCreated, ZapDraftChanged, ZapPaused
from projections.past import Past
from projections.zap_list import HANDLED
from sql.log.event_store import PgEventStore
from sql.postgres.pool import connect
from sql.postgres.queries import Queries
from sql.process.clock import new_id
from tests.support.builders import a_run_requested
from tests.support.stores import patient_store

TENANT = UUID(int=7)
PAST, LISTED = Queries("queries/past.sql"), Queries("projections/zap_list.sql")
ON_DISK = "set enable_seqscan = off"


def definition(text: str) -> Definition:
    return Definition(Trigger("webhook.catch", {"text": text}))


async def stored(store: PgEventStore, zap_id: UUID, *events: Any) -> int:
    new = [NewEvent(new_id(), event) for event in events]
    result = await store.append(facts(zap_id, TENANT, *new, metadata=Metadata(actor="user:x")))
    return result.position  # type: ignore[union-attr] # it is stored


async def test_a_moment_during_an_append_is_answered_for_once_it_is_committed(dsn: str) -> None:
    """An append has its time before its position is seen; who asks meanwhile must not get another answer later."""
    async with patient_store(dsn) as store:
        first = await stored(store, new_id(), ZapCreated(name="one", definition=definition("x")))
        writer = await connect(dsn, "test")
        transaction = writer.transaction()
        await transaction.start()
        await writer.execute("select pg_advisory_xact_lock(7301, 1)")  # as es.append does
        moment = await writer.fetchval("select clock_timestamp()")
        await writer.execute(
            "insert into es.commits select last_position + 1, last_position, $1, hash from es.commits "
            "order by last_position desc limit 1",
            moment,
        )
        asked = asyncio.create_task(Past(store).point(moment))
        done, _ = await asyncio.wait({asked}, timeout=0.3)
        assert not done
        await transaction.commit()
        assert (await asked).position == first + 1
        await writer.close()


async def test_time_and_position_meet(dsn: str) -> None:
    async with patient_store(dsn) as store:
        past, zap_id = Past(store), new_id()
        positions = [await stored(store, zap_id, ZapPaused(), ZapPaused()) for _ in range(5)]
        for position in positions:
            by_position = await past.point(position)
            assert await past.point(by_position.at) == by_position
            assert (await past.point(position - 1)).at == by_position.at, "they were recorded together"
        assert (await past.point(datetime(1990, 1, 1, tzinfo=UTC))).position == 0
        assert (await past.point(0)).position == 0
        with pytest.raises(Invalid, match=f"position {positions[-1]}"):
            await past.point(positions[-1] + 1)


async def test_a_zap_with_ten_thousand_events_is_read_in_few_bytes(dsn: str) -> None:
    text = "x" * 20_000
    async with patient_store(dsn) as store:
        zap_id = new_id()
        await stored(store, zap_id, ZapCreated(name="0", definition=definition(text)))
        for start in range(1, 10_000, 400):
            changes = [ZapDraftChanged(name=str(n), definition=definition(f"{n}")) for n in range(start, start + 400)]
            await stored(store, zap_id, *changes)
        point = await Past(store).point(5_000)
        zap = await Past(store).zap(TENANT, zap_id, point)
        assert (zap.version, zap.state.name, zap.last.position) == (5_000, "4999", 5_000)
        rows = await store.pool.fetch(PAST["zap_until"], zap_id, 5_000)
        assert len(rows) == 2, "the first event and the last draft"


async def test_a_run_with_a_body_of_nine_megabytes_is_told_after_each_event(dsn: str) -> None:
    body = json.dumps({"items": ["é" * 1000] * 4_500})
    async with patient_store(dsn) as store:
        run_id, at = new_id(), datetime.now(UTC)
        first = a_run_requested(body)
        output = StepSucceeded(
            step_id="a", attempt=1, started_at=at, duration_ms=1, input={}, output={"big": body[:2_000_000]}
        )
        await store.append(
            Append(
                kind=StreamKind.RUN, stream_id=run_id, expected=0, tenant_id=TENANT, ordering_key=run_id,
                events=tuple(NewEvent(new_id(), event) for event in (first, output, RunCompleted())),
                metadata=Metadata(),
            )
        )  # fmt: skip
        events = await store.read_stream(StreamKind.RUN, run_id)
        states = await Past(store).states(TENANT, run_id, events, 2**20)
        assert [state.status for state in states] == ["queued", "running", "completed"]
        assert sum(len(msgspec.json.encode(state)) for state in states) < 2**20
        whole = await Past(store).run(TENANT, run_id, Point(events[-1].position, at))
        assert whole.status == "completed"
        assert len(msgspec.json.encode(whole)) < 2**20


@pytest.mark.parametrize(
    ("query", "values", "index"),
    [
        (PAST["position_at"], [datetime.now(UTC)], "commits_recorded_at"),
        (PAST["recorded_at"], [7], "commits_pkey"),
        (PAST["stream_until"], [1, TENANT, 7], "_pkey"),
        (PAST["zap_until"], [TENANT, 7], "events_core_pkey"),
        (PAST["first_positions"], [[TENANT]], "_pkey"),
        (LISTED["until"], [[TENANT], 7, sorted(HANDLED)], "events_core_pkey"),
    ],
)
async def test_the_past_is_found_by_its_index(dsn: str, query: str, values: list[Any], index: str) -> None:
    connection = await connect(dsn, "test")
    await connection.execute(ON_DISK)  # as if the tables were large
    plan = "\n".join(row[0] for row in await connection.fetch("explain " + query, *values))
    assert index in plan
    assert "Seq Scan" not in plan
    await connection.close()
