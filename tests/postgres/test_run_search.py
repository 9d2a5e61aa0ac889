"""The search index: it finds what a plain look at every run finds, whatever order and size its segments have."""

import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from consumers.indexing.following import catch_up
from domain.hook.request import json_request
from domain.log.errors import Invalid
from domain.log.event import StreamKind
from domain.log.partitioning import partition_of
from domain.run import events as run
from domain.search.query import Search, search
from domain.zap.definition import Definition, Trigger
from domain.zap.events import ZapPublished
from domain.zap.settings import Excluding, ZapSettings
from projections import run_found
from projections.engine.engine import Engine
from projections.engine.freshness import holds_all
from projections.engine.rebuild import rebuild
from projections.engine.registry import BY_THEMSELVES
from projections.recoveries import RECOVERIES
from projections.run_filter import After, RunFilter
from projections.run_found import count_found, find_runs, oldest_found
from projections.run_keys import RUN_KEYS
from projections.run_list import RUN_LIST
from projections.run_search import RUN_SEARCH, forget_runs
from projections.search import asking
from projections.search.asking import known_paths
from sql.log.event_store import PgEventStore
from sql.postgres.pool import connect
from sql.postgres.queries import Queries
from sql.process.clock import new_id
from tests.support.clock import START
from tests.support.index_contents import contents
from tests.support.projected import PARTITIONS, append, note_sent, tamper

TENANT, OTHER = UUID("00000000-0000-7000-8000-000000000001"), UUID("00000000-0000-7000-8000-000000000008")
ZAPS = [new_id(), new_id()]
"""Of this run of the tests only: what was published of a zap is remembered in a process."""
WORDS = ("refund", "order", "Müller", "paid", "late", "Berlin")

Body = dict[str, Any]


def output(**body: Any) -> run.StepSucceeded:
    return run.StepSucceeded(step_id="charge", attempt=1, started_at=START, duration_ms=1, output={"body": body})


def ends(dice: random.Random, body: Body) -> list[run.RunEvent]:
    """What becomes of a run: it waits, fails, or completes with an output."""
    failure = run.Failure(code="http_503", message="the target is tired")
    attempt: dict[str, Any] = {"step_id": "charge", "attempt": 1, "started_at": START, "duration_ms": 1}
    return dice.choice(
        [
            [],
            [run.StepDelayed(step_id="pause", until=START)],
            [output(amount=body["n"] * 2, note="charged"), run.RunCompleted()],
            [run.StepFailed(**attempt, failure=failure), run.RunFailed(step_id="charge", code="x", message="oh no")],
        ]
    )


@pytest.fixture
async def runs(dsn: str, store: PgEventStore) -> AsyncIterator[dict[UUID, tuple[UUID, Body, list[run.RunEvent]]]]:
    """200 runs, indexed in batches of all sizes, some of them again after they went on; the lists are built, too."""
    dice = random.Random(3)
    made: dict[UUID, tuple[UUID, Body, list[run.RunEvent]]] = {}
    reader = await connect(dsn, "test")
    async with Engine(dsn, BY_THEMSELVES, 1) as engine:
        await engine.start()
        late: list[tuple[UUID, list[run.RunEvent]]] = []
        for n in range(200):
            body: Body = {
                "n": n, "price": f"{n}.50", "exact": n / 4, "tags": dice.sample(WORDS, 2),
                "mail": f"user{n}@example.com",
                "customer": {"id": f"c-{n % 7}", "vip": n % 5 == 0}, "note": " ".join(dice.choices(WORDS, k=4)),
            }  # fmt: skip
            run_id, zap_id = new_id(), ZAPS[n % 2]
            tenant = OTHER if n % 10 == 9 else TENANT
            requested = run.RunRequested(zap_id=zap_id, zap_version=1, source="webhook", request=json_request(body))
            rest = ends(dice, body)
            now = [] if n % 20 == 0 else rest
            await append(store, run_id, requested, *now, tenant_id=tenant, key=zap_id)
            if n % 20 == 0:
                late.append((run_id, rest))
            if tenant == TENANT:
                made[run_id] = (zap_id, body, rest)
            if dice.random() < 0.3 and n > 5:
                await catch_up(reader, engine)
        for run_id, rest in late:
            if rest:
                await append(store, run_id, *rest, tenant_id=TENANT, key=made[run_id][0])
                await catch_up(reader, engine)
        await catch_up(reader, engine)
        for projection in (RUN_LIST, RUN_KEYS, RECOVERIES):
            await rebuild(dsn, projection, PARTITIONS)
        yield made
    await reader.close()


