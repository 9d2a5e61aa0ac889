"""Nobody sees or touches what is another's: the answer is as if it were not there."""

import pytest

from projections.engine.rebuild import rebuild
from projections.engine.registry import PROJECTIONS
from tests.support.api import Person, zap_body

ROUTES = [
    ("GET", "/zaps/{zap}"), ("PUT", "/zaps/{zap}"), ("DELETE", "/zaps/{zap}"), ("POST", "/zaps/{zap}/publish"),
    ("POST", "/zaps/{zap}/enable"), ("POST", "/zaps/{zap}/pause"), ("POST", "/zaps/{zap}/rollback"),
    ("GET", "/zaps/{zap}/versions"), ("GET", "/zaps/{zap}/versions/1"), ("GET", "/runs/{run}"),
    ("GET", "/runs/{run}/events"), ("POST", "/runs/{run}/cancel"), ("POST", "/runs/{run}/replay"),
    ("DELETE", "/api-keys/{key}"), ("GET", "/zaps/{zap}/health"), ("POST", "/runs/{run}/approvals/ok"),
    ("GET", "/zaps/{zap}?as_of=1"), ("GET", "/zaps/{zap}/diff?from=1&to=1"), ("GET", "/zaps/{zap}/history"),
    ("GET", "/zaps/{zap}/versions/1/diff/1"), ("GET", "/runs/{run}?as_of=1"), ("GET", "/runs/{run}/diff?from=1&to=1"),
    ("GET", "/runs/{run}/events?state=true"),
]  # fmt: skip
BODIES = {"PUT": zap_body(), "rollback": {"version": 1}, "ok": {"decision": "approve"}}


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_foreign_id_is_answered_like_an_unknown_one(ada: Person, bob: Person, method: str, path: str) -> None:
    zap = await ada.live_zap()
    run = (await ada.api.post(zap["hook_url"])).json()["run_id"]
    key = (await ada("POST", "/api-keys", json={"name": "k"})).json()["id"]
    body = BODIES.get(method) or BODIES.get(path.rpartition("/")[2])
    unknown = "01890000-0000-7000-8000-000000000000"
    foreign, missing = [
        await bob(method, path.format(**ids), json=body, headers={"if-match": "*"})
        for ids in ({"zap": zap["id"], "run": run, "key": key}, {"zap": unknown, "run": unknown, "key": unknown})
    ]
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json() == missing.json()
    before = await ada("GET", f"/zaps/{zap['id']}")
    assert (before.status_code, before.json()["status"]) == (200, "enabled")


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_an_id_of_another_kind_of_thing_is_unknown(ada: Person, method: str, path: str) -> None:
    """One's own user id and zap id name streams too, yet not those of a zap or run."""
    zap = await ada.live_zap()
    body = BODIES.get(method) or BODIES.get(path.rpartition("/")[2])
    ids = {"zap": ada.id, "run": zap["id"], "key": zap["id"]}
    answer = await ada(method, path.format(**ids), json=body, headers={"if-match": "*"})
    assert answer.status_code == 404


@pytest.mark.parametrize("path", ["/zaps/7", "/zaps/x", "/runs/null", "/zaps/%00", "/zaps/..%2f", "/api-keys/é"])
async def test_what_is_no_id_is_unknown(ada: Person, path: str) -> None:
    answer = await ada("DELETE" if "keys" in path else "GET", path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_lists_hold_only_what_is_ones_own(ada: Person, bob: Person, dsn: str) -> None:
    await ada("POST", "/api-keys", json={"name": "k"})
    await ada.api.post((await ada.live_zap())["hook_url"])
    for projection in PROJECTIONS:
        await rebuild(dsn, projection, 1)
    for path in ("/api-keys", "/zaps", "/runs", "/jobs", "/dead-letters", "/approvals"):
        assert (await bob("GET", path)).json() == {"items": [], "next_cursor": None}


async def test_a_hook_address_with_another_user_in_it_is_unknown(ada: Person, bob: Person) -> None:
    zap = await ada.live_zap()
    answer = await ada.api.post(zap["hook_url"].replace(ada.id, bob.id))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
