"""Many runs at once: what is asked for, what is refused, and whose it is. The work itself: test_job_worker.py."""

from functools import partial
from typing import Any

import httpx
import pytest

from app.commands import jobs
from app.commands.jobs import MAX_OPEN
from tests.support.api import Person
from tests.support.eventually import eventually
from tests.support.world import World

AT_ANY_TIME = {"from": "1970-01-01T00:00:00Z"}
BULK = ("/runs/replay", "/runs/cancel")


async def queued(person: Person, count: int = 1) -> dict[str, Any]:
    """A live zap with so many runs, of which none has begun."""
    zap = await person.live_zap()
    for n in range(count):
        assert (await person.api.post(zap["hook_url"], json={"n": n})).status_code == 200
    return zap


async def counted(person: Person, path: str, filter_: dict[str, Any]) -> int:
    answer = await person("POST", path, json={"filter": filter_, "preview": True})
    assert answer.status_code == 200, answer.text
    assert answer.json()["more"] is False
    count: int = answer.json()["count"]
    return count


async def test_a_preview_counts_and_does_nothing(ada: Person, shared_world: World) -> None:
    async with shared_world.followed():
        zap = await queued(ada, 3)
        await queued(ada, 2)

        async def seen() -> bool:
            return await counted(ada, "/runs/cancel", AT_ANY_TIME) == 5

        await eventually(seen)
        head = await shared_world.store.head()
        assert await counted(ada, "/runs/cancel", {"zap_id": zap["id"]}) == 3
        assert await counted(ada, "/runs/cancel", {"zap_id": zap["id"], "status": "queued", "source": "webhook"}) == 3
        assert await counted(ada, "/runs/cancel", {"zap_id": zap["id"], "source": "replay"}) == 0
        assert await counted(ada, "/runs/cancel", {"error_code": "http_503"}) == 0
        assert await counted(ada, "/runs/replay", {"zap_id": zap["id"]}) == 0
        assert (await shared_world.store.head(), (await ada("GET", "/jobs")).json()["items"]) == (head, [])


async def test_a_preview_says_when_there_are_more_than_it_counts(
    ada: Person, shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MAX_COUNT", 2)
    async with shared_world.followed():
        for count, more in ((2, False), (3, True)):
            zap = await queued(ada, count)
            await eventually(partial(_are, ada, zap, count))
            body = {"filter": {"zap_id": zap["id"]}, "preview": True}
            assert (await ada("POST", "/runs/cancel", json=body)).json() == {"count": 2, "more": more}
        refused = await ada("POST", "/runs/cancel", json={**body, "preview": False})
        assert (refused.status_code, refused.json()["code"]) == (409, "limit_reached")


async def test_a_job_takes_the_filters_of_the_list(ada: Person, api: httpx.AsyncClient, shared_world: World) -> None:
    schema = (await api.get("/schema/openapi.json")).json()
    asked = {one["name"] for one in schema["paths"]["/api/v1/runs"]["get"]["parameters"] if one["in"] == "query"}
    about_the_page = {"sort", "order", "columns", "cursor", "limit", "matches", "min_position"}
    taken = set(schema["components"]["schemas"]["RunSelection"]["properties"])
    assert asked - about_the_page == taken - {"include_recovered"}
    async with shared_world.followed():
        zap, other = await queued(ada, 2), await queued(ada, 1)
        for one, count in ((zap, 2), (other, 1)):
            await eventually(partial(_are, ada, one, count))
        since = "2020-01-01T00:00:00Z"
        for filters, count in (
            ({"status": ["queued", "running"], "from": since}, 3), ({"zap_version": 1, "from": since}, 3),
            ({"tag": "none-has-it"}, 0), ({"finished_from": since}, 0), ({"min_duration_ms": 1}, 0),
            ({"recovered": True}, 0), ({"recovered": False, "zap_id": zap["id"]}, 2), ({"parent": zap["id"]}, 0),
            ({"where": ["keys.order=1"]}, 0), ({"where": ["keys.order=1"], "zap_id": zap["id"]}, 0),
        ):  # fmt: skip
            assert await counted(ada, "/runs/cancel", filters) == count, filters
            listed = (await ada("GET", "/runs/count", params=filters)).json()["count"]
            assert listed == count, filters
        refused = await ada("POST", "/runs/cancel", json={"filter": {"where": ["trigr.body=1"]}})
        assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, "filter.where.0")


