"""Zaps from draft to deletion, as their owner meets them."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from tests.support.api import HOOK_URL, Person, zap_body


async def test_a_created_zap_is_a_draft_with_its_hook_address(ada: Person) -> None:
    answer = await ada("POST", "/zaps", json=zap_body("Greet"))
    assert answer.status_code == 201
    zap = answer.json()
    assert answer.headers["location"] == f"/api/v1/zaps/{zap['id']}"
    assert answer.headers["etag"] == '"1"'
    assert (zap["name"], zap["status"], zap["version"]) == ("Greet", "draft", 0)
    assert zap["hook_url"] == f"{HOOK_URL}/hooks/catch/{ada.id}/{zap['id']}"
    assert zap["draft"] == {name: zap_body()[name] for name in ("trigger", "steps")}
    read = await ada("GET", f"/zaps/{zap['id']}")
    assert (read.json(), read.headers["etag"]) == (zap, '"1"')


async def test_a_step_is_an_action_when_its_kind_is_left_out(ada: Person) -> None:
    body = zap_body()
    del body["steps"][0]["kind"]
    answer = await ada("POST", "/zaps", json=body)
    assert answer.json()["draft"]["steps"][0]["kind"] == "action"


async def test_the_life_of_a_zap(ada: Person) -> None:
    zap = await ada.create_zap(text="one")
    path = f"/zaps/{zap['id']}"
    states = []
    for command in ("publish", "publish", "pause", "pause", "enable"):
        answer = await ada("POST", f"{path}/{command}")
        states.append((answer.json()["status"], answer.json()["version"], answer.headers["etag"]))
    assert states == [
        ("enabled", 1, '"3"'), ("enabled", 1, '"3"'), ("paused", 1, '"4"'), ("paused", 1, '"4"'), ("enabled", 1, '"5"'),
    ]  # fmt: skip
    changed = await ada("PUT", path, json=zap_body(text="two"), headers={"if-match": '"5"'})
    assert (changed.status_code, changed.json()["version"], changed.headers["etag"]) == (200, 1, '"6"')
    assert (await ada("POST", f"{path}/publish")).json()["version"] == 2
    unsaved = await ada("PUT", path, json=zap_body(text="three"), headers={"if-match": '"7"'})
    assert unsaved.json()["draft_differs"] is True
    back = (await ada("POST", f"{path}/rollback", json={"version": 1})).json()
    assert (back["version"], back["draft_differs"], back["draft"]["steps"][0]["config"]) == (1, False, {"text": "one"})
    assert back["set_aside"]["definition"]["steps"][0]["config"] == {"text": "three"}
    assert (await ada("POST", f"{path}/publish")).json()["version"] == 1, "what was wrong does not go live again"
    versions = (await ada("GET", f"{path}/versions")).json()["items"]
    assert [(version["number"], version["live"]) for version in versions] == [(2, False), (1, True)]
    page = (await ada("GET", f"{path}/versions", params={"limit": 1})).json()
    rest = (await ada("GET", f"{path}/versions", params={"limit": 1, "cursor": page["next_cursor"]})).json()
    assert (page["items"] + rest["items"], rest["next_cursor"]) == (versions, None)
    one = (await ada("GET", f"{path}/versions/1")).json()
    assert one["definition"]["steps"][0]["config"] == {"text": "one"}
    assert (await ada("DELETE", path)).status_code == 204
    assert (await ada("DELETE", path)).status_code == 204
    assert (await ada("GET", path)).status_code == 404
    assert (await ada("POST", f"{path}/publish")).status_code == 404


async def test_a_zap_can_be_read_as_it_was(ada: Person) -> None:
    zap = await ada.create_zap("Before")
    path = f"/zaps/{zap['id']}"
    await ada("PUT", path, json=zap_body("After"), headers={"if-match": '"1"'})
    await ada("DELETE", path)
    before = await ada("GET", path, params={"as_of": zap["updated_at"]})
    assert (before.status_code, before.json()["name"], before.headers["etag"]) == (200, "Before", '"1"')
    naive = zap["updated_at"].removesuffix("Z")
    assert (await ada("GET", path, params={"as_of": naive})).json()["name"] == "Before"
    assert (await ada("GET", path, params={"as_of": datetime(2020, 1, 1, tzinfo=UTC).isoformat()})).status_code == 404
    assert (await ada("GET", path, params={"as_of": "yesterday"})).status_code == 400


@pytest.mark.parametrize("command", ["enable", "pause"])
async def test_what_was_never_published_has_nothing_to_turn_on_or_off(ada: Person, command: str) -> None:
    zap = await ada.create_zap()
    answer = await ada("POST", f"/zaps/{zap['id']}/{command}")
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_status")


@pytest.mark.parametrize(
    ("if_match", "status"),
    [(None, 428), ('"2"', 412), ('W/"1"', 412), ('"x"', 412), ("1", 400), ("", 400), ("\"'", 400),
     ('"1"', 200), ("*", 200), ('"7", "1"', 200)],
)  # fmt: skip
async def test_a_draft_is_replaced_only_by_who_has_read_it(ada: Person, if_match: str | None, status: int) -> None:
    zap = await ada.create_zap()
    headers = {} if if_match is None else {"if-match": if_match}
    answer = await ada("PUT", f"/zaps/{zap['id']}", json=zap_body("New"), headers=headers)
    assert answer.status_code == status
    assert (await ada("GET", f"/zaps/{zap['id']}")).json()["name"] == ("New" if status == 200 else "My zap")


async def test_of_two_drafts_at_once_one_is_refused(ada: Person) -> None:
    zap = await ada.create_zap()
    answers = await asyncio.gather(
        *(ada("PUT", f"/zaps/{zap['id']}", json=zap_body(f"Draft {i}"), headers={"if-match": '"1"'}) for i in range(5))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412]
    winner = next(answer.json() for answer in answers if answer.status_code == 200)
    assert (await ada("GET", f"/zaps/{zap['id']}")).json() == winner


async def test_commands_without_if_match_are_decided_anew_when_others_are_quicker(ada: Person) -> None:
    zap = await ada.live_zap()
    path = f"/zaps/{zap['id']}"
    answers = await asyncio.gather(*(ada("POST", f"{path}/{command}") for command in ("pause", "enable", "publish")))
    assert {answer.status_code for answer in answers} == {200}


async def test_a_command_may_come_with_if_match(ada: Person) -> None:
    zap = await ada.create_zap()
    stale = await ada("POST", f"/zaps/{zap['id']}/publish", headers={"if-match": '"9"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "version_conflict")
    assert (await ada("POST", f"/zaps/{zap['id']}/publish", headers={"if-match": '"1"'})).status_code == 200


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"trigger": {"type": "nope"}}, "trigger.type"),
        ({"steps": [{"id": "a", "type": "nope"}]}, "steps.0.type"),
        ({"steps": [{"id": "a b", "type": "test.echo", "config": {"text": "x"}}]}, "steps.0.id"),
        ({"steps": [{"id": "a", "type": "test.echo", "config": {}}]}, "steps.0.config.text"),
        ({"steps": [{"id": "a", "type": "test.echo", "config": {"text": "{{ oops"}}]}, "steps.0.config.text"),
        ({"steps": [{"id": "a", "type": "test.echo", "config": {"text": "x"}}] * 2}, "steps.1.id"),
        ({"steps": [{"id": f"s{i}", "type": "test.echo", "config": {"text": "x"}} for i in range(101)]}, "steps"),
    ],
)
async def test_a_definition_that_breaks_a_rule_is_refused_with_the_place(
    ada: Person, change: dict[str, Any], path: str
) -> None:
    answer = await ada("POST", "/zaps", json=zap_body() | change)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert path in {error["path"] for error in answer.json()["errors"]}


@pytest.mark.parametrize(
    "change",
    [
        {"name": 7}, {"name": "x" * 201}, {"name": "nul\x00"}, {"name": "\n"}, {"trigger": None}, {"trigger": "x"},
        {"steps": {}}, {"steps": [None]}, {"steps": [{"id": "a"}]}, {"status": "enabled"}, {"version": 3},
        {"trigger": {"type": "webhook.catch", "extra": 1}}, {"tenant_id": str(UUID(int=1))},
        {"steps": [{"id": "a", "kind": "nope", "type": "test.echo"}]},
        {"steps": [{"id": "a", "type": "test.echo", "config": []}]},
    ],
    ids=str,
)  # fmt: skip
async def test_a_body_of_the_wrong_shape_is_refused(ada: Person, change: dict[str, Any]) -> None:
    answer = await ada("POST", "/zaps", json=zap_body() | change)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["errors"]


@pytest.mark.parametrize(
    "body", [{}, {"version": 0}, {"version": -1}, {"version": 2**40}, {"version": "x"}, {"version": 1.5}]
)
async def test_a_roll_back_needs_a_version_number(ada: Person, body: dict[str, Any]) -> None:
    zap = await ada.live_zap()
    assert (await ada("POST", f"/zaps/{zap['id']}/rollback", json=body)).status_code == 400
    assert (await ada("POST", f"/zaps/{zap['id']}/rollback", json={"version": 2})).status_code == 404


async def test_what_the_catalog_offers_is_described(ada: Person) -> None:
    assert [item["type"] for item in (await ada("GET", "/triggers/available")).json()] == [
        "webhook.catch",
        "webhook.catch_raw",
        "manual",
        "zap.called",
        "schedule.cron",
        "schedule.every",
    ]
    (action,) = (await ada("GET", "/actions/available")).json()
    assert action["config_schema"]["required"] == ["text"]
    assert set(action) == {"type", "name", "description", "icon", "connection", "config_schema", "example"}


async def test_a_note_is_kept_with_the_version_that_it_speaks_of(ada: Person) -> None:
    zap = await ada.create_zap(text="one")
    path = f"/zaps/{zap['id']}"
    assert (await ada("POST", f"{path}/publish", json={"note": "Refunds, too"})).status_code == 200
    read = await ada("GET", path)
    await ada("PUT", path, json=zap_body(text="two"), headers={"if-match": read.headers["etag"]})
    await ada("POST", f"{path}/publish")
    versions = (await ada("GET", f"{path}/versions")).json()["items"]
    assert [(one["number"], one["note"]) for one in versions] == [(2, ""), (1, "Refunds, too")]
    refused = await ada("POST", f"{path}/publish", json={"note": "x" * 2_001})
    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (400, "note")


async def test_a_definition_is_checked_without_being_saved(ada: Person) -> None:
    body = zap_body()
    rule = {"field": "trigger.body", "operator": "exists"}
    paths = {"id": "choose", "kind": "paths", "paths": [{"id": "only", "condition": rule, "steps": []}]}
    good = await ada("POST", "/zaps/check", json=body | {"steps": [paths]})
    assert (good.status_code, [one["code"] for one in good.json()["warnings"]]) == (200, ["no_otherwise"])
    wrong = body | {"steps": [{"id": "a", "kind": "set", "values": {"x": "{{ steps.later.output }}"}}] * 2}
    bad = await ada("POST", "/zaps/check", json=wrong)
    saved = await ada("POST", "/zaps", json=wrong)
    assert (bad.status_code, bad.json()["errors"]) == (saved.status_code, saved.json()["errors"])
    assert len(bad.json()["errors"]) > 1
