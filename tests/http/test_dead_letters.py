"""The inbox of failed runs over HTTP: listed, resolved, open again, noted; and what settings of failures may say."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from domain.failures.failures import MAX_NOTE, AlertAttempted, raise_alert, stream_of
from domain.log.event import StreamKind
from domain.run.events import RunCompleted
from domain.zap.events import Flag, ZapFlagged
from sql.process.clock import new_id, now
from tests.support.api import Person, zap_body
from tests.support.projected import requested
from tests.support.world import World


@pytest.fixture
def world(shared_world: World) -> World:
    return shared_world


@pytest.fixture
def api(world: World) -> httpx.AsyncClient:
    return world.api


async def groups(person: Person, **query: Any) -> list[dict[str, Any]]:
    answer = await person("GET", "/dead-letters", params=query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_a_group_is_listed_resolved_and_open_again_with_the_next_failure(ada: Person, world: World) -> None:
    zap = await ada.live_zap()
    await world.fail(ada, zap["id"], 3)
    (group,) = await groups(ada)
    assert (group["zap_id"], group["step_id"], group["code"], group["count"]) == (zap["id"], "echo", "http_503", 3)
    assert group["filter"] == {
        "zap_id": zap["id"], "step_id": "echo", "error_code": "http_503", "status": "failed",
    }  # fmt: skip
    assert group["state"] == "open"

    answer = await ada("POST", f"/dead-letters/{group['id']}/resolve")
    assert answer.status_code == 200
    await world.project()
    assert await groups(ada, state="open", min_position=answer.json()["position"]) == []
    (resolved,) = await groups(ada, state="resolved")
    assert (resolved["id"], resolved["state"], resolved["resolved"]) == (group["id"], "resolved", 3)
    again = await ada("POST", f"/dead-letters/{group['id']}/resolve")
    assert again.json()["position"] == resolved["position"], "nothing is stored for what is resolved"

    await world.fail(ada, zap["id"])
    (opened,) = await groups(ada, state="open")
    assert (opened["id"], opened["count"], opened["resolved"]) == (group["id"], 4, 3)
    assert await groups(ada, state="resolved") == []


async def test_what_failed_after_the_list_was_read_stays_open(ada: Person, world: World) -> None:
    zap = await ada.live_zap()
    await world.fail(ada, zap["id"], 2)
    (seen,) = await groups(ada)
    await world.fail(ada, zap["id"])
    await ada("POST", f"/dead-letters/{seen['id']}/resolve", json={"count": seen["count"]})
    await world.project()
    (group,) = await groups(ada)
    assert (group["state"], group["count"], group["resolved"]) == ("open", 3, 2)


async def test_a_note_is_kept_replaced_and_taken_away(ada: Person, world: World) -> None:
    await world.fail(ada, (await ada.live_zap())["id"])
    (group,) = await groups(ada)
    for note in ("asked the vendor", "x" * MAX_NOTE, ""):
        answer = await ada("PUT", f"/dead-letters/{group['id']}/note", json={"note": note})
        assert answer.status_code == 200, answer.text
        await world.project()
        assert [listed["note"] for listed in await groups(ada)] == [note]


@pytest.mark.parametrize(
    ("method", "command", "body"),
    [
        ("PUT", "note", {"note": "x" * (MAX_NOTE + 1)}),
        ("PUT", "note", {"note": "a\0b"}),
        ("PUT", "note", {"note": None}),
        ("PUT", "note", {}),
        ("PUT", "note", {"note": "a", "colour": "red"}),
        ("POST", "resolve", {"count": 0}),
        ("POST", "resolve", {"count": 2**63}),
        ("POST", "resolve", {"count": "all"}),
        ("POST", "resolve", []),
    ],
)
async def test_wrong_input_is_a_clear_refusal(
    ada: Person, world: World, method: str, command: str, body: object
) -> None:
    await world.fail(ada, (await ada.live_zap())["id"])
    (group,) = await groups(ada)
    answer = await ada(method, f"/dead-letters/{group['id']}/{command}", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_nobody_sees_or_touches_the_groups_of_others(ada: Person, bob: Person, world: World) -> None:
    zap = await ada.live_zap()
    await world.fail(ada, zap["id"])
    (group,) = await groups(ada)
    assert await groups(bob) == await groups(bob, zap_id=zap["id"]) == []
    for method, command, body in (("POST", "resolve", {}), ("PUT", "note", {"note": "mine"})):
        foreign = await bob(method, f"/dead-letters/{group['id']}/{command}", json=body)
        missing = await bob(method, f"/dead-letters/{new_id()}/{command}", json=body)
        assert foreign.status_code == missing.status_code == 404
        assert foreign.json() == missing.json()
    await world.project()
    assert await groups(ada) == [group]
    assert (await bob("GET", f"/zaps/{zap['id']}/health")).status_code == 404
    assert (await world.api.get("/api/v1/dead-letters")).status_code == 401


async def test_pages_follow_one_another_and_filter_by_zap(ada: Person, world: World) -> None:
    one, other = [(await ada.live_zap())["id"] for _ in range(2)]
    for number in range(5):
        await world.fail(ada, one, code=f"http_50{number}")
    await world.fail(ada, other)
    pages, cursor = [], None
    while True:
        query: dict[str, Any] = {"zap_id": one, "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await ada("GET", "/dead-letters", params=query)).json()
        pages.append([group["code"] for group in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pages == [["http_504", "http_503"], ["http_502", "http_501"], ["http_500"]]
    assert len(await groups(ada)) == 6


@pytest.mark.parametrize("query", ["cursor=x", "cursor=__________________________8", "state=open%00", "zap_id=7"])
async def test_a_wrong_query_is_a_clear_refusal(ada: Person, query: str) -> None:
    answer = await ada("GET", f"/dead-letters?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


async def test_the_zap_shows_its_flags_and_what_was_told(ada: Person, world: World) -> None:
    zap = await ada.live_zap()
    zap_id, stream = zap["id"], stream_of(UUID(zap["id"]))
    assert zap["flags"] == []
    assert (await ada("GET", f"/zaps/{zap_id}/health")).json() == {
        "completed": 0, "failed": 0, "last_completed_at": None, "last_failed_at": None, "alert": None,
        "mail_addresses": [], "polls": [],
    }  # fmt: skip
    run_id = new_id()
    await world.fail(ada, zap_id)
    flag = Flag(kind="target_gone", step_id="echo", detail="it answered 410", since=now())
    await world.record(ada, UUID(zap_id), zap_id, ZapFlagged(flag=flag))
    raised = raise_alert(UUID(zap_id), "My zap", [], every_s=60, moment=now())
    results = {"webhook": "the webhook answered 500"}
    attempt = AlertAttempted(zap_id=UUID(zap_id), alert_id=run_id, attempt=5, results=results)
    await world.record(ada, stream, zap_id, raised, attempt)

    for flags in ((await ada("GET", f"/zaps/{zap_id}")).json()["flags"], (await listed(ada, zap_id))["flags"]):
        assert [(f["kind"], f["step_id"], f["detail"]) for f in flags] == [("target_gone", "echo", "it answered 410")]
    health = (await ada("GET", f"/zaps/{zap_id}/health")).json()
    assert (health["failed"], health["alert"]["results"], health["alert"]["retry_at"]) == (1, results, None)

    enabled = await ada("POST", f"/zaps/{zap_id}/enable")
    assert (enabled.status_code, enabled.json()["flags"]) == (200, [])
    await world.project()
    assert (await listed(ada, zap_id))["flags"] == []


async def listed(person: Person, zap_id: str) -> dict[str, Any]:
    (zap,) = [zap for zap in (await person("GET", "/zaps")).json()["items"] if zap["id"] == zap_id]
    found: dict[str, Any] = zap
    return found


async def test_completed_runs_count_too(ada: Person, world: World) -> None:
    zap_id = (await ada.live_zap())["id"]
    for _ in range(3):
        run_id = new_id()
        completed = RunCompleted(zap_id=UUID(zap_id))
        await world.record(ada, run_id, str(run_id), requested(UUID(zap_id)), completed, kind=StreamKind.RUN)
    health = (await ada("GET", f"/zaps/{zap_id}/health")).json()
    assert (health["completed"], health["failed"]) == (3, 0)
    assert await groups(ada) == []


async def test_an_error_zap_is_another_zap_of_the_same_owner(ada: Person, bob: Person) -> None:
    error_zap, foreign = (await ada.live_zap())["id"], (await bob.live_zap())["id"]
    body = zap_body() | {"settings": {"on_failure": {"zap_id": error_zap}}}
    created = await ada("POST", "/zaps", json=body)
    assert created.status_code == 201, created.text
    zap_id = created.json()["id"]
    for wrong, reason in ((zap_id, "a zap can not be its own error zap"), (foreign, "no such zap")):
        changed = zap_body() | {"settings": {"on_failure": {"zap_id": wrong}}}
        answer = await ada("PUT", f"/zaps/{zap_id}", json=changed, headers={"if-match": "*"})
        assert answer.status_code == 422
        (broken,) = answer.json()["errors"]
        assert (broken["path"], broken["reason"]) == ("settings.on_failure.zap_id", reason)
    body = zap_body() | {"settings": {"on_failure": {"zap_id": foreign}}}
    assert (await ada("POST", "/zaps", json=body)).status_code == 422
