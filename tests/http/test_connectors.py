"""Connectors of a workspace: added as files, used by its zaps alone, in versions that never change."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from domain.declared.reading import MAX_FILE
from tests.support.api import Person, sign_up
from tests.support.raw_target import RawTarget, raw_target
from tests.support.world import World

FILE = """
connector: shop
version: {version}
name: Shop
base_url: {url}
connection: {{kind: bearer, required: false}}
actions:
  add_line:
    name: Add a line
    input:
      order: {{type: string, required: true}}
      sku: {{type: string, required: true, choices: skus, depends_on: [order]}}
    request:
      method: POST
      path: /orders/{{order}}/lines
      json: {{sku: "{{{{ input.sku }}}}", by: "{version}"}}
    output: {{pick: line, sample: {{id: 1}}}}
choices:
  skus:
    request: {{path: "/orders/{{order}}/skus", query: {{after: "{{{{ cursor }}}}"}}}}
    depends_on: [order]
    items: data
    value: id
    label: name
    page: {{next: next}}
"""


@pytest.fixture
def api(calling_world: World) -> httpx.AsyncClient:
    return calling_world.api


@pytest.fixture
async def ada(api: httpx.AsyncClient) -> Person:
    return await sign_up(api, name="Ada")


@pytest.fixture
async def bob(api: httpx.AsyncClient) -> Person:
    return await sign_up(api, name="Bob")


@pytest.fixture
async def shop() -> AsyncIterator[RawTarget]:
    async with raw_target() as opened:
        opened.says("Content-Type: application/json", body=b'{"line": {"id": 7}}')
        yield opened


def file(shop: RawTarget, version: str = "1.0.0") -> str:
    return FILE.format(version=version, url=f"{shop.url}/v2")


def step(**more: Any) -> dict[str, Any]:
    config = {"order": "{{ trigger.body.order }}", "sku": "A/1"}
    return {"id": "add", "kind": "action", "type": "shop.add_line", "config": config} | more


def zap(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"name": "Lines", "trigger": {"type": "webhook.catch", "config": {}}, "steps": list(steps)}


async def test_a_workspace_adds_a_connector_and_only_its_zaps_use_it(ada: Person, bob: Person, shop: RawTarget) -> None:
    added = await ada("POST", "/connectors", json={"file": file(shop)})
    assert added.status_code == 201, added.text
    detail = added.json()
    assert detail["connector"] | {"description": ""} == {
        "name": "shop", "version": "1.0.0", "title": "Shop", "description": "", "icon": "plug", "source": "uploaded",
        "connection_kinds": ["bearer"], "actions": 1,
    }  # fmt: skip
    assert (await ada("POST", "/connectors", json={"file": file(shop)})).json() == detail
    assert (await ada("GET", "/connectors/shop")).json() == detail
    assert (await ada("GET", "/connectors/shop/1.0.0")).json() == detail
    listed = (await ada("GET", "/connectors")).json()
    assert {"shop", "slack", "http", "data"} <= {item["name"] for item in listed["items"]}
    (item,) = [one for one in (await ada("GET", "/actions/available")).json() if one["type"] == "shop.add_line"]
    assert item["config_schema"]["properties"]["sku"]["x-choices"] == {"name": "skus", "depends_on": ["order"]}

    made = await ada("POST", "/zaps", json=zap(step()))
    assert made.status_code == 201, made.text
    tested = await ada(
        "POST",
        f"/zaps/{made.json()['id']}/test",
        json={"sample": {"payload": {"order": "a b"}}, "effects": "real"},
    )
    assert tested.json()["steps"][0]["output"] == {"id": 7}, tested.text
    assert shop.last.target == "/v2/orders/a%20b/lines"
    assert shop.last.body == b'{"sku":"A/1","by":"1.0.0"}'

    assert (await bob("GET", "/connectors/shop")).status_code == 404
    assert "shop" not in [item["name"] for item in (await bob("GET", "/connectors")).json()["items"]]
    refused = await bob("POST", "/zaps", json=zap(step()))
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["code"] == "unknown"
    assert (await bob("POST", "/connectors", json={"file": file(shop)})).status_code == 201


async def test_a_form_that_is_filled_in_wrongly_is_told_at_once(ada: Person, shop: RawTarget) -> None:
    await ada("POST", "/connectors", json={"file": file(shop)})
    refused = await ada("POST", "/zaps", json=zap(step(config={"ordr": "1", "sku": 5})))
    found = {error["path"]: error for error in refused.json()["errors"]}
    assert set(found) == {"steps.0.config.order", "steps.0.config.ordr", "steps.0.config.sku"}
    assert found["steps.0.config.ordr"]["did_you_mean"] == "order"


async def test_a_version_never_changes_and_a_step_may_name_one(ada: Person, shop: RawTarget) -> None:
    await ada("POST", "/connectors", json={"file": file(shop)})
    other = await ada("POST", "/connectors", json={"file": file(shop).replace("Add a line", "Add lines")})
    assert (other.status_code, other.json()["type"].rpartition("#")[2]) == (409, "version_taken")
    await ada("POST", "/connectors", json={"file": file(shop, "1.1.0")})
    assert (await ada("GET", "/connectors/shop")).json()["versions"] == ["1.1.0", "1.0.0"]
    assert (await ada("GET", "/connectors/shop/1.0.0")).json()["connector"]["version"] == "1.0.0"
    assert (await ada("GET", "/connectors/shop/9.0.0")).status_code == 404
    pinned = step(id="pinned", type="shop@1.0.0.add_line")
    made = (await ada("POST", "/zaps", json=zap(step(), pinned))).json()
    wish = {"sample": {"payload": {"order": 1}}, "effects": "real"}
    await ada("POST", f"/zaps/{made['id']}/test", json=wish)
    assert [request.body for request in shop.requests] == [
        b'{"sku":"A/1","by":"1.1.0"}',
        b'{"sku":"A/1","by":"1.0.0"}',
    ]


@pytest.mark.parametrize(("name", "why"), [("slack", "everybody has"), ("import", "a path of the API")])
async def test_a_name_that_leads_elsewhere_is_refused(ada: Person, shop: RawTarget, name: str, why: str) -> None:
    refused = await ada(
        "POST", "/connectors", json={"file": file(shop).replace("connector: shop", f"connector: {name}")}
    )
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert (error["code"], error["pointer"]) == ("taken", "/connector")
    assert why in error["reason"]


async def test_all_mistakes_of_a_file_come_by_pointer(ada: Person) -> None:
    refused = await ada("POST", "/connectors", json={"file": "connector: Shop\nversoin: 1.0.0\nactions: {a: {}}"})
    assert refused.status_code == 422
    found = {error["pointer"]: error for error in refused.json()["errors"]}
    assert set(found) == {"/connector", "/versoin", "/version", "/name", "/base_url", "/actions/a/name"}
    assert found["/versoin"]["did_you_mean"] == "version"
    taken = await ada("POST", "/connectors", json={"file": {**SLACK, "connector": "slack"}})
    assert taken.json()["errors"][0]["pointer"] == "/connector"
    bomb = "a: &a [x]\nb: [*a, *a]"
    assert "anchors" in (await ada("POST", "/connectors", json={"file": bomb})).json()["detail"]


SLACK = {
    "version": "9.0.0", "name": "Mine", "base_url": "https://slack.example",
    "actions": {"a": {"name": "A", "request": {"path": "/a"}, "output": {"sample": 1}}},
}  # fmt: skip


async def test_choices_come_page_by_page_and_are_kept_for_a_minute(ada: Person, bob: Person, shop: RawTarget) -> None:
    await ada("POST", "/connectors", json={"file": file(shop)})
    body = b'{"data": [{"id": 1, "name": "Pen"}, {"id": 2, "name": "Ink"}], "next": "p2"}'
    shop.says("Content-Type: application/json", body=body)
    wish = {"input": {"order": "7"}}
    page = await ada("POST", "/connectors/shop/choices/skus", json=wish)
    first, second = {"value": 1, "label": "Pen", "hint": ""}, {"value": 2, "label": "Ink", "hint": ""}
    assert page.json() == {"items": [first, second], "next_cursor": "p2", "complete": False}
    again = await ada("POST", "/connectors/shop/choices/skus", json=wish)
    assert (again.json(), len(shop.requests)) == (page.json(), 1)
    found = await ada("POST", "/connectors/shop/choices/skus", json={**wish, "search": "ink"})
    assert found.json()["items"] == [second]
    shop.says("Content-Type: application/json", body=b'{"data": []}')
    last = await ada("POST", "/connectors/shop/choices/skus", json={**wish, "cursor": "p2"})
    assert last.json() == {"items": [], "next_cursor": None, "complete": True}
    assert shop.last.target == "/v2/orders/7/skus?after=p2"
    missing = await ada("POST", "/connectors/shop/choices/skus", json={})
    assert missing.json()["errors"][0]["pointer"] == "/input/order"
    shop.says("Content-Type: application/json", status="500 Oops", body=b"{}")
    failed = await ada("POST", "/connectors/shop/choices/skus", json={"input": {"order": "8"}})
    assert (failed.status_code, failed.json()["type"].rpartition("#")[2]) == (502, "service_failed")
    assert (await ada("POST", "/connectors/shop/choices/none", json={})).status_code == 404
    assert (await bob("POST", "/connectors/shop/choices/skus", json=wish)).status_code == 404


DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Warehouse", "version": "7"},
    "paths": {
        "/items/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {"operationId": "getItem", "responses": {"200": {"description": "it"}}},
            "put": {
                "operationId": "putItem",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"type": "object", "properties": {"n": {"type": "integer"}}}}
                    },
                },
                "responses": {"200": {"description": "it"}},
            },
        }
    },
}


async def test_an_api_is_imported_from_its_document_and_called(ada: Person, shop: RawTarget) -> None:
    wish = {"name": "warehouse", "document": DOCUMENT, "base_url": shop.url, "connection_kind": "none"}
    preview = (await ada("POST", "/connectors/import", json=wish | {"dry_run": True})).json()
    assert [one["id"] for one in preview["operations"]] == ["getItem", "putItem"], preview
    assert (preview["connector"], preview["changes"]["added"]) == (None, ["getItem", "putItem"])
    assert (await ada("GET", "/connectors/warehouse")).status_code == 404, "a preview keeps nothing"

    made = await ada("POST", "/connectors/import", json=wish | {"operations": ["getItem"]})
    assert made.status_code == 200, made.text
    again = (await ada("POST", "/connectors/import", json=wish)).json()
    assert again["changes"] == {"added": ["putItem"], "changed": [], "removed": []}, again
    assert (await ada("GET", "/connectors/warehouse")).json()["connector"]["version"] == again["version"]

    config = {"path": {"id": "a/b"}, "body": {"n": "{{ trigger.body.n }}"}}
    tested = zap({"id": "put", "kind": "action", "type": "warehouse.putItem", "config": config})
    created = await ada("POST", "/zaps", json=tested)
    assert created.status_code == 201, created.text
    sent = await ada(
        "POST", f"/zaps/{created.json()['id']}/test", json={"sample": {"payload": {"n": 3}}, "effects": "real"}
    )
    assert sent.json()["steps"][0]["status"] == "succeeded", sent.text
    assert (shop.last.target, shop.last.body) == ("/items/a%2Fb", b'{"n":3}')


async def test_a_connector_that_is_larger_than_a_file_may_be_is_kept_read_and_imported_again(ada: Person) -> None:
    fields = {f"field_{number}": {"type": "string", "title": "x" * 60} for number in range(30)}
    content = {"application/json": {"schema": {"type": "object", "properties": fields}}}
    paths = {
        f"/things/{number}": {"post": {"operationId": f"thing{number}", "requestBody": {"content": content}}}
        for number in range(300)
    }
    document = {
        "openapi": "3.0.3",
        "info": {"title": "Large"},
        "servers": [{"url": "https://x.example"}],
        "paths": paths,
    }
    wish = {"name": "large", "document": document, "connection_kind": "none"}
    made = await ada("POST", "/connectors/import", json=wish)
    assert made.status_code == 200, made.text
    shown = await ada("GET", "/connectors/large")
    assert (shown.status_code, shown.json()["connector"]["actions"]) == (200, 300)
    assert len(shown.content) > MAX_FILE
    again = await ada("POST", "/connectors/import", json=wish)
    assert again.json()["changes"] == {"added": [], "changed": [], "removed": []}
    listed = (await ada("GET", "/actions/available")).json()
    assert [action["type"] for action in listed][-1] == "large.thing99"
    assert len({action["type"] for action in listed}) == len(listed) > 400


async def test_another_import_says_which_zaps_it_reaches(
    ada: Person, bob: Person, calling_world: World, shop: RawTarget
) -> None:
    wish = {"name": "warehouse", "document": DOCUMENT, "base_url": shop.url, "connection_kind": "none"}
    for person in (ada, bob):
        assert (await person("POST", "/connectors/import", json=wish)).status_code == 200
    put = {"id": "put", "kind": "action", "type": "warehouse.putItem", "config": {"path": {"id": "1"}, "body": {}}}
    get = put | {"id": "get", "type": "warehouse.getItem", "config": {"path": {"id": "1"}}}
    pinned = {"id": "old", "type": "warehouse@1.0.0.putItem"}
    inside = {"id": "each", "kind": "for_each", "items": "{{ trigger.body }}", "steps": [put]}
    zaps = []
    for person, step_ in ((ada, inside), (ada, get), (ada, put | pinned), (bob, put)):
        made = await person("POST", "/zaps", json=zap(step_))
        assert made.status_code == 201, made.text
        zaps.append(made.json()["id"])

    await calling_world.project()
    fewer = wish | {"operations": ["getItem"], "dry_run": True}
    assert (await ada("POST", "/connectors/import", json=fewer)).json()["affected"] == [
        {"zap_id": zaps[0], "name": "Lines", "status": "draft", "steps": ["put"], "operations": ["putItem"]}
    ]
    same = await ada("POST", "/connectors/import", json=wish | {"dry_run": True})
    assert same.json()["affected"] == []


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("", "document"),
        ("{", "document"),
        ("a: &a [*a]", "document"),
        ({"openapi": "9.9"}, "openapi"),
        (DOCUMENT | {"paths": {"/x": {"$ref": "http://169.254.169.254/x"}}}, "ref"),
        ({"paths": {}}, "document"),
    ],
)
async def test_a_document_that_cannot_be_used_is_refused(ada: Person, document: Any, says: str) -> None:
    wish = {"name": "broken", "document": document, "base_url": "http://127.0.0.1:1"}
    answer = await ada("POST", "/connectors/import", json=wish)
    assert answer.status_code == 422, answer.text
