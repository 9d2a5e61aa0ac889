"""Variables: plain ones everywhere in templates, secret ones only in what a step sends, and shown nowhere."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from sql.tables.variables import MOST
from tests.support.api import Person, sign_up
from tests.support.echo_target import EchoTarget, echo_target
from tests.support.world import World

CANARY = 'canary "8f3a/+&'


@pytest.fixture
def world(calling_world: World) -> World:
    return calling_world


@pytest.fixture
def api(world: World) -> httpx.AsyncClient:
    return world.api


@pytest.fixture
async def ada(api: httpx.AsyncClient) -> Person:
    return await sign_up(api)


@pytest.fixture
async def target() -> AsyncIterator[EchoTarget]:
    async with echo_target() as target:
        yield target


async def put(ada: Person, name: str, value: Any, *, secret: bool = False) -> dict[str, Any]:
    answer = await ada("PUT", f"/variables/{name}", json={"value": value, "secret": secret})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def draft(ada: Person, *steps: dict[str, Any]) -> str:
    made = await ada("POST", "/zaps", json={"name": "z", "trigger": {"type": "webhook.catch"}, "steps": steps})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def tried(ada: Person, *steps: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    wish = {"sample": {"payload": {}}, "effects": "real"}
    answer = await ada("POST", f"/zaps/{await draft(ada, *steps)}/test", json=wish)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["steps"]
    return found, answer.text


def send(url: str, **body: str) -> dict[str, Any]:
    return {"id": "send", "type": "http.request", "config": {"url": url, "headers": body, "body": body}}


async def test_a_variable_is_set_read_listed_and_deleted(ada: Person) -> None:
    plain, secret = await put(ada, "LIMIT", 17), await put(ada, "KEY", CANARY, secret=True)
    assert (plain["value"], plain["secret"]) == (17, False)
    assert (secret["value"], secret["secret"]) == (None, True)
    assert (await ada("GET", "/variables/KEY")).json() == secret
    assert (await ada("GET", "/variables")).json() == {"items": [secret, plain], "next_cursor": None}
    assert (await put(ada, "KEY", "no secret"))["value"] == "no secret"
    assert (await ada("DELETE", "/variables/KEY")).status_code == 204
    for method in ("GET", "DELETE"):
        assert (await ada(method, "/variables/KEY")).status_code == 404


async def test_the_zaps_that_name_one_are_listed(world: World, ada: Person) -> None:
    await put(ada, "BASE", "https://example.com")
    await put(ada, "BASE_2", "https://example.com")
    one = await draft(ada, send("{{ vars.BASE }}/x"), {"id": "b", "kind": "set", "values": {"v": "{{ vars['BASE'] }}"}})
    await draft(ada, send("https://example.com", other="{{ vars.BASE_2 }}"))
    await ada("POST", f"/zaps/{one}/publish")
    await world.project()
    items = (await ada("GET", "/variables/BASE/used-by")).json()["items"]
    assert [(item["zap_id"], item["version"], item["places"]) for item in items] == [
        (one, "live", ["send", "b"]), (one, "draft", ["send", "b"]),
    ]  # fmt: skip
    assert (await ada("GET", "/variables/NONE/used-by")).status_code == 404


async def test_variables_are_ones_own(api: httpx.AsyncClient, ada: Person) -> None:
    bob = await sign_up(api)
    await put(bob, "KEY", "of bob")
    assert (await ada("GET", "/variables/KEY")).status_code == 404
    assert (await ada("GET", "/variables")).json()["items"] == []


@pytest.mark.parametrize("name", ["1a", "a-b", "a.b", "a%20b", "a" * 65, "%C3%A9"])
async def test_a_name_is_one_that_templates_can_say(ada: Person, name: str) -> None:
    assert (await ada("PUT", f"/variables/{name}", json={"value": "x"})).status_code == 400


@pytest.mark.parametrize("body", [{"value": None}, {"value": {}}, {}, {"value": "x", "sekret": True}])
async def test_a_value_is_a_text_number_or_boolean(ada: Person, body: dict[str, Any]) -> None:
    assert (await ada("PUT", "/variables/A", json=body)).status_code == 400


async def test_there_are_bounds(ada: Person) -> None:
    assert (await ada("PUT", "/variables/A", json={"value": "x" * 40_000})).status_code == 422
    assert (await ada("PUT", "/variables/A", json={"value": 1, "secret": True})).status_code == 422
    for number in range(MOST):
        await put(ada, f"V{number}", number)
    assert (await ada("PUT", "/variables/ONE_MORE", json={"value": 1})).status_code == 409
    assert (await put(ada, "V0", "another"))["value"] == "another"


async def test_plain_ones_are_in_templates_and_conditions(ada: Person, target: EchoTarget) -> None:
    await put(ada, "BASE", f"{target.url}/x")
    await put(ada, "LIMIT", 17)
    (values, gate, sent), _text = await tried(
        ada,
        {"id": "values", "kind": "set", "values": {"limit": "{{ vars.LIMIT }}"}},
        {"id": "gate", "kind": "filter", "condition": {"field": "vars.LIMIT", "operator": "equals", "value": 17}},
        {"id": "send", "type": "http.request", "config": {"method": "GET", "url": "{{ vars.BASE }}"}},
    )
    assert values["output"] == {"limit": 17}
    assert (gate["status"], sent["status"]) == ("succeeded", "succeeded")
    assert target.last.path == "/x"


async def test_a_secret_one_is_sent_and_seen_nowhere(ada: Person, target: EchoTarget) -> None:
    await put(ada, "KEY", CANARY, secret=True)
    (step,), text = await tried(
        ada, send(f"{target.url}/x", **{"x-key": "k {{ vars.KEY }}", "x-b": "{{ vars.KEY | base64_encode }}"})
    )
    assert step["status"] == "succeeded", step
    assert target.last.headers["x-key"] == f"k {CANARY}"
    assert step["input"]["body"]["x-key"] == "k [redacted]"
    assert "canary" not in text
    assert "Y2FuYXJ5" not in text
    (failed,), text = await tried(ada, send(f"{target.url}/x", **{"x-key": "{{ vars.KEY | parse_json }}"}))
    assert failed["status"] == "failed"
    assert "canary" not in text


async def test_only_what_is_sent_may_hold_a_secret(ada: Person) -> None:
    await put(ada, "KEY", CANARY, secret=True)
    keep = {"id": "keep", "kind": "set", "values": {"key": "{{ vars.KEY }}"}}
    (step,), text = await tried(ada, keep)
    assert (step["status"], "canary" in text) == ("failed", False)
    refused = await ada("POST", f"/zaps/{await draft(ada, keep)}/publish")
    (error,) = refused.json()["errors"]
    assert error["path"] == "steps.0.values.key"
    assert "is secret" in error["reason"]
    store = {"id": "keep", "type": "store.set", "config": {"key": "k", "value": "{{ vars.KEY }}"}}
    assert (await ada("POST", f"/zaps/{await draft(ada, store)}/publish")).status_code == 422


async def test_an_unknown_one_is_told_when_a_zap_is_published(ada: Person) -> None:
    await put(ada, "BASE_URL", "https://example.com")
    zap = await draft(ada, {"id": "a", "type": "http.request", "config": {"url": "{{ vars.BASE_URI }}/x"}})
    answer = await ada("POST", f"/zaps/{zap}/publish")
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["did_you_mean"]) == (422, "unknown_path", "vars.BASE_URL")
    await put(ada, "BASE_URI", "https://example.com")
    assert (await ada("POST", f"/zaps/{zap}/publish")).status_code == 200


async def test_previews_know_them_without_what_is_secret(ada: Person) -> None:
    await put(ada, "LIMIT", 17)
    await put(ada, "KEY", CANARY, secret=True)
    body = {"template": "{{ vars.LIMIT }} {{ vars.KEY }}", "sample": {"payload": {}}}
    answer = (await ada("POST", "/templates/preview", json=body)).json()
    assert answer["value"] == "17 [redacted]"
    assert "vars.LIMIT" in answer["paths"]
