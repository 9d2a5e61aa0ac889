"""Requests that a paused zap holds: stored whole before the 2xx, released in order or discarded, each once."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any
from uuid import UUID

import pytest

from app.intake.request_log import PER_MINUTE
from consumers.jobs import work, worker
from domain.intake.arrival import MAX_ITEMS, dedupe_key
from domain.log.event import Append, Metadata, NewEvent, StreamKind
from domain.registry import decode
from domain.run.events import RunRequested
from projections.engine.rebuild import rebuild
from projections.request_list import REQUEST_LIST
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id
from tests.support.api import Person, running_api, sign_up, zap_body
from tests.support.eventually import eventually
from tests.support.jobs import job_worker
from tests.support.projected import PARTITIONS, following, requested
from tests.support.stores import patient_store

pytestmark = pytest.mark.usefixtures("read_models")

HOLD = {"when_paused": "hold"}


async def holding(person: Person, trigger: dict[str, Any] | None = None, *, paused: bool = True) -> dict[str, Any]:
    """A published zap that holds requests while it is paused."""
    body = zap_body() | {"settings": HOLD}
    body["trigger"]["config"] = trigger or {}
    zap: dict[str, Any] = (await person("POST", "/zaps", json=body)).json()
    for command in ("publish", "pause") if paused else ("publish",):
        answer = await person("POST", f"/zaps/{zap['id']}/{command}")
        assert answer.status_code == 200, answer.text
    return zap


async def send(person: Person, zap: dict[str, Any], body: object = None, key: str = "") -> dict[str, Any]:
    """A delivery; the answer's body."""
    headers = {"idempotency-key": key} if key else {}
    answer = await person.api.post(zap["hook_url"], json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


class Bench:
    """The log, its read models, and a worker."""

    def __init__(self, store: PgEventStore) -> None:
        self.store = store

    async def runs(self) -> list[RunRequested]:
        """What was asked for, in the order of the log."""
        log = await self.store.read_log(0, 10_000)
        events = [decode(stored.type, stored.schema_version, stored.data) for stored in log]
        return [event for event in events if isinstance(event, RunRequested)]

    async def bodies(self) -> list[str]:
        return [run.request.body for run in await self.runs()]

    async def listed(self, person: Person, zap: dict[str, Any], count: int) -> list[dict[str, Any]]:
        """The zap's held requests, oldest first, once there are so many."""

        async def read() -> list[dict[str, Any]]:
            items = (await person("GET", f"/zaps/{zap['id']}/requests?reason=held&limit=100")).json()["items"]
            return items[::-1] if len(items) == count else []

        found: list[dict[str, Any]] = await eventually(read)
        return found

    async def done(self, person: Person, zap: dict[str, Any], what: str, **wish: int) -> dict[str, Any]:
        """A job over what is held; how it ended."""
        asked = await person("POST", f"/zaps/{zap['id']}/held/{what}", json=wish)
        assert asked.status_code == 202, asked.text
        return await self.ended(person, asked.json()["id"])

    async def ended(self, person: Person, job_id: str) -> dict[str, Any]:
        async def read() -> dict[str, Any] | None:
            job: dict[str, Any] = (await person("GET", f"/jobs/{job_id}")).json()
            return job if job["status"] == "completed" else None

        job: dict[str, Any] = await eventually(read)
        return job


@asynccontextmanager
async def working(dsn: str) -> AsyncIterator[Bench]:
    async with patient_store(dsn, "worker") as store, following(dsn, store), job_worker(dsn, store):
        yield Bench(store)


@pytest.fixture
async def bench(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(work, "POLL_S", 0.1)
    monkeypatch.setattr(worker, "POLL_S", 0.1)
    async with working(dsn) as opened:
        yield opened


async def test_a_held_request_is_stored_whole_listed_and_released_with_equal_bytes(ada: Person, bench: Bench) -> None:
    zap = await holding(ada)
    raw = bytes(range(256))
    answer = await ada.api.put(zap["hook_url"] + "/a/b?x=1", content=raw, headers={"content-type": "image/png"})
    told = answer.json()
    assert (answer.status_code, told["status"], set(told)) == (200, "held", {"status", "request_id", "position"})
    (stored,) = await bench.store.read_stream(StreamKind.REQUEST, UUID(told["request_id"]))
    assert (stored.position, str(stored.event_id)) == (told["position"], told["request_id"])
    (item,) = await bench.listed(ada, zap, 1)
    assert (item["id"], item["admissible"], item["run_id"], item["discarded"]) == (
        told["request_id"], True, None, False,
    )  # fmt: skip
    job = await bench.done(ada, zap, "release")
    assert (job["kind"], job["total"], job["done"], job["failed"]) == ("release", 1, 1, 0)
    (run,) = await bench.runs()
    assert (run.request.raw_body(), run.request.method, run.request.path, run.source) == (raw, "PUT", "a/b", "webhook")

    async def has_run() -> bool:
        return bool((await bench.listed(ada, zap, 1))[0]["run_id"])

    await eventually(has_run)


@pytest.mark.parametrize("listed", [True, False])
async def test_a_zap_and_its_owner_hold_so_many_bytes_and_no_more(dsn: str, listed: bool) -> None:
    """Whether the list follows the log, or not at all."""
    async with (
        patient_store(dsn) as store,
        running_api(dsn, max_held=20_000) as api,
        following(dsn, store) if listed else nullcontext(),
    ):
        ada = await sign_up(api, "ada@example.com")
        zaps = [await holding(ada) for _ in range(6)]
        answers = [await api.post(zaps[0]["hook_url"], content=b"x" * 6_000) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 507, 507]
        assert (answers[3].json()["code"], "retry-after" in answers[3].headers) == ("held_full", True)
        others = [(await api.post(zap["hook_url"], content=b"x" * 17_000)).status_code for zap in zaps[1:]]
        assert others == [200, 200, 200, 507, 507]
    await rebuild(dsn, REQUEST_LIST, PARTITIONS)
    async with running_api(dsn, max_held=20_000) as api:
        ada.api = api
        items = (await ada("GET", f"/zaps/{zaps[0]['id']}/requests")).json()["items"]
        assert [(item["reason"], item["admissible"]) for item in items] == [
            *[("held_full", False)] * 2, *[("held", True)] * 2,
        ]  # fmt: skip
        # Another process knows of it from the list.
        assert (await api.post(zaps[0]["hook_url"], content=b"x" * 6_000)).status_code == 507


async def test_all_are_released_in_the_order_of_arrival_and_none_that_comes_later(ada: Person, bench: Bench) -> None:
    zap = await holding(ada)
    for n in range(PER_MINUTE + 15):
        await send(ada, zap, n)
    await bench.listed(ada, zap, PER_MINUTE + 15)
    asked = await ada("POST", f"/zaps/{zap['id']}/held/release", json={"rate_per_s": 1000})
    late = await send(ada, zap, "late")
    job = await bench.ended(ada, asked.json()["id"])
    assert (job["done"], job["total"]) == (PER_MINUTE + 15, PER_MINUTE + 15)
    assert await bench.bodies() == [str(n) for n in range(PER_MINUTE + 15)]
    await bench.listed(ada, zap, PER_MINUTE + 16)
    assert (await bench.done(ada, zap, "release"))["done"] == 1
    assert (await bench.bodies())[-1] == '"late"'
    assert late["status"] == "held"
    assert (await bench.done(ada, zap, "release"))["done"] == 0


async def test_large_ones_are_released_in_their_order_as_well(ada: Person, bench: Bench) -> None:
    zap = await holding(ada)
    sizes = [40_000, 10, 10, 90_000, 33_000, 10, 60_000, 10] * 4
    for n, size in enumerate(sizes):
        await send(ada, zap, [n, "x" * size])
    await bench.listed(ada, zap, len(sizes))
    job = await bench.done(ada, zap, "release", rate_per_s=1000)
    assert (job["done"], job["failed"]) == (len(sizes), 0)
    assert [json.loads(body)[0] for body in await bench.bodies()] == [*range(len(sizes))]


async def test_a_flood_is_held_whole_and_shares_its_commits(ada: Person, bench: Bench) -> None:
    """Nothing is left to be counted only, and one request's commit does not hold up the next one's."""
    zap = await holding(ada)
    count = "select count(*) from es.commits"
    before = await bench.store.pool.fetchval(count)
    told = await asyncio.gather(*(send(ada, zap, n) for n in range(PER_MINUTE + 30)))
    assert {one["status"] for one in told} == {"held"}
    assert len({one["request_id"] for one in told}) == PER_MINUTE + 30
    assert await bench.store.pool.fetchval(count) - before < PER_MINUTE
    assert {item["admissible"] for item in await bench.listed(ada, zap, PER_MINUTE + 30)} == {True}


async def test_a_delivery_has_one_run_and_one_answer_whenever_it_is_repeated(ada: Person, bench: Bench) -> None:
    zap = await holding(ada)
    first = await send(ada, zap, 1, "d1")
    again = {**first, "status": "duplicate"}
    assert await send(ada, zap, 1, "d1") == again
    await ada("POST", f"/zaps/{zap['id']}/enable")
    assert await send(ada, zap, 1, "d1") == again
    await bench.listed(ada, zap, 1)
    assert (await bench.done(ada, zap, "release"))["done"] == 1
    assert await send(ada, zap, 1, "d1") == again
    live = await send(ada, zap, 2, "d2")
    await ada("POST", f"/zaps/{zap['id']}/pause")
    assert await send(ada, zap, 2, "d2") == {**live, "status": "duplicate"}
    assert await send(ada, zap, 1, "d1") == again
    assert await bench.bodies() == ["1", "2"]


async def test_what_is_discarded_never_runs_and_stays_on_record(ada: Person, bench: Bench) -> None:
    zap = await holding(ada)
    told = [await send(ada, zap, n, f"d{n}") for n in range(3)]
    await bench.listed(ada, zap, 3)
    preview = await ada("POST", f"/zaps/{zap['id']}/held/discard", json={"preview": True})
    assert (preview.status_code, preview.json()) == (200, {"count": 3, "more": False})
    assert (await bench.done(ada, zap, "discard"))["done"] == 3
    assert await send(ada, zap, 0, "d0") == {**told[0], "status": "duplicate"}

    async def marked() -> bool:
        return all(item["discarded"] for item in await bench.listed(ada, zap, 3))

    await eventually(marked)
    let_in = await ada("POST", f"/zaps/{zap['id']}/requests/{told[1]['request_id']}/admit")
    assert (let_in.status_code, let_in.json()["code"]) == (409, "wrong_status")
    assert (await bench.done(ada, zap, "release"))["total"] == 0
    assert await bench.runs() == []


async def test_each_request_has_one_fate_when_it_is_released_and_discarded_at_once(ada: Person, bench: Bench) -> None:
    zap = await holding(ada)
    told = [await send(ada, zap, n) for n in range(60)]
    await bench.listed(ada, zap, 60)
    paths = [f"/zaps/{zap['id']}/held/{what}" for what in ("release", "discard", "release")]
    asked = await asyncio.gather(*(ada("POST", path, json={"rate_per_s": 1000}) for path in paths))
    jobs = [await bench.ended(ada, answer.json()["id"]) for answer in asked]
    assert all(job["failed"] == 0 for job in jobs)
    streams = await bench.store.read_streams(StreamKind.REQUEST, [UUID(one["request_id"]) for one in told])
    fates = [[stored.type for stored in stream[1:]] for stream in streams.values()]
    assert len(fates) == 60
    assert all(fate in (["zap.request.admitted"], ["zap.request.discarded"]) for fate in fates), fates
    bodies = await bench.bodies()
    assert len(bodies) == len(set(bodies)) == fates.count(["zap.request.admitted"])


async def test_one_that_is_let_in_by_hand_is_not_released_again(ada: Person, bench: Bench) -> None:
    zap = await holding(ada)
    first, second = [await send(ada, zap, n) for n in (1, 2)]
    await bench.listed(ada, zap, 2)
    path = f"/zaps/{zap['id']}/requests/{second['request_id']}/admit"
    let_in = [(await ada("POST", path)).json() for _ in range(2)]
    assert [answer["status"] for answer in let_in] == ["accepted", "duplicate"]
    assert let_in[0]["run_id"] == let_in[1]["run_id"]
    job = await bench.done(ada, zap, "release")
    assert job["done"] + job["skipped"] <= 2
    assert await bench.bodies() == ["2", "1"]
    assert first["status"] == "held"


@pytest.mark.parametrize("key", ["", "d1"])
async def test_a_split_request_is_held_once_and_released_item_by_item(ada: Person, bench: Bench, key: str) -> None:
    zap = await holding(ada, {"split": "trigger.body.items"})
    held = await send(ada, zap, {"items": [1, 2, 3]}, key)
    assert held["status"] == "held"
    await send(ada, zap, {"items": [4, 5]})
    if key:
        assert await send(ada, zap, {"items": [1, 2, 3]}, key) == {**held, "status": "duplicate"}
        await ada("POST", f"/zaps/{zap['id']}/enable")
        assert await send(ada, zap, {"items": [1, 2, 3]}, key) == {**held, "status": "duplicate"}
    await bench.listed(ada, zap, 2)
    assert (await bench.done(ada, zap, "release"))["done"] == 2
    assert await bench.bodies() == ["1", "2", "3", "4", "5"]


async def test_items_that_an_earlier_delivery_could_not_start_are_started_though_the_zap_is_paused(
    ada: Person, bench: Bench
) -> None:
    zap = await holding(ada, {"split": True})
    first = new_id()
    await bench.store.append(
        Append(
            kind=StreamKind.RUN,
            stream_id=first,
            expected=0,
            tenant_id=UUID(ada.id),
            ordering_key=first,
            events=(NewEvent(new_id(), requested(UUID(zap["id"]))),),
            metadata=Metadata(),
            dedupe_key=dedupe_key(UUID(zap["id"]), "d1#0"),
        )
    )
    told = await send(ada, zap, [1, 2, 3], "d1")
    assert (told["status"], told["run_ids"][0], len(told["run_ids"])) == ("accepted", str(first), 3)
    assert (await bench.bodies())[1:] == ["2", "3"]


async def test_more_items_than_can_be_released_are_not_held(ada: Person, bench: Bench) -> None:
    zap = await holding(ada, {"split": True})
    answer = await ada.api.post(zap["hook_url"], json=list(range(MAX_ITEMS + 1)))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert (await send(ada, zap, list(range(MAX_ITEMS))))["status"] == "held"


async def test_the_hooks_filter_and_limit_come_before_holding(ada: Person, bench: Bench) -> None:
    wanted = {"all": [{"field": "trigger.body.n", "operator": "greater_than", "value": 1}]}
    zap = await holding(ada, {"filter": wanted, "limit": {"per_minute": 2}})
    answers = [await ada.api.post(zap["hook_url"], json={"n": n}) for n in (1, 2, 3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.json().get("status") for answer in answers[:2]] == ["filtered", "held"]


async def test_the_setting_counts_once_it_is_published_and_pauses_refuse_without_it(ada: Person) -> None:
    zap = await ada.live_zap()
    path = f"/zaps/{zap['id']}"
    await ada("POST", f"{path}/pause")
    assert (await ada.api.post(zap["hook_url"])).status_code == 409
    draft = zap_body() | {"settings": HOLD}
    assert (await ada("PUT", path, json=draft, headers={"if-match": "*"})).status_code == 200
    assert (await ada.api.post(zap["hook_url"])).status_code == 409
    await ada("POST", f"{path}/publish")
    assert (await ada.api.post(zap["hook_url"])).json()["status"] == "held"
    await ada("POST", f"{path}/enable")
    assert (await ada.api.post(zap["hook_url"])).json()["status"] == "accepted"


async def test_a_rest_of_items_is_let_in_by_hand_though_the_sender_named_no_delivery(ada: Person, bench: Bench) -> None:
    """Every item of a refused request has its run, not only the first."""
    zap = await ada.live_zap(trigger={"split": True})
    await ada("POST", f"/zaps/{zap['id']}/pause")
    assert (await ada.api.post(zap["hook_url"], json=[1, 2, 3])).status_code == 409

    async def refused() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await ada("GET", f"/zaps/{zap['id']}/requests?reason=paused")).json()["items"]
        return items

    (item,) = await eventually(refused)
    assert (await ada("POST", f"/zaps/{zap['id']}/requests/{item['id']}/admit")).status_code == 200
    assert await bench.bodies() == ["1", "2", "3"]


@pytest.mark.parametrize("what", ["release", "discard"])
async def test_what_is_held_is_its_owners_alone(ada: Person, bob: Person, bench: Bench, what: str) -> None:
    zap = await holding(ada)
    await send(ada, zap, 1)
    await bench.listed(ada, zap, 1)
    for id_ in (zap["id"], bob.id, str(new_id())):
        answer = await bob("POST", f"/zaps/{id_}/held/{what}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    for body in ({"rate_per_s": 0}, {"nope": 1}, {"preview": 3}):
        assert (await ada("POST", f"/zaps/{zap['id']}/held/{what}", json=body)).status_code == 400
    assert await bench.runs() == []
    await ada("DELETE", f"/zaps/{zap['id']}")
    assert (await ada("POST", f"/zaps/{zap['id']}/held/{what}")).status_code == 404