async def test_a_job_is_made_read_listed_paused_resumed_and_aborted(ada: Person, shared_world: World) -> None:
    async with shared_world.followed():
        zap = await queued(ada, 2)
        await eventually(lambda: _are(ada, zap, 2))
        made = await ada("POST", "/runs/cancel", json={"filter": {"zap_id": zap["id"]}, "rate_per_s": 7})
        assert made.status_code == 202, made.text
        job = made.json()
        assert made.headers["location"] == f"/api/v1/jobs/{job['id']}"
        assert (job["kind"], job["status"], job["total"], job["done"], job["rate_per_s"]) == (
            "cancel", "running", 2, 0, 7,
        )  # fmt: skip
        assert job["filter"] == {"zap_id": zap["id"]}
        for command, status in (
            ("pause", "paused"), ("pause", "paused"), ("resume", "running"), ("abort", "aborted"), ("abort", "aborted"),
            ("resume", "running"),
        ):  # fmt: skip
            answer = await ada("POST", f"/jobs/{job['id']}/{command}")
            assert (answer.status_code, answer.json()["status"]) == (200, status)
        assert (await ada("GET", f"/jobs/{job['id']}")).json() == answer.json()

        async def listed() -> bool:
            return (await ada("GET", "/jobs")).json()["items"] == [answer.json()]  # type: ignore[no-any-return]

        await eventually(listed)
        await ada("POST", f"/jobs/{job['id']}/abort")
        refused = await ada("POST", f"/jobs/{job['id']}/pause")
        assert (refused.status_code, refused.json()["code"]) == (409, "wrong_status")


async def _are(person: Person, zap: dict[str, Any], count: int) -> bool:
    return len((await person("GET", f"/runs?zap_id={zap['id']}")).json()["items"]) == count


async def test_jobs_are_listed_newest_first_page_by_page_and_only_ones_own(
    ada: Person, bob: Person, shared_world: World
) -> None:
    async with shared_world.followed():
        made = [
            (await ada("POST", path, json={"filter": {"error_code": f"e{n}"}})).json()["id"]
            for n, path in enumerate(BULK * 2)
        ]

        async def listed() -> bool:
            return len((await ada("GET", "/jobs")).json()["items"]) == len(made)

        await eventually(listed)
        first = (await ada("GET", "/jobs?limit=3")).json()
        second = (await ada("GET", f"/jobs?limit=3&cursor={first['next_cursor']}")).json()
        assert [job["id"] for job in first["items"] + second["items"]] == made[::-1]
        assert second["next_cursor"] is None
        assert (await bob("GET", "/jobs")).json() == {"items": [], "next_cursor": None}


async def test_there_are_only_so_many_open_jobs(ada: Person, bob: Person, shared_world: World) -> None:
    async with shared_world.followed():
        body = {"filter": {"status": "failed"}}
        made = [(await ada("POST", "/runs/replay", json=body)).json()["id"] for _ in range(MAX_OPEN)]

        async def refused() -> bool:
            answer = await ada("POST", "/runs/replay", json=body)
            return (answer.status_code, answer.json().get("code")) == (409, "limit_reached")

        await eventually(refused)
        assert (await bob("POST", "/runs/replay", json=body)).status_code == 202
        assert (await ada("POST", "/runs/replay", json=body | {"preview": True})).status_code == 200
        for job in (await ada("GET", "/jobs?limit=100")).json()["items"]:
            assert (await ada("POST", f"/jobs/{job['id']}/abort")).status_code == 200

        async def taken() -> bool:
            return (await ada("POST", "/runs/replay", json=body)).status_code == 202

        await eventually(taken)
        assert (await ada("POST", f"/jobs/{made[0]}/resume")).status_code == 200


