"""Search keys: filters and orders by them give what a plain look gives, by an index, and a rebuild gives the same."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from app.commands.jobs import Jobs
from domain.hook.request import json_request
from domain.log.event import Metadata, StreamKind
from domain.run import events as run
from domain.search.query import search
from domain.values.json import JsonObject
from domain.zap.events import ZapPublished, ZapRolledBack
from domain.zap.settings import SearchKey, ZapSettings
from projections.engine.engine import Engine
from projections.engine.rebuild import rebuild
from projections.engine.verify import verify_read_models
from projections.run_filter import After, RunFilter, page_query
from projections.run_keys import RUN_KEYS, key_of
from projections.run_query import count_runs, list_runs
from sql.log.event_store import PgEventStore
from sql.log.forgetting import forget
from sql.postgres.pool import Connection
from sql.postgres.queries import Queries
from sql.process.clock import new_id
from tests.support.builders import a_definition
from tests.support.eventually import eventually
from tests.support.jobs import job_worker
from tests.support.projected import PARTITIONS, append, batch_of, following

TENANT, OTHER = UUID("00000000-0000-7000-8000-000000000001"), UUID("00000000-0000-7000-8000-000000000008")
ZAP = UUID("00000000-0000-7000-8000-000000000002")
KEYS = (
    SearchKey("total", "trigger.body.total", "number"), SearchKey("who", "trigger.body.who"),
    SearchKey("day", "trigger.body.at", "date"), SearchKey("vip", "trigger.body.vip", "boolean"),
    SearchKey("receipt", "steps.send.output.receipt"),
)  # fmt: skip
NAMES = ("ada", "Grace", "grace", "Łucja", "4711")
Body = dict[str, Any]


def published(number: int, *keys: SearchKey) -> ZapPublished:
    definition = msgspec.structs.replace(a_definition("send"), settings=ZapSettings(search_keys=keys))
    return ZapPublished(number=number, name="Orders", definition=definition)


def body_of(n: int, dice: random.Random) -> Body:
    return {
        "total": dice.choice([n / 4, str(n), -n, None]), "who": dice.choice(NAMES),
        "vip": dice.choice([True, "false", 7]),
        "at": f"2026-{1 + n % 12:02}-{1 + n % 28:02}T10:00:00{dice.choice(['Z', '+02:00'])}",
    }  # fmt: skip


async def make(store: PgEventStore, count: int, tenant_id: UUID = TENANT, zap: UUID = ZAP) -> dict[UUID, Body]:
    dice = random.Random(1)
    made: dict[UUID, Body] = {}
    for n in range(count):
        run_id, body = new_id(), body_of(n, dice)
        events: list[run.RunEvent] = [
            run.RunRequested(zap_id=zap, zap_version=1, source="webhook", request=json_request(body))
        ]
        if n % 3:
            output: JsonObject = {"receipt": f"r-{n}"}
            events.append(run.StepSucceeded(step_id="send", attempt=1, started_at=AT, duration_ms=1, output=output))
            events.append(run.RunCompleted(zap_id=zap))
            body["receipt"] = f"r-{n}"
        await append(store, run_id, *events, tenant_id=tenant_id, key=run_id)
        made[run_id] = body
    return made


AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def runs(store: PgEventStore, engine: Engine) -> dict[UUID, Body]:
    """150 runs with keys, some of them ended; a tenant beside has the same."""
    for tenant, zap in ((TENANT, ZAP), (OTHER, new_id())):
        await append(store, zap, published(1, *KEYS), tenant_id=tenant, key=zap, kind=StreamKind.CORE)
        made = await make(store, 150, tenant, zap)
        if tenant == TENANT:
            mine = made
    await engine.apply(batch_of(await store.read_log(0, 10_000)))
    return mine


def number(body: Body) -> float:
    return float(body["total"]) if body["total"] is not None else float("nan")


def moment(body: Body) -> datetime:
    return datetime.fromisoformat(body["at"])


Fits = Callable[[Body], bool]
COMPARED: dict[str, tuple[list[str], Fits]] = {
    "a number": (["keys.total=12"], lambda b: number(b) == 12),
    "a number written otherwise": (["keys.total=1.2e1"], lambda b: number(b) == 12),
    "more": (["keys.total>20"], lambda b: number(b) > 20),
    "less": (["keys.total<=-5.5"], lambda b: number(b) <= -5.5),
    "a stretch": (["keys.total>=3", "keys.total<9"], lambda b: 3 <= number(b) < 9),
    "another number": (["keys.total!=12"], lambda b: b["total"] is not None and number(b) != 12),
    "a text": (["keys.who=grace"], lambda b: b["who"] == "grace"),
    "a text of digits": (["keys.who=4711"], lambda b: b["who"] == "4711"),
    "a text in quotes": (['keys.who="Łucja"'], lambda b: b["who"] == "Łucja"),
    "another text": (['keys.who!="ada"'], lambda b: b["who"] != "ada"),
    "contains": (["keys.who~GRA"], lambda b: "gra" in b["who"].lower()),
    "a day": (["keys.day>=2026-06-03"], lambda b: moment(b) >= datetime(2026, 6, 3, tzinfo=UTC)),
    "before a moment": (
        ["keys.day<2026-03-10T09:30:00Z"], lambda b: moment(b) < datetime(2026, 3, 10, 9, 30, tzinfo=UTC),
    ),
    "yes": (["keys.vip=true"], lambda b: b["vip"] is True),
    "no": (["keys.vip=false"], lambda b: b["vip"] == "false"),
    "is there": (["keys.receipt?"], lambda b: "receipt" in b),
    "of a step": (["keys.receipt=r-7"], lambda b: b.get("receipt") == "r-7"),
    "all of them": (
        ["keys.total>5", "keys.who=grace", "keys.vip!=true", "keys.who!=ada"],
        lambda b: number(b) > 5 and b["who"] == "grace" and b["vip"] == "false",
    ),
    "nothing": (["keys.nothing=1"], lambda b: False),
}  # fmt: skip


async def test_each_comparison_gives_what_a_plain_look_gives(store: PgEventStore, runs: dict[UUID, Body]) -> None:
    for name, (where, fits) in COMPARED.items():
        wanted = RunFilter(keys=search(None, where).keys, limit=200)
        expected = sorted((run_id for run_id, body in runs.items() if fits(body)), reverse=True)
        assert expected or name == "nothing"
        assert [item.id for item in await list_runs(store.pool, TENANT, wanted)] == expected, name
        assert await count_runs(store.pool, TENANT, wanted) == len(expected), name


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("where", [[], ["keys.who=grace"], ["keys.total>3"]])
async def test_runs_are_sorted_by_a_key_page_by_page(
    store: PgEventStore, runs: dict[UUID, Body], order: Any, where: list[str]
) -> None:
    wanted = RunFilter(keys=search(None, where).keys, sort="key", sort_key="total", order=order, limit=7)
    found: list[UUID] = []
    while page := await list_runs(store.pool, TENANT, wanted):
        found += [item.id for item in page]
        value = await key_of(store.pool, TENANT, page[-1].id, "total")
        wanted = msgspec.structs.replace(wanted, after=After(page[-1].id, value))
    fits: dict[str, Fits] = {"keys.who=grace": lambda b: b["who"] == "grace", "keys.total>3": lambda b: number(b) > 3}
    fitting = [one for one, body in runs.items() if all(fits[w](body) for w in where) and body["total"] is not None]
    assert found == sorted(fitting, key=lambda one: (number(runs[one]), one), reverse=order == "desc")


async def test_rows_show_the_keys_and_a_rebuild_gives_the_same(
    dsn: str, store: PgEventStore, runs: dict[UUID, Body], connection: Connection
) -> None:
    (item,) = await list_runs(store.pool, TENANT, RunFilter(keys=search(None, ["keys.receipt=r-7"]).keys))
    body = runs[item.id]
    shown = {"who": body["who"], "receipt": "r-7", "day": f"{moment(body).astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000000Z"}
    assert shown.items() <= item.keys.items()
    assert item.keys.get("total") == (None if body["total"] is None else number(body))
    before = await connection.fetch("select * from rm.run_keys order by 1, 2, 3")
    assert await verify_read_models(dsn, [RUN_KEYS], PARTITIONS) == []
    await rebuild(dsn, RUN_KEYS, PARTITIONS)
    assert await connection.fetch("select * from rm.run_keys order by 1, 2, 3") == before


async def test_what_is_declared_later_is_read_from_past_runs_by_a_job(dsn: str, store: PgEventStore) -> None:
    """And from those that are under way meanwhile; going back to an earlier version goes back to its keys."""
    await append(store, ZAP, published(1), tenant_id=TENANT, key=ZAP, kind=StreamKind.CORE)
    jobs = Jobs(store, new_id)
    by_who = RunFilter(keys=search(None, ["keys.who=grace"]).keys, limit=200)
    async with following(dsn, store), job_worker(dsn, store):
        before = await make(store, 60)
        assert await list_runs(store.pool, TENANT, by_who) == []
        for number_, declared in ((2, KEYS), (3, KEYS[:1]), (None, KEYS)):
            told = ZapRolledBack(number=2) if number_ is None else published(number_, *declared)
            await append(store, ZAP, told, tenant_id=TENANT, key=ZAP, kind=StreamKind.CORE)
            await jobs.read_search_keys(TENANT, ZAP, Metadata(actor=f"user:{TENANT}"))
            before |= await make(store, 5)
            expected = {one for one, body in before.items() if body["who"] == "grace" and len(declared) > 1}

            async def found(expected: set[UUID] = expected) -> bool:
                return {item.id for item in await list_runs(store.pool, TENANT, by_who)} == expected

            await eventually(found)
        assert await verify_read_models(dsn, [RUN_KEYS], PARTITIONS) == []


async def test_a_run_that_is_forgotten_has_no_keys(
    store: PgEventStore, runs: dict[UUID, Body], engine: Engine, connection: Connection, dsn: str
) -> None:
    gone = next(run_id for run_id, body in runs.items() if "receipt" in body)
    events = await store.read_stream(StreamKind.RUN, gone)
    await forget(store.pool, new_id, events, ZAP, Metadata(actor="test"))
    await engine.apply(batch_of(await store.read_log(0, 10_000)))
    assert await connection.fetchval("select count(*) from rm.run_keys where run_id = $1", gone) == 0
    assert await verify_read_models(dsn, [RUN_KEYS], PARTITIONS) == []


@pytest.fixture
async def many(engine: Engine, connection: Connection) -> Connection:
    """20,000 runs, of which a tenth have a frequent value, and one in a thousand a rare one."""
    await connection.execute(
        """
        insert into rm.run_list
        select $1, id, $2, 1, 'completed', 'webhook', at, at, 1, null, null, null, 1, null, null, null, null, n, 3
        from (select n, at, (left(es.first_uuid_at(at)::text, 14) || '7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid id
              from (select n, $3::timestamptz + n * interval '1 second' as at from generate_series(0, 19999) n) a) r
        """, TENANT, ZAP, AT,
    )  # fmt: skip
    await connection.execute(
        """
        insert into rm.run_keys
        select tenant_id, run_id, k.name, k.key, '1' from rm.run_list,
        lateral (values ('rare', 'rare\\000'::bytea || convert_to('t' || position % 1000, 'UTF8')),
                        ('often', 'often\\000'::bytea || convert_to('t' || position % 10, 'UTF8')),
                        ('n', 'n\\000'::bytea || convert_to('n2' || lpad(position::text, 6, '0'), 'UTF8'))) k(name, key)
        """
    )  # fmt: skip
    await connection.execute("analyze rm_run_keys_v1.run_keys; analyze rm_run_list_v1.run_list")
    return connection


PLANS: dict[str, RunFilter] = {
    "a rare value": RunFilter(keys=search(None, ["keys.rare=7"]).keys),
    "a frequent value": RunFilter(keys=search(None, ["keys.often=7"]).keys),
    "no value": RunFilter(keys=search(None, ["keys.rare=nobody"]).keys),
    "a frequent and a rare one": RunFilter(keys=search(None, ['keys.often="7"', 'keys.rare="17"']).keys),
    "sorted": RunFilter(sort="key", sort_key="n"),
    "sorted the other way": RunFilter(sort="key", sort_key="n", order="asc"),
    "a deep cursor": RunFilter(sort="key", sort_key="n", after=After(ZAP, b"n\0n2010000")),
    "sorted, of a zap": RunFilter(sort="key", sort_key="n", zap_ids=(ZAP,)),
}


async def test_a_page_is_read_by_an_index(many: Connection) -> None:
    await many.execute("set plan_cache_mode = force_custom_plan")
    for name, wanted in PLANS.items():
        page = page_query(TENANT, wanted)
        plan = json.loads(await many.fetchval("explain (analyze, format json) " + page.query, *page.arguments))
        scans = list(_scans(plan[0]["Plan"]))
        assert all("Seq" not in scan["Node Type"] for scan in scans), (name, scans)
        assert any(scan.get("Index Name", "").startswith("run_keys_by_") for scan in scans), (name, scans)
        reads = sum((s["Actual Rows"] + s.get("Rows Removed by Filter", 0)) * s["Actual Loops"] for s in scans)
        assert reads <= 600, (name, reads, scans)
    names = Queries("projections/run_keys.sql")["names"]
    plan = json.loads(await many.fetchval("explain (analyze, format json) " + names, TENANT, 100))
    scans = [scan for scan in _scans(plan[0]["Plan"]) if scan["Node Type"] not in ("CTE Scan", "WorkTable Scan")]
    assert {scan.get("Index Name") for scan in scans} == {"run_keys_by_run"}, scans
    assert sum(scan["Actual Rows"] * scan["Actual Loops"] for scan in scans) <= 10, scans


def _scans(plan: dict[str, Any]) -> Any:
    if "Scan" in plan["Node Type"] and "Function" not in plan["Node Type"]:
        yield plan
    for inner in plan.get("Plans", []):
        yield from _scans(inner)