def asked(q: str | None = None, *where: str) -> Search:
    return search(q, where)


Fits = Callable[[Body, list[run.RunEvent]], bool]


def charged(rest: list[run.RunEvent]) -> bool:
    return any(isinstance(event, run.StepSucceeded) for event in rest)


def failed(rest: list[run.RunEvent]) -> bool:
    return any(isinstance(event, run.RunFailed) for event in rest)


def said(body: Body) -> str:
    return " ".join([body["note"], *body["tags"]]).lower()


async def test_paths_are_those_that_runs_have_up_to_a_bound(
    store: PgEventStore, runs: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = await known_paths(store.pool, TENANT, ())
    assert everything["trigger", "body", "customer", "vip"] == {"other"}
    assert everything["trigger", "body", "tags", "0"] == {"text"}
    assert ("trigger", "body", "tags", "1") not in everything
    assert everything["steps", "charge", "output", "body", "amount"] == {"number"}
    assert set(await known_paths(store.pool, TENANT, ("trigger", "body", "customer"))) == {
        ("trigger", "body", "customer", "id"), ("trigger", "body", "customer", "vip"),
    }  # fmt: skip
    assert await known_paths(store.pool, TENANT, ("trigger", "bod")) == {}
    assert await known_paths(store.pool, UUID(int=9), ()) == {}
    monkeypatch.setattr(asking, "MAX_PATHS", 2)
    assert len(await known_paths(store.pool, TENANT, ())) == 2


SEARCHES: dict[str, tuple[Search, Fits]] = {
    "one value": (asked(None, "trigger.body.n=117"), lambda b, r: b["n"] == 117),
    "a number written otherwise": (asked(None, "trigger.body.n = 11.70e1"), lambda b, r: b["n"] == 117),
    "a text of digits": (asked(None, 'trigger.body.n="117"'), lambda b, r: False),
    "an unquoted text": (asked(None, "trigger.body.price=12.50"), lambda b, r: b["price"] == "12.50"),
    "not another way to write a text": (asked(None, "trigger.body.price=12.5"), lambda b, r: False),
    "less": (asked(None, "trigger.body.exact<3.25"), lambda b, r: b["exact"] < 3.25),
    "at most": (asked(None, "trigger.body.exact<=3.25"), lambda b, r: b["exact"] <= 3.25),
    "between": (
        asked(None, "trigger.body.n>20", "trigger.body.n>=-4", "trigger.body.n<30"),
        lambda b, r: 20 < b["n"] < 30,
    ),
    "a frequent value": (asked(None, "trigger.body.customer.id=c-3"), lambda b, r: b["customer"]["id"] == "c-3"),
    "other values": (asked(None, "trigger.body.customer.id!=c-3"), lambda b, r: b["customer"]["id"] != "c-3"),
    "contains": (asked(None, "trigger.body.mail~R11"), lambda b, r: "r11" in b["mail"]),
    "true": (asked(None, "trigger.body.customer.vip=true"), lambda b, r: b["customer"]["vip"]),
    "an index": (asked(None, "trigger.body.tags[0]=refund"), lambda b, r: b["tags"][0] == "refund"),
    "is there": (asked(None, "steps.charge.output.body.amount?"), lambda b, r: charged(r)),
    "an object is there": (asked(None, "steps.charge.output?"), lambda b, r: charged(r)),
    "nothing is there": (asked(None, "trigger.body.nothing?"), lambda b, r: False),
    "of an output": (asked(None, "steps.charge.output.body.amount>100"), lambda b, r: charged(r) and b["n"] > 50),
    "of trigger and output": (
        asked(None, "steps.charge.output.body.amount>100", "trigger.body.customer.vip=true"),
        lambda b, r: charged(r) and b["n"] > 50 and b["customer"]["vip"],
    ),
    "an error": (asked("tired"), lambda b, r: failed(r)),
    "the run's error": (asked(None, "error.message=oh no", "error.step_id=charge"), lambda b, r: failed(r)),
    "a word": (asked("müller"), lambda b, r: "müller" in said(b)),
    "all words": (asked("refund BERLIN"), lambda b, r: all(word in said(b) for word in ("refund", "berlin"))),
    "a beginning": (asked("ber*"), lambda b, r: "berlin" in said(b)),
    "a phrase": (asked('"paid late"'), lambda b, r: "paid late" in b["note"].lower()),
    "an address": (asked("user42@example.com"), lambda b, r: b["n"] == 42),
    "part of an address": (asked("user42"), lambda b, r: b["n"] == 42),
    "a number as a word": (asked("charged 84"), lambda b, r: charged(r) and b["n"] == 42),
    "words and values": (asked("paid", "trigger.body.n>100"), lambda b, r: "paid" in said(b) and b["n"] > 100),
    "a header": (asked(None, "trigger.headers.Content-Type=application/json"), lambda b, r: True),
    "a header's word": (asked("application"), lambda b, r: False),
}  # fmt: skip


async def test_each_search_finds_what_a_look_at_every_run_finds_page_by_page(
    runs: dict[UUID, tuple[UUID, Body, list[run.RunEvent]]], store: PgEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_found, "BUDGET_S", 60.0)  # a busy machine may take long
    for name, (wanted, fits) in SEARCHES.items():
        for zap_id in (None, ZAPS[1]):
            expected = sorted(
                (one for one, (zap, body, rest) in runs.items() if fits(body, rest) and zap_id in (None, zap)),
                reverse=True,
            )
            zap_ids = None if zap_id is None else (zap_id,)
            found: list[UUID] = []
            after: After | None = None
            while True:
                filtered = RunFilter(zap_ids=zap_ids, after=after, limit=7)
                page = await find_runs(store, TENANT, filtered, wanted)
                found += [item.id for item in page.items]
                if len(page.items) < 7 and page.resume is None:
                    break
                after = After(page.resume or found[-1])
            assert found == expected, name
            counted = await count_found(store, TENANT, RunFilter(zap_ids=zap_ids, limit=10_000), wanted)
            assert (counted.count, counted.exact) == (len(expected), True), name
            oldest = await find_runs(store, TENANT, RunFilter(zap_ids=zap_ids, order="asc", limit=5), wanted)
            assert [item.id for item in oldest.items] == expected[::-1][:5], name
            assert await oldest_first(store, RunFilter(zap_ids=zap_ids, limit=7), wanted) == expected[::-1], name
    await _reads_by_an_index(store)
    monkeypatch.setattr(run_found, "MOST_IDS", 10)  # stretches of time become short
    everything = asked(None, "trigger.body.n>=0")
    assert await oldest_first(store, RunFilter(limit=7), everything) == sorted(runs)
    # A page that has no time goes on where it stopped, and loses nothing.
    monkeypatch.setattr(run_found, "BUDGET_S", 0.0)
    all_of_them, after, pages = [], None, 0
    while True:
        page = await find_runs(store, TENANT, RunFilter(after=after, limit=1_000), everything)
        all_of_them += [item.id for item in page.items]
        pages += 1
        if page.resume is None:
            break
        after = After(page.resume)
    assert (all_of_them, pages > 1) == (sorted(runs, reverse=True), True)
    monkeypatch.setattr(run_found, "MAX_SORTED", 10)
    with pytest.raises(Invalid, match="newest first"):
        await find_runs(store, TENANT, RunFilter(sort="duration_ms"), asked("charged"))


async def oldest_first(store: PgEventStore, filtered: RunFilter, wanted: Search) -> list[UUID]:
    """All that jobs take of a search, page by page."""
    found: list[UUID] = []
    last = new_id()
    while page := await oldest_found(store, TENANT, filtered, wanted, after=found[-1] if found else None, before=last):
        found += page
    return found


async def _reads_by_an_index(store: PgEventStore) -> None:
    queries = Queries("projections/run_search.sql")
    for name, arguments in (
        ("segments", (TENANT, None, None)),
        ("oldest", (TENANT,)),
        ("blocks", (TENANT, [1], [0], [b"wa"], [b"wb"], 5)),
        ("ids", (TENANT, [1])),
        ("ids_at", (TENANT, [1], [0])),
    ):
        async with store.pool.acquire() as connection, connection.transaction():
            await connection.execute("set local enable_seqscan = off")
            plan = await connection.fetchval("explain (format json) " + queries[name], *arguments)
        assert "run_search_segments" in plan or "run_search_pkey" in plan, name
        assert "Seq Scan" not in plan, name


async def test_a_rebuild_holds_the_same_and_what_is_forgotten_is_nowhere(
    runs: dict[UUID, tuple[UUID, Body, list[run.RunEvent]]], dsn: str, store: PgEventStore
) -> None:
    connection = await connect(dsn, "test", search_path="rm")
    before = await contents(connection)
    await rebuild(dsn, RUN_SEARCH, 1)
    assert await contents(connection) == before
    by_themselves = await connection.fetch("select projection from proj.projections where not from_topic")
    assert [row[0] for row in by_themselves] == ["run_search"]
    waited_for = await connection.fetch(Queries("queries/relay.sql")["consumer_gates"])
    assert {"runner", "run_list"} <= {row[0] for row in waited_for} <= {"runner", "run_list", "run_keys", "recoveries"}
    (gone,) = [one for one, (_zap, body, _rest) in runs.items() if body["n"] == 42]
    async with connection.transaction():
        await forget_runs(connection, TENANT, [gone])
    left = await contents(connection)
    assert left == {(key, one) for key, one in before if one != gone}
    assert not [key for key, _one in left if b"user42" in key]
    raw = await connection.fetch("select data from rm.run_search where first = ''::bytea")
    assert not any(gone.bytes in row["data"] for row in raw)
    await connection.close()


async def test_a_run_is_read_once_where_the_log_tells_the_last_of_it(dsn: str, store: PgEventStore) -> None:
    ended, begun = new_id(), new_id()
    requested = run.RunRequested(zap_id=ZAPS[0], zap_version=1, source="webhook", request=json_request({"n": 1}))
    async with Engine(dsn, BY_THEMSELVES, 1) as engine:
        await engine.start()
        await append(store, ended, requested, output(), run.RunCompleted(), tenant_id=TENANT, key=ZAPS[0])
        await append(store, begun, requested, output(), tenant_id=TENANT, key=ZAPS[0])
        for event in await store.read_log(0, 100):
            await engine.gates([0])
            await engine.apply({0: [event]})
    async with store.pool.acquire() as connection:
        read = await connection.fetch("select highest, size from rm.run_search where first = ''::bytea")
    assert sorted((row["highest"], row["size"]) for row in read) == sorted([(ended, 1), (begun, 1)])


async def test_the_index_holds_what_it_has_taken_whatever_the_topic_has_brought(dsn: str, store: PgEventStore) -> None:
    connection = await connect(dsn, "test")
    async with Engine(dsn, BY_THEMSELVES, 1) as engine:
        await engine.start()
        requested = run.RunRequested(zap_id=ZAPS[0], zap_version=1, source="webhook", request=json_request({}))
        for partition in range(PARTITIONS):
            key = next(key for key in iter(new_id, UUID(int=0)) if partition_of(key, PARTITIONS) == partition)
            await append(store, new_id(), requested, tenant_id=TENANT, key=key)
            events = await store.read_log(0, 100)
            await note_sent(connection, events)
            assert not await holds_all(store.pool, RUN_SEARCH.name, events[-1].position)
            await catch_up(connection, engine)
            assert await holds_all(store.pool, RUN_SEARCH.name, events[-1].position)
            assert not await holds_all(store.pool, RUN_LIST.name, events[-1].position)
    await connection.close()


async def test_the_index_is_up_to_date_where_retention_has_dropped_the_last_events(
    dsn: str, store: PgEventStore
) -> None:
    connection = await connect(dsn, "test")
    async with Engine(dsn, BY_THEMSELVES, 1) as engine:
        await engine.start()
        requested = run.RunRequested(zap_id=ZAPS[0], zap_version=1, source="webhook", request=json_request({}))
        await append(store, new_id(), requested, tenant_id=TENANT, key=ZAPS[0])
        head = await store.head()
        await tamper(dsn, f"delete from es.events where position = {head}")
        await catch_up(connection, engine)
        assert await holds_all(store.pool, RUN_SEARCH.name, head)
        assert not await catch_up(connection, engine)
    await connection.close()


async def test_segments_are_few_however_many_batches_there_were(dsn: str, store: PgEventStore) -> None:
    connection = await connect(dsn, "test")
    async with Engine(dsn, BY_THEMSELVES, 1) as engine:
        await engine.start()
        for n in range(70):
            requested = run.RunRequested(
                zap_id=ZAPS[0], zap_version=1, source="webhook", request=json_request({"n": n})
            )
            await append(store, new_id(), requested, tenant_id=TENANT, key=ZAPS[0])
            await catch_up(connection, engine)
    sizes = [row[0] for row in await connection.fetch("select size from rm.run_search where first = ''::bytea")]
    assert sum(sizes) == 70
    assert len(sizes) == 4 + 6
    await connection.close()


async def test_runs_that_the_index_has_in_part_can_be_listed(dsn: str, store: PgEventStore) -> None:
    small: Body = {"id": 1}
    long: Body = {f"field {n}": n for n in range(1_000)}
    large_step = output(text="x" * 300_000)
    expected: set[UUID] = set()
    for body, events in ((small, [output()]), (long, []), (small, [large_step, run.RunCompleted()])):
        run_id = new_id()
        requested = run.RunRequested(zap_id=ZAPS[0], zap_version=1, source="webhook", request=json_request(body))
        await append(store, run_id, requested, *events, tenant_id=TENANT, key=ZAPS[0])
        expected |= set() if events == [output()] else {run_id}
    for projection in (RUN_SEARCH, RUN_LIST, RUN_KEYS, RECOVERIES):
        await rebuild(dsn, projection, 1 if projection is RUN_SEARCH else PARTITIONS)
    page = await find_runs(store, TENANT, RunFilter(), asked(None, "index.complete=false"))
    assert {item.id for item in page.items} == expected


async def test_a_search_may_begin_and_end_with_time_itself(dsn: str, store: PgEventStore) -> None:
    await append(store, new_id(), *runs_of_one(), tenant_id=TENANT, key=ZAPS[0])
    for projection in (RUN_SEARCH, RUN_LIST, RUN_KEYS, RECOVERIES):
        await rebuild(dsn, projection, 1 if projection is RUN_SEARCH else PARTITIONS)
    first = datetime(1, 1, 1, second=1, tzinfo=UTC)
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    for wanted, count in ((RunFilter(from_=first, to=last), 1), (RunFilter(to=first), 0), (RunFilter(from_=last), 0)):
        assert (await count_found(store, TENANT, wanted, asked("refund"))).count == count


def runs_of_one() -> list[run.RunEvent]:
    requested = run.RunRequested(zap_id=ZAPS[0], zap_version=1, source="webhook", request=json_request("refund"))
    return [requested, run.RunCompleted()]


async def test_a_zap_says_what_of_its_runs_is_indexed(dsn: str, store: PgEventStore) -> None:
    body: Body = {"id": 7, "customer": {"mail": "ada@example.com"}}
    connection = await connect(dsn, "test")
    for setting in ("on", "off", Excluding(("trigger.body.customer", "trigger.headers"))):
        zap_id = new_id()
        definition = Definition(Trigger("webhook.catch"), settings=ZapSettings(index=setting))
        published = ZapPublished(number=1, name="x", definition=definition)
        await append(store, zap_id, published, tenant_id=TENANT, key=zap_id, kind=StreamKind.CORE)
        requested = run.RunRequested(zap_id=zap_id, zap_version=1, source="webhook", request=json_request(body))
        await append(store, new_id(), requested, tenant_id=TENANT, key=zap_id)
    await rebuild(dsn, RUN_SEARCH, 1)
    for projection in (RUN_LIST, RUN_KEYS, RECOVERIES):
        await rebuild(dsn, projection, PARTITIONS)
    counts = [
        (await count_found(store, TENANT, RunFilter(), wanted)).count
        for wanted in (asked(None, "trigger.body.id=7"), asked("ada@example.com"), asked(None, "trigger.headers?"))
    ]
    assert counts == [2, 1, 1]
    await connection.close()
