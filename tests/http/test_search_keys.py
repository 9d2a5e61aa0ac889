"""Search keys over HTTP: declared today they find last month's runs; and runs are listed by the tags of their zaps."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from domain.hook.request import json_request
from domain.run import events as run
from sql.process.clock import new_id, now
from tests.support.api import Person, zap_body
from tests.support.eventually import eventually
from tests.support.jobs import job_worker
from tests.support.projected import append, following
from tests.support.stores import patient_store

KEYS = [
    {"name": "order", "path": "trigger.body.order.id", "type": "number"},
    {"name": "customer", "path": "trigger.body.customer"},
]


def id_of_last_month() -> UUID:
    return UUID(int=int((now() - timedelta(days=31)).timestamp() * 1_000) << 80 | new_id().int & (1 << 80) - 1)


async def publish(person: Person, zap_id: str, **settings: Any) -> None:
    etag = (await person("GET", f"/zaps/{zap_id}")).headers["etag"]
    body = zap_body() | {"settings": settings}
    answer = await person("PUT", f"/zaps/{zap_id}", json=body, headers={"if-match": etag})
    assert answer.status_code == 200, answer.text
    assert (await person("POST", f"/zaps/{zap_id}/publish")).status_code == 200


async def test_a_key_that_is_declared_today_finds_the_runs_of_last_month(ada: Person, bob: Person, dsn: str) -> None:
    zap = await ada.live_zap()
    async with patient_store(dsn) as store, following(dsn, store):
        ids = [id_of_last_month() for _ in range(5)]
        for n, run_id in enumerate(ids):
            request = json_request({"order": {"id": 4711 + n}, "customer": "ACME" if n % 2 else "Umbrella"})
            requested = run.RunRequested(zap_id=UUID(zap["id"]), zap_version=1, source="webhook", request=request)
            tenant = UUID(ada.id)
            await append(store, run_id, requested, run.RunCompleted(), tenant_id=tenant, key=run_id)
        await publish(ada, zap["id"], search_keys=KEYS)

        async def asked(query: str) -> list[dict[str, Any]]:
            answer = await ada("GET", f"/runs?{query}")
            assert answer.status_code == 200, answer.text
            items: list[dict[str, Any]] = answer.json()["items"]
            return items

        async def all_found() -> bool:
            return len(await asked("where=keys.order?")) == 5

        async def ended() -> list[dict[str, Any]]:
            jobs = (await ada("GET", "/jobs")).json()["items"]
            return [job for job in jobs if job["status"] == "completed"]

        async with job_worker(dsn, store):
            await eventually(all_found)
            (job,) = await eventually(ended)
        assert (job["kind"], job["done"]) == ("search_keys", 5)
        (found,) = await asked("where=keys.order=4713")
        assert (found["id"], found["keys"]) == (str(ids[2]), {"order": 4713, "customer": "Umbrella"})
        assert [item["keys"]["order"] for item in await asked("where=keys.customer=ACME")] == [4714, 4712]
        assert [item["keys"]["order"] for item in await asked("sort=keys.order&order=asc&limit=2")] == [4711, 4712]
        (only,) = await asked("where=keys.order=4713&columns=keys.customer")
        assert only["keys"] == {"customer": "Umbrella"}
        first = (await ada("GET", "/runs?sort=keys.order&limit=3")).json()
        rest = await asked(f"sort=keys.order&limit=3&cursor={first['next_cursor']}")
        assert [item["keys"]["order"] for item in first["items"] + rest] == [4715, 4714, 4713, 4712, 4711]
        assert (await ada("GET", f"/runs?sort=keys.other&cursor={first['next_cursor']}")).status_code == 400
        assert (await ada("GET", "/runs/count?where=keys.order>4712")).json() == {"count": 3, "exact": True}
        assert (await bob("GET", "/runs?where=keys.order?")).json()["items"] == []


async def test_runs_are_listed_by_the_tag_of_their_zaps(ada: Person, bob: Person, dsn: str) -> None:
    billing, other = await ada.live_zap("one"), await ada.live_zap("two")
    await publish(ada, billing["id"], tags=["billing"])
    started = [(await ada.api.post(zap["hook_url"])).json()["run_id"] for zap in (billing, other)]
    async with patient_store(dsn) as store, following(dsn, store):
        head = await store.head()

        async def ids(query: str) -> list[str]:
            answer = await ada("GET", f"/runs?{query}&min_position={head}")
            assert answer.status_code == 200, answer.text
            return [item["id"] for item in answer.json()["items"]]

        assert await ids("status=queued") == started[::-1]
        assert await ids("tag=billing") == started[:1]
        assert await ids(f"tag=billing&zap_id={other['id']}") == []
        assert await ids("tag=nobody") == []
        assert (await bob("GET", "/runs?tag=billing")).json()["items"] == []
        assert (await ada("GET", "/runs/count?tag=billing")).json()["count"] == 1


async def test_mistakes_in_keys_are_told(ada: Person) -> None:
    for keys in (
        [{"name": "Order", "path": "trigger.body.x"}], [{"name": "a", "path": "trigger..x"}],
        [{"name": "a", "path": "vars.x"}], [{"name": "a", "path": "trigger.x", "type": "int"}],
        [{"name": "a", "path": "trigger.x"}] * 2, [{"name": f"k{n}", "path": "trigger.x"} for n in range(11)],
    ):  # fmt: skip
        answer = await ada("POST", "/zaps", json=zap_body() | {"settings": {"search_keys": keys}})
        assert answer.status_code in {400, 422}, keys
    for query in ("where=keys=1", "where=keys.a.b=1", "where=keys.a", "sort=keys.A", "columns=id", "sort=keys."):
        assert (await ada("GET", f"/runs?{query}")).status_code in {400, 422}, query
