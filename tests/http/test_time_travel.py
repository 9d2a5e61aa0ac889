"""Zaps and runs as they were, and what has changed since."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from projections.engine.rebuild import rebuild
from projections.zap_health import ZAP_HEALTH
from projections.zap_list import ZAP_LIST
from tests.http.test_runs import fail_run, hook
from tests.support.api import Person, zap_body

Project = Callable[[], Awaitable[None]]
CANARY = "canary-4f1c"


@pytest.fixture
def project(dsn: str) -> Project:
    """Brings the zap list, and what it shows of runs, up to the head of the log."""

    async def bring_up_to_date() -> None:
        for shown in (ZAP_LIST, ZAP_HEALTH):
            await rebuild(dsn, shown, 3)

    return bring_up_to_date


async def change(person: Person, zap: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    answer = await person("PUT", f"/zaps/{zap['id']}", json=body, headers={"if-match": "*"})
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


async def test_a_zap_is_told_as_of_each_position_and_time_of_its_past(ada: Person, bob: Person) -> None:
    zap = await ada.create_zap("Before")
    path = f"/zaps/{zap['id']}"
    published = (await ada("POST", f"{path}/publish")).json()
    changed = await change(ada, zap, zap_body("After"))
    await ada("DELETE", path)
    for then, name, status, tag in ((zap, "Before", "draft", '"1"'), (published, "Before", "enabled", '"3"'),
                                    (changed, "After", "enabled", '"4"')):  # fmt: skip
        for as_of in (then["position"], then["updated_at"], then["updated_at"].removesuffix("Z")):
            answer = await ada("GET", path, params={"as_of": as_of})
            found = answer.json()
            assert (found["name"], found["status"], answer.headers["etag"]) == (name, status, tag), as_of
            assert found["as_of"]["position"] == then["position"]
            assert found["position"] == then["position"]
            assert (await ada("GET", path, params={"as_of": as_of})).json() == found, "the past does not change"
    gone = await ada("GET", path, params={"as_of": changed["position"] + 1})
    assert (gone.status_code, "was deleted by then" in gone.json()["detail"]) == (404, True)
    early = await ada("GET", path, params={"as_of": zap["position"] - 1})
    assert (early.status_code, f"begins at position {zap['position']}" in early.json()["detail"]) == (404, True)
    long_ago = await ada("GET", path, params={"as_of": datetime(2020, 1, 1, tzinfo=UTC).isoformat()})
    assert long_ago.status_code == 404
    for as_of in (zap["position"], zap["position"] - 1):
        foreign = await bob("GET", path, params={"as_of": as_of})
        assert (foreign.status_code, foreign.json()["detail"]) == (404, "no such zap")


async def test_nothing_is_told_of_the_future(ada: Person) -> None:
    zap = await ada.create_zap()
    soon = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    for path in (f"/zaps/{zap['id']}", "/zaps", f"/runs/{zap['id']}"):
        for as_of in (soon, 10**17, "9999-12-31"):
            answer = await ada("GET", path, params={"as_of": as_of})
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), (path, as_of)
            assert "future" in answer.json()["detail"]
        for as_of in ("-1", "yesterday", "9" * 19, "1.5", ""):
            answer = await ada("GET", path, params={"as_of": as_of})
            assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "as_of"), (path, as_of)


async def test_an_answer_as_of_a_moment_stays_the_same_while_the_log_grows(ada: Person) -> None:
    """Asked again and again of moments that are just over, while appends are under way."""
    zap = await ada.create_zap()
    path = f"/zaps/{zap['id']}"
    answers: list[tuple[str, dict[str, Any]]] = []

    async def ask() -> None:
        for _ in range(40):
            moment = datetime.now(UTC).isoformat()
            answer = await ada("GET", path, params={"as_of": moment})
            if answer.status_code == 200:
                answers.append((moment, answer.json()))

    async def write() -> None:
        for number in range(40):
            await change(ada, zap, zap_body(f"Name {number}"))

    await asyncio.gather(ask(), write())
    assert len(answers) > 10
    for moment, found in answers:
        assert (await ada("GET", path, params={"as_of": moment})).json() == found


async def test_drafts_that_were_replaced_make_no_difference(ada: Person) -> None:
    """What is left out of a long history is nothing that counts: each position gives what was answered then."""
    zap = await ada.create_zap("0")
    path, then = f"/zaps/{zap['id']}", [zap]
    for number, command in enumerate(("publish", "draft", "draft", "publish", "draft", "rollback", "pause", "draft",
                                      "rollback", "enable", "draft", "draft")):  # fmt: skip
        if command == "draft":
            then.append(await change(ada, zap, zap_body(str(number), text=str(number))))
        else:
            body = {"json": {"version": 1}} if command == "rollback" else {}
            then.append((await ada("POST", f"{path}/{command}", **body)).json())
    for told in then:
        found = (await ada("GET", path, params={"as_of": told["position"]})).json()
        del found["as_of"]
        assert found == told


async def test_the_zap_list_is_told_as_it_was(ada: Person, bob: Person, project: Project) -> None:
    moments: list[tuple[int, list[dict[str, Any]]]] = []

    async def remember(position: int) -> None:
        await project()
        of_now = dict.fromkeys(("completed", "failed", "last_completed_at", "last_failed_at"))
        moments.append((position, [item | of_now for item in (await ada("GET", "/zaps")).json()["items"]]))

    first = await ada.create_zap("one")
    await bob.create_zap("of Bob")
    await remember(first["position"] + 1)
    second = await ada.create_zap("two")
    await remember(second["position"])
    published = (await ada("POST", f"/zaps/{first['id']}/publish")).json()
    await remember(published["position"])
    changed = await change(ada, second, zap_body("two again"))
    await remember(changed["position"])
    await ada("DELETE", f"/zaps/{first['id']}")
    await remember(changed["position"] + 1)
    for position, expected in moments:
        answer = await ada("GET", "/zaps", params={"as_of": position})
        assert answer.json()["items"] == expected, position
        assert answer.json()["as_of"]["position"] == position
    position, expected = moments[3]
    page = (await ada("GET", "/zaps", params={"as_of": position, "limit": 1})).json()
    rest = (await ada("GET", "/zaps", params={"as_of": position, "limit": 1, "cursor": page["next_cursor"]})).json()
    assert (page["items"] + rest["items"], rest["next_cursor"]) == (expected, None)
    assert (await ada("GET", "/zaps", params={"as_of": 0})).json()["items"] == []


async def test_a_run_is_told_after_each_of_its_events(ada: Person, bob: Person, dsn: str) -> None:
    run = await hook(ada, await ada.live_zap(), json={"n": 1})
    path = f"/runs/{run['run_id']}"
    queued = (await ada("GET", path)).json()
    await fail_run(dsn, ada, run["run_id"])
    then = (await ada("GET", path, params={"as_of": run["position"]})).json()
    assert then.pop("as_of")["position"] == run["position"]
    assert then == queued
    events = (await ada("GET", f"{path}/events?state=true")).json()["items"]
    assert [event["state"]["status"] for event in events] == ["queued", "running", "running", "failed"]
    for event in events:
        as_of = (await ada("GET", path, params={"as_of": event["position"]})).json()
        del as_of["as_of"]
        assert event["state"] == as_of
    paged = []
    cursor = ""
    while cursor is not None:
        page = (await ada("GET", f"{path}/events?state=true&limit=1&cursor={cursor}".removesuffix("&cursor="))).json()
        paged += page["items"]
        cursor = page["next_cursor"]
    assert paged == events
    assert "state" not in (await ada("GET", f"{path}/events")).json()["items"][0]
    early = await ada("GET", path, params={"as_of": run["position"] - 1})
    assert (early.status_code, "was not there yet" in early.json()["detail"]) == (404, True)
    for path_of in (path, f"{path}/events", f"{path}/diff"):
        query = "as_of=1" if path_of == path else "from=1&to=1" if path_of.endswith("diff") else "state=true"
        foreign = await bob("GET", f"{path_of}?{query}")
        assert (foreign.status_code, foreign.json()["detail"]) == (404, "no such run"), path_of


async def test_what_happened_to_a_run_between_two_points_is_told(ada: Person, dsn: str) -> None:
    run = await hook(ada, await ada.live_zap(), json={"n": 1})
    path, start = f"/runs/{run['run_id']}", run["position"]
    await fail_run(dsn, ada, run["run_id"])
    answer = (await ada("GET", f"{path}/diff", params={"from": start, "to": start + 3})).json()
    assert (answer["from"]["position"], answer["to"]["position"], answer["cut"]) == (start, start + 3, False)
    changes = {change["path"]: change for change in answer["changes"]}
    assert changes["status"] == {"path": "status", "op": "replace", "before": "queued", "after": "failed"}
    assert changes["steps.echo.status"]["after"] == "succeeded"
    assert changes["steps.next"]["op"] == "add"
    none = (await ada("GET", f"{path}/diff", params={"from": start, "to": start})).json()
    assert none["changes"] == []
    back = (await ada("GET", f"{path}/diff", params={"from": start + 3, "to": start})).json()
    assert {"path": "status", "op": "replace", "before": "failed", "after": "queued"} in back["changes"]
    missing = await ada("GET", f"{path}/diff", params={"from": start})
    assert (missing.status_code, missing.json()["errors"][0]["path"]) == (400, "to")


async def test_versions_and_drafts_are_compared_without_showing_secrets(ada: Person) -> None:
    body = zap_body("Orders")
    body["steps"][0]["config"]["text"] = f"password={CANARY}-old"
    zap = (await ada("POST", "/zaps", json=body)).json()
    path = f"/zaps/{zap['id']}"
    first = (await ada("POST", f"{path}/publish")).json()
    body["name"] = "Orders of today"
    body["steps"][0]["config"]["text"] = f"password={CANARY}-new"
    body["steps"].insert(0, {"id": "first", "kind": "set", "values": {"a": 1}})
    changed = await change(ada, zap, body)
    second = (await ada("POST", f"{path}/publish")).json()
    expected = [
        {"path": "name", "op": "replace", "before": "Orders", "after": "Orders of today"},
        {"path": "steps.echo.config.text", "op": "replace", "before": "password=[redacted]",
         "after": "password=[redacted]"},
        {"path": "steps.first", "op": "add", "after": {"id": "first", "kind": "set", "values": {"a": 1}}},
    ]  # fmt: skip
    found = (await ada("GET", f"{path}/versions/1/diff/2")).json()
    assert sorted(found["changes"], key=lambda change: change["path"]) == expected
    assert found["cut"] is False
    assert CANARY not in msgspec.json.encode(found).decode()
    assert (await ada("GET", f"{path}/versions/2/diff/2")).json()["changes"] == []
    assert (await ada("GET", f"{path}/versions/1/diff/3")).status_code == 404
    between = await ada("GET", f"{path}/diff", params={"from": first["position"], "to": second["position"]})
    paths = {change["path"] for change in between.json()["changes"]}
    assert paths == {"name", "version", "draft.steps.echo.config.text", "draft.steps.first"}
    assert CANARY not in between.text
    same = await ada("GET", f"{path}/diff", params={"from": changed["position"], "to": changed["position"]})
    assert same.json()["changes"] == []


async def test_zaps_are_found_by_their_tags(ada: Person, project: Project) -> None:
    tags: list[list[str]] = [["billing"], ["billing", "Österreich & Co"], []]
    ids = [(await ada("POST", "/zaps", json=zap_body() | {"settings": {"tags": one}})).json()["id"] for one in tags]
    await project()

    async def found(**query: Any) -> list[int]:
        answer = await ada("GET", "/zaps", params=query)
        assert answer.status_code == 200, answer.text
        assert all(item["tags"] == tags[ids.index(item["id"])] for item in answer.json()["items"])
        return sorted(ids.index(item["id"]) for item in answer.json()["items"])

    assert await found() == [0, 1, 2]
    assert await found(tag="billing") == [0, 1]
    assert await found(tag=["billing", "Österreich & Co"]) == [1]
    assert await found(tag="bill") == []
    then = (
        await ada("GET", "/zaps", params={"as_of": (await ada("GET", f"/zaps/{ids[1]}")).json()["position"]})
    ).json()
    zap = await ada("GET", f"/zaps/{ids[0]}")
    changed = zap_body() | {"settings": {"tags": ["sales"]}}
    await ada("PUT", f"/zaps/{ids[0]}", json=changed, headers={"if-match": zap.headers["etag"]})
    await project()
    assert [item["tags"] for item in then["items"]] == [tags[1], tags[0]]
    past = await ada("GET", "/zaps", params={"tag": "billing", "as_of": then["as_of"]["position"]})
    assert [item["id"] for item in past.json()["items"]] == [ids[1], ids[0]]
    now = (await ada("GET", "/zaps", params={"tag": "sales"})).json()["items"]
    assert [item["id"] for item in now] == [ids[0]]
    refused = await ada("GET", "/zaps", params={"tag": [str(n) for n in range(21)]})
    assert refused.status_code == 400