async def test_a_filter_never_selects_what_is_anothers(ada: Person, bob: Person, shared_world: World) -> None:
    async with shared_world.followed():
        zap = await queued(ada, 3)
        await eventually(lambda: _are(ada, zap, 3))
        for filter_ in ({"zap_id": zap["id"]}, {"status": "queued"}, {"source": "webhook"}, AT_ANY_TIME):
            assert await counted(bob, "/runs/cancel", filter_) == 0
            assert await counted(ada, "/runs/cancel", filter_) == 3


async def test_nobody_steers_the_job_of_another(ada: Person, bob: Person, shared_world: World) -> None:
    async with shared_world.followed():
        job = (await ada("POST", "/runs/replay", json={"filter": {"status": "failed"}})).json()["id"]
        for method, path in (("GET", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/abort")):
            for id_ in (job, ada.id, "01890000-0000-7000-8000-000000000000"):
                answer = await bob(method, f"/jobs/{id_}{path}")
                assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert (await ada("GET", f"/jobs/{job}")).json()["status"] == "running"


@pytest.mark.parametrize("path", BULK)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400), (None, 400), ({"filter": None}, 400), ({"filter": []}, 400), ({"filter": {"nope": 1}}, 400),
        ({"filter": {}}, 422), ({"filter": {"status": None}}, 422), ({"filter": {"status": "nope"}}, 400),
        ({"filter": {"zap_id": "x"}}, 400), ({"filter": {"from": "yesterday"}}, 400),
        ({"filter": {"error_code": "a\x00b"}}, 400), ({"filter": {"step_id": ""}}, 400),
        ({"filter": {"error_code": "x" * 201}}, 400), ({"filter": {"source": "webhook"}, "rate_per_s": 0}, 400),
        ({"filter": {"source": "webhook"}, "rate_per_s": 1001}, 400),
        ({"filter": {"source": "webhook"}, "rate_per_s": 1.5}, 400),
        ({"filter": {"source": "webhook"}, "limit": 1}, 400), ({"filter": {"source": "webhook"}, "preview": "y"}, 400),
    ],
)  # fmt: skip
async def test_a_wish_that_is_not_clear_is_refused(ada: Person, path: str, body: Any, status: int) -> None:
    answer = await ada("POST", path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("step", ["", "a\x00b", "x" * 65, 7])
async def test_a_step_that_none_can_be_is_refused(ada: Person, step: object) -> None:
    body = {"filter": {"status": "failed"}, "from_step": step}
    assert (await ada("POST", "/runs/replay", json=body)).status_code == 400


@pytest.mark.parametrize(("path", "status"), [("/runs/replay", "queued"), ("/runs/cancel", "failed")])
async def test_a_status_that_the_command_can_not_have_is_refused_with_those_it_can(
    ada: Person, path: str, status: str
) -> None:
    answer = await ada("POST", path, json={"filter": {"status": status}})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "filter.status")


async def test_moments_are_utc_unless_they_say_otherwise_and_may_be_far_away(ada: Person, shared_world: World) -> None:
    async with shared_world.followed():
        for moment in ("0001-01-01T00:00:00", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999"):
            for bound in ("from", "to", "finished_from", "finished_to"):
                assert await counted(ada, "/runs/cancel", {bound: moment}) == 0


@pytest.mark.parametrize("query", ["error_code=%00", "step_id=%00", "step_id=", "error_code=" + "x" * 201])
async def test_a_search_for_what_no_code_can_be_is_refused(ada: Person, query: str) -> None:
    assert (await ada("GET", f"/runs?{query}")).status_code == 400
