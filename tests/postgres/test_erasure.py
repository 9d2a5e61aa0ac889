"""What was erased is found nowhere any more, and everything still holds."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from consumers.indexing.following import catch_up
from consumers.jobs.erasures import Erasures
from domain.hook.request import Request, json_request
from domain.intake.events import RequestAdmitted, RequestRejected
from domain.log.errors import NotFound, WrongStatus
from domain.log.event import Appended, Conflict, Metadata, StreamKind
from domain.run import events as run
from domain.run.children import Parent
from domain.run.waits import ApprovalAsked, Asked
from domain.search.query import search
from projections.engine.engine import Engine
from projections.engine.freshness import wait_until
from projections.engine.rebuild import rebuild
from projections.engine.registry import BY_THEMSELVES, PROJECTIONS
from projections.engine.verify import verify_read_models
from projections.run_filter import RunFilter
from projections.run_found import find_runs
from projections.run_search import RUN_SEARCH, zap_key
from sql.files.store import FileStore
from sql.log.event_store import PgEventStore
from sql.postgres.pool import connect
from sql.process.clock import new_id, now
from sql.proof.tree import Tree
from sql.proof.verify import verify_chain
from sql.tables.backtests import Backtests, Result
from tests.support.builders import an_append
from tests.support.clock import START
from tests.support.index_contents import contents
from tests.support.projected import PARTITIONS, append, following, live_many, tamper
from tests.support.tables import where_is

pytestmark = pytest.mark.usefixtures("read_models")

CANARY = "canary-4711@example.org"
TENANT = new_id()
ZAP = new_id()
BY = Metadata(actor="user:1")


async def a_life(store: PgEventStore, **fields: Any) -> tuple[UUID, UUID]:
    """A run that has the canary wherever a payload may be, and failed. Gives its zap and itself."""
    zap, run_id = new_id(), new_id()
    failure = run.Failure(code="http_503", message=f"no {CANARY}", output={"answer": CANARY})
    attempt: dict[str, Any] = {"started_at": START, "duration_ms": 1.0, "input": {"to": CANARY}}
    events = (
        run.RunRequested(
            zap_id=zap, zap_version=1, source="webhook", dedupe_id=CANARY,
            request=Request(path=f"/{CANARY}", headers={"x": CANARY}, body=f'{{"mail": "{CANARY}"}}'), **fields,
        ),
        run.StepSucceeded(step_id="look", attempt=1, output={CANARY: CANARY}, **attempt),
        ApprovalAsked(
            zap_id=zap, step_id="ask", title=CANARY, message=CANARY, to=(Asked(email=CANARY, token_sha256="00"),),
            required=1, until=START,
        ),
        run.StepFailed(step_id="send", attempt=1, failure=failure, **attempt),
        run.RunFailed(zap_id=zap, step_id="send", code="http_503", message=f"no {CANARY}"),
    )  # fmt: skip
    await append(store, run_id, *events, tenant_id=TENANT, key=run_id)
    return zap, run_id


async def test_a_canary_is_found_nowhere_after_its_run_was_erased_and_everything_holds(
    dsn: str, store: PgEventStore, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    erasures = Erasures(store, new_id)
    async with following(dsn, store):
        await live_many(store, TENANT, 10)
        _zap, run_id = await a_life(store)
        _zap, replay = await a_life(store, replay_of=run_id)
        head = await store.head()
        root = await Tree(store.pool).root(head)
        assert await wait_until(store.pool, "run_list", head, 60)
        assert {"rm_run_list_v1.run_list", "rm_approvals_v1.approvals"} <= set(await where_is(connection, CANARY))
        erased = await erasures.erase_run(TENANT, run_id, BY)
        assert erased.runs == 2
        assert (await erasures.erase_run(TENANT, replay, BY)).runs == 0
        for projection in PROJECTIONS:
            assert await wait_until(store.pool, projection.name, await store.head(), 60)
        assert await where_is(connection, CANARY) == []
        assert await verify_read_models(dsn, PROJECTIONS, PARTITIONS) == []
    report = await verify_chain(dsn)
    assert (report.broken_at, report.reason) == (None, "")
    assert await Tree(store.pool).root(head) == root
    events = await store.read_stream(StreamKind.RUN, run_id)
    assert [event.type for event in events][-1] == "zap.run.failed"


async def test_erasures_of_one_run_at_once_forget_it_once(dsn: str, store: PgEventStore) -> None:
    erasures = Erasures(store, new_id)
    async with following(dsn, store):
        _zap, run_id = await a_life(store)
        replays = [(await a_life(store, replay_of=run_id))[1] for _ in range(5)]
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
    erased = await asyncio.gather(*(erasures.erase_run(TENANT, one, BY) for one in [run_id, run_id, run_id, *replays]))
    assert sum(one.runs for one in erased) == 6
    assert (await verify_chain(dsn)).broken_at is None


async def test_what_came_of_a_run_goes_with_it_though_no_list_has_it_yet(
    dsn: str, store: PgEventStore, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with following(dsn, store):
        _zap, run_id = await a_life(store)
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
    _zap, replay = await a_life(store, replay_of=run_id)
    await a_life(store, parent=Parent(run_id=replay, step_id="each", waits=True, index=0, count=1))

    class Meanwhile(FileStore):
        """A replay comes while the run is being erased: what the list knows is looked up by then."""

        late: UUID | None = None

        async def forget_of(self, owners: Sequence[UUID]) -> int:
            if self.late is None:
                _zap, self.late = await a_life(store, replay_of=run_id)
            return await super().forget_of(owners)

    files = Meanwhile(store.pool, now, new_id)
    assert (await Erasures(store, new_id, files).erase_run(TENANT, run_id, BY)).runs == 4
    rest = [one for one in await where_is(connection, CANARY) if one.startswith("es.")]
    assert rest == []
    assert (await Erasures(store, new_id).erase_run(TENANT, run_id, BY)).runs == 0


async def test_what_was_decided_before_an_erasure_and_comes_to_the_log_after_it_is_refused(
    dsn: str, store: PgEventStore
) -> None:
    async with following(dsn, store):
        (_zap, run_id), (_other, left) = await a_life(store), await a_life(store)
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
    of, of_other = [(await store.read_stream(StreamKind.RUN, one))[0].position for one in (run_id, left)]
    carried = [msgspec.structs.replace(an_append(expected=0), carries=position) for position in (of, of_other, None)]
    assert isinstance(await store.append(carried[0]), Appended)
    await Erasures(store, new_id).erase_run(TENANT, run_id, BY)
    again = [msgspec.structs.replace(one, stream_id=new_id()) for one in carried]
    results = await store.append_each(again)
    assert [type(one) for one in results] == [Conflict, Appended, Appended]
    assert isinstance(await store.append(carried[0]), Appended), "it is there"


async def test_the_result_of_a_backtest_that_comes_after_the_erasure_of_its_run_is_dropped(
    dsn: str, store: PgEventStore
) -> None:
    async with following(dsn, store):
        _zap, run_id = await a_life(store)
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
    table, job_id = Backtests(store.pool), new_id()
    result = Result(
        run_id=run_id, verdict="same", then_status="failed", now_status="failed", steps=[], comparison=b"{}"
    )
    await table.put(job_id, TENANT, [result])
    assert len(await table.page(job_id, TENANT, verdict=None, after=None, limit=9)) == 1
    await Erasures(store, new_id).erase_run(TENANT, run_id, BY)
    await table.put(job_id, TENANT, [result])
    assert await table.page(job_id, TENANT, verdict=None, after=None, limit=9) == []


async def test_with_a_run_goes_the_request_that_was_held_before(
    dsn: str, store: PgEventStore, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    held = RequestRejected(
        zap_id=ZAP, reason="held", status=202, detail=CANARY, method="POST", path=f"/{CANARY}", content_type=CANARY,
        size=9, excerpt=CANARY, dedupe_id=CANARY, request=Request(body=CANARY),
    )  # fmt: skip
    async with following(dsn, store):
        request_id, run_id = new_id(), new_id()
        await append(store, request_id, held, tenant_id=TENANT, key=ZAP, kind=StreamKind.REQUEST)
        kept = (await store.read_log(await store.head() - 1, 1))[0]
        started = run.RunRequested(zap_id=ZAP, zap_version=1, source="webhook", request=Request(body=CANARY))
        await append(store, run_id, started, run.RunCompleted(zap_id=ZAP), tenant_id=TENANT, key=run_id)
        admitted = RequestAdmitted(zap_id=ZAP, request_id=kept.event_id, run_id=run_id)
        await append(store, request_id, admitted, tenant_id=TENANT, key=ZAP, kind=StreamKind.REQUEST)
        assert await wait_until(store.pool, "request_list", await store.head(), 60)
        assert len(await where_is(connection, CANARY)) >= 3
        assert (await Erasures(store, new_id).erase_run(TENANT, run_id, BY)).runs == 1
        for projection in PROJECTIONS:
            assert await wait_until(store.pool, projection.name, await store.head(), 60)
        assert await where_is(connection, CANARY) == []
        assert await verify_read_models(dsn, PROJECTIONS, PARTITIONS) == []
    assert (await verify_chain(dsn)).broken_at is None


async def test_the_search_index_forgets_a_run_when_it_hears_of_it_and_so_does_a_rebuild(
    dsn: str, store: PgEventStore, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = await connect(dsn, "test", search_path="rm")
    async with following(dsn, store), Engine(dsn, BY_THEMSELVES, 1) as engine:
        await engine.start()
        zap, run_id = await a_life(store)
        other, left = new_id(), new_id()
        await append(
            store, left,
            run.RunRequested(zap_id=other, zap_version=1, source="webhook", request=json_request({"a": "b"})),
            tenant_id=TENANT, key=left,
        )  # fmt: skip
        await catch_up(reader, engine)
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        words = search(CANARY, [])
        assert [item.id for item in (await find_runs(store, TENANT, RunFilter(), words)).items] == [run_id]
        before = await contents(reader)
        assert any(CANARY.encode() in key for key, _one in before)
        await Erasures(store, new_id).erase_run(TENANT, run_id, BY)
        await catch_up(reader, engine)
        assert (await find_runs(store, TENANT, RunFilter(), words)).items == []
        after = await contents(reader)
        assert not any(CANARY.encode() in key for key, _one in after)
        assert {one for key, one in after if key == zap_key(zap)} == set()
        assert {entry for entry in before if entry[1] == left} == after
        await rebuild(dsn, RUN_SEARCH, 1)
        again = await contents(reader)
        assert not any(CANARY.encode() in key for key, _one in again)
        assert (await find_runs(store, TENANT, RunFilter(), words)).items == []
    said = capsys.readouterr()
    assert CANARY not in said.out + said.err
    await reader.close()


@pytest.mark.usefixtures("engine")
async def test_only_a_run_that_has_ended_and_is_ones_own_can_be_erased(store: PgEventStore) -> None:
    under_way = new_id()
    await append(
        store, under_way, run.RunRequested(zap_id=new_id(), zap_version=1, source="webhook", request=Request()),
        tenant_id=TENANT, key=under_way,
    )  # fmt: skip
    erasures = Erasures(store, new_id)
    with pytest.raises(WrongStatus):
        await erasures.erase_run(TENANT, under_way, BY)
    with pytest.raises(NotFound):
        await erasures.erase_run(new_id(), under_way, BY)


FAKED = {
    "update es.events set data = '{}' where position = 1": "the event was changed",
    "update es.events set meta = '{}' where position = (select min(position) from es.forgotten_events)": "changed",
    "update es.events set data = data || ' ' where position in (select position from es.forgotten_events)": "changed",
    """with f as (insert into es.forgotten_events select position, sha256(
           int2send(kind) || int2send(schema_version) || int4send(octet_length(type)) || int4send(octet_length(meta))
           || int4send(2) || uuid_send(stream_id) || uuid_send(tenant_id) || uuid_send(ordering_key)
           || uuid_send(event_id) || convert_to(type, 'UTF8') || meta || '{}'), 1 from es.events where position = 1)
       update es.events set data = '{}' where position = 1""": "no event says why",
    "delete from es.forgotten_events where position = (select max(position) from es.forgotten_events)": "changed",
}


@pytest.mark.parametrize("statement", FAKED)
async def test_an_erasure_that_is_not_on_record_or_more_than_that_is_found(
    dsn: str, store: PgEventStore, statement: str
) -> None:
    async with following(dsn, store):
        await live_many(store, TENANT, 5)
        _zap, run_id = await a_life(store)
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        await Erasures(store, new_id).erase_run(TENANT, run_id, BY)
    await tamper(dsn, statement)
    report = await verify_chain(dsn)
    assert report.broken_at is not None
    assert FAKED[statement] in report.reason


async def test_a_role_that_may_append_may_not_change_a_payload_by_itself(
    store: PgEventStore, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    run_id = new_id()
    requested = run.RunRequested(zap_id=new_id(), zap_version=1, source="webhook", request=Request())
    await append(store, run_id, requested, tenant_id=TENANT, key=run_id)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("update es.events set data = '{}'")
