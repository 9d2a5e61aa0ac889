"""Connections: secrets go in and never come out; a credential goes along with requests to its own hosts only."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.connections.probes import Probe, probe_of
from domain.declared.file import ErrorRule, When
from tests.support.api import Person, sign_up
from tests.support.echo_target import EchoTarget, echo_target
from tests.support.world import World

CANARY = "canary/+8f3a tök&n"
TOKEN = "canary-8f3a/token+="
IN_QUERY: dict[str, Any] = {"in": "query", "name": "key"}
BY_KIND: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "bearer": ({}, {"token": TOKEN}),
    "api_key": ({"in": "header", "name": "X-Key"}, {"value": TOKEN}),
    "basic": ({"username": "ada"}, {"password": CANARY}),
    "custom": ({}, {"headers": {"X-One": TOKEN, "Authorization": f"Key {TOKEN}"}}),
    "oauth2": (
        {"grant": "client_credentials", "token_url": "https://id.example.com/token", "client_id": "c"},
        {"client_secret": TOKEN},
    ),
    "smtp": ({"host": "mail.example.com", "username": "ada"}, {"password": CANARY}),
    "imap": ({"host": "mail.example.com", "username": "ada", "tls": "off"}, {"password": CANARY}),
    "postgres": ({"host": "db.example.com", "database": "shop", "username": "ada"}, {"password": CANARY}),
}


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


async def connect(
    ada: Person, kind: str = "bearer", *, hosts: list[str] | None = None, **config: Any
) -> dict[str, Any]:
    known, secrets = BY_KIND[kind]
    given = {**known, **config} | ({"hosts": hosts} if hosts else {})
    answer = await ada("POST", "/connections", json={"name": "C", "kind": kind, "config": given, "secrets": secrets})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def sends(url: str, connection: str | None, **config: Any) -> dict[str, Any]:
    step = {"id": "send", "kind": "action", "type": "http.request", "config": {"method": "GET", "url": url} | config}
    return {
        "name": "Sends",
        "trigger": {"type": "webhook.catch"},
        "steps": [step | ({"connection": connection} if connection else {})],
    }


async def saved(ada: Person, url: str, connection: str | None, **config: Any) -> httpx.Response:
    return await ada("POST", "/zaps", json=sends(url, connection, **config))


async def tried(ada: Person, url: str, connection: str, **config: Any) -> tuple[dict[str, Any], str]:
    """The step of a test with real effects, and the whole answer's text."""
    made = await saved(ada, url, connection, **config)
    assert made.status_code == 201, made.text
    wish = {"sample": {"payload": {"url": url}}, "effects": "real"}
    answer = await ada("POST", f"/zaps/{made.json()['id']}/test", json=wish)
    assert answer.status_code == 200, answer.text
    step: dict[str, Any] = answer.json()["steps"][0]
    return step, answer.text


@pytest.mark.parametrize("kind", BY_KIND)
async def test_a_connection_is_shown_without_its_secrets(world: World, ada: Person, kind: str) -> None:
    made = await connect(ada, kind)
    assert set(made) == {
        *("id", "name", "kind", "config", "status", "expires_at"),
        *("last_used_at", "last_refreshed_at", "used_by", "position"),
    }  # fmt: skip
    assert made["status"] == "untested"
    assert made["config"].items() >= BY_KIND[kind][0].items()
    changed = await ada(
        "PATCH", f"/connections/{made['id']}", json={"name": "D", "config": {"hosts": ["x.example.com"]}}
    )
    assert changed.json() | {"position": 0} == made | {
        "name": "D", "config": made["config"] | {"hosts": ["x.example.com"]}, "position": 0,
    }  # fmt: skip
    read = await ada("GET", f"/connections/{made['id']}")
    listed = await ada("GET", "/connections")
    assert read.json() == changed.json() == listed.json()["items"][0]
    assert "canary" not in changed.text + read.text + listed.text
    assert (await ada("DELETE", f"/connections/{made['id']}")).status_code == 204
    assert (await ada("GET", f"/connections/{made['id']}")).status_code == 404


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({"name": "C", "kind": "bearer"}, {"secrets.token"}),
        (
            {"name": "C", "kind": "bearer", "config": {"x": 1}, "secrets": {"tokn": "a"}},
            {"config.x", "secrets.token", "secrets.tokn"},
        ),
        ({"name": "C", "kind": "api_key", "secrets": {"value": "v"}}, {"config.in", "config.name"}),
        ({"name": "C", "kind": "nonesuch", "secrets": {}}, {"kind"}),
        ({"name": "C", "kind": "custom", "secrets": {"headers": {"A B": "v"}}}, {"secrets.headers"}),
        (
            {"name": "C", "kind": "bearer", "config": {"hosts": ["https://x"]}, "secrets": {"token": "t"}},
            {"config.hosts.0"},
        ),
        (
            {"name": "C", "kind": "smtp", "config": {"host": "h", "username": "u", "tls": "ssl"}, "secrets": {}},
            {"config.tls", "secrets.password"},
        ),
    ],
)  # fmt: skip
async def test_every_mistake_is_told_at_once(ada: Person, body: dict[str, Any], paths: set[str]) -> None:
    answer = await ada("POST", "/connections", json=body)
    assert answer.status_code == 400, answer.text
    assert {error["path"] for error in answer.json()["errors"]} == paths


@pytest.mark.parametrize("kind", ["bearer", "api_key", "basic", "custom"])
async def test_the_credential_goes_along_and_comes_back_nowhere(ada: Person, target: EchoTarget, kind: str) -> None:
    connection = await connect(ada, kind)
    step, text = await tried(ada, f"{target.url}/x", connection["id"], headers={"Authorization": "the step's own"})
    assert step["status"] == "succeeded", step
    sent = [*target.last.headers.values(), *target.last.query.values()]
    secrets = BY_KIND[kind][1]
    if kind == "basic":
        assert target.last.headers["Authorization"] == httpx.BasicAuth("ada", CANARY)._auth_header
    elif kind == "custom":
        assert (target.last.headers["X-One"], target.last.headers["Authorization"]) == (TOKEN, f"Key {TOKEN}")
    else:
        assert any(TOKEN in text for text in sent)
    assert "canary" not in text
    assert "Y2FuYXJ5" not in text  # "canary" in base64
    assert secrets
    assert step["output"]["body"]["query"] == {}
    now = (await ada("GET", f"/connections/{connection['id']}")).json()
    assert (now["status"], now["config"]["hosts"]) == ("ok", [target.url.removeprefix("http://")])
    assert now["last_used_at"] is not None


async def test_a_key_in_the_query_is_added_and_the_url_stays_as_it_is(ada: Person, target: EchoTarget) -> None:
    connection = await connect(ada, "api_key", **IN_QUERY)
    step, text = await tried(ada, f"{target.url}/a%2Fb?x=1#f", connection["id"])
    assert target.last.raw_path == "/a%2Fb?x=1&key=canary-8f3a%2Ftoken%2B%3D"
    assert step["input"]["url"] == f"{target.url}/a%2Fb?x=1#f"
    assert "canary" not in text


async def test_a_failed_answer_tells_no_secret_and_marks_the_connection(ada: Person, target: EchoTarget) -> None:
    target.status = 401
    connection = await connect(ada)
    step, text = await tried(ada, f"{target.url}/x", connection["id"])
    assert (step["status"], step["error"]["code"]) == ("failed", "http_401")
    assert "canary" not in text
    assert (await ada("GET", f"/connections/{connection['id']}")).json()["status"] == "failed"


async def test_a_credential_goes_to_no_host_but_its_own(ada: Person, target: EchoTarget) -> None:
    connection = await connect(ada, hosts=["api.example.com", "*.example.org"])
    refused = await saved(ada, f"{target.url}/x", connection["id"])
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert (error["path"], error["pointer"], error["code"]) == (
        "steps.0.connection", "/steps/0/connection", "host_not_allowed",
    )  # fmt: skip
    made = await saved(ada, "{{ trigger.body.url }}", connection["id"])
    wish = {"sample": {"payload": {"url": f"{target.url}/x"}}, "effects": "real"}
    (step,) = (await ada("POST", f"/zaps/{made.json()['id']}/test", json=wish)).json()["steps"]
    assert step["error"]["code"] == "host_not_allowed"
    assert "127.0.0.1" in step["error"]["message"]
    assert target.requests == []


async def test_data_alone_never_decides_where_a_credential_may_go(ada: Person) -> None:
    connection = await connect(ada)
    for url in ("{{ trigger.body.url }}", "https://api.example.com{{ trigger.body.path }}"):
        refused = await saved(ada, url, connection["id"])
        assert refused.status_code == 422
        assert "config.hosts" in refused.json()["errors"][0]["reason"]
    assert (await saved(ada, "https://api.example.com/{{ trigger.body.path }}", connection["id"])).status_code == 201
    assert (await ada("GET", f"/connections/{connection['id']}")).json()["config"]["hosts"] == ["api.example.com"]


async def test_what_a_step_names_has_to_be_there_and_to_fit(api: httpx.AsyncClient, ada: Person) -> None:
    bob = await sign_up(api)
    mail, foreign = await connect(ada, "smtp"), await connect(bob)
    unknown = "01890000-0000-7000-8000-000000000000"
    answers = [await saved(ada, "https://x.example.com/", named) for named in (unknown, foreign["id"])]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert answers[0].json()["errors"] == answers[1].json()["errors"]
    assert answers[0].json()["errors"][0]["code"] == "unknown_connection"
    misfit = await saved(ada, "https://x.example.com/", mail["id"])
    assert misfit.json()["errors"][0]["code"] == "wrong_kind"
    hook = {"name": "z", "trigger": {"type": "webhook.catch", "connection": mail["id"]}}
    assert (await ada("POST", "/zaps", json=hook)).json()["errors"][0]["path"] == "trigger.connection"
    for method, path in (
        ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test"), ("GET", "/used-by"),
    ):  # fmt: skip
        body = {"name": "x"} if method == "PATCH" else None
        found, missing = [
            await ada(method, f"/connections/{named}{path}", json=body) for named in (foreign["id"], unknown)
        ]
        assert found.status_code == missing.status_code == 404
        assert found.json() == missing.json()


async def test_who_uses_it_is_known_and_keeps_it_from_being_deleted(world: World, ada: Person) -> None:
    connection = await connect(ada)
    zap = (await saved(ada, "https://api.example.com/", connection["id"])).json()
    await ada("POST", f"/zaps/{zap['id']}/publish")
    await world.project()
    assert (await ada("GET", f"/connections/{connection['id']}")).json()["used_by"] == 1
    used = (await ada("GET", f"/connections/{connection['id']}/used-by")).json()["items"]
    assert [(use["zap_id"], use["version"], use["places"]) for use in used] == [
        (zap["id"], "live", ["send"]), (zap["id"], "draft", ["send"]),
    ]  # fmt: skip
    refused = await ada("DELETE", f"/connections/{connection['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    assert "'Sends'" in refused.json()["detail"]
    body = sends("https://api.example.com/", None)
    await ada("PUT", f"/zaps/{zap['id']}", json=body, headers={"if-match": "*"})
    await world.project()
    assert (await ada("DELETE", f"/connections/{connection['id']}")).status_code == 409, "the live version names it"
    await ada("POST", f"/zaps/{zap['id']}/publish")
    await world.project()
    assert (await ada("DELETE", f"/connections/{connection['id']}")).status_code == 204


async def test_a_deletion_by_force_fails_the_steps_clearly(ada: Person, target: EchoTarget) -> None:
    connection = await connect(ada)
    made = (await saved(ada, f"{target.url}/x", connection["id"])).json()
    assert (await ada("DELETE", f"/connections/{connection['id']}?force=true")).status_code == 204
    wish = {"sample": {"payload": {}}, "effects": "real"}
    (step,) = (await ada("POST", f"/zaps/{made['id']}/test", json=wish)).json()["steps"]
    assert step["error"]["code"] == "connection_missing"
    assert target.requests == []
    published = await ada("POST", f"/zaps/{made['id']}/publish")
    assert published.json()["errors"][0]["code"] == "unknown_connection"


async def test_a_test_with_stubs_opens_no_connection(ada: Person, target: EchoTarget) -> None:
    connection = await connect(ada)
    made = (await saved(ada, f"{target.url}/x", connection["id"])).json()
    answer = await ada("POST", f"/zaps/{made['id']}/test", json={"sample": {"payload": {}}})
    assert answer.json()["outcome"]["status"] == "completed"
    assert target.requests == []


async def test_a_key_takes_the_place_of_its_name_in_a_path(ada: Person, target: EchoTarget) -> None:
    """As a bot's token does; it is in no answer and no run."""
    body = {
        "name": "C",
        "kind": "api_key",
        "config": {"in": "path", "name": "BOT_TOKEN"},
        "secrets": {"value": "12:a/b?c"},
    }
    connection = (await ada("POST", "/connections", json=body)).json()
    step, text = await tried(ada, f"{target.url}/botBOT_TOKEN/getMe?name=BOT_TOKEN", connection["id"])
    assert target.last.raw_path == "/bot12:a%2Fb%3Fc/getMe?name=BOT_TOKEN"
    assert "12:a/b?c" not in text
    assert step["status"] == "succeeded"


async def test_the_test_button_says_whether_the_host_lets_it_in(ada: Person, target: EchoTarget) -> None:
    connection = await connect(ada, hosts=[target.url.removeprefix("http://")])
    path = f"/connections/{connection['id']}/test"
    seen = []
    for status in (200, 403, 404, 503):
        target.status = status
        found = (await ada("POST", path, json={"url": f"{target.url}/me"})).json()
        seen.append((found["ok"], found["http_status"], found["status"]))
    assert seen == [(True, 200, "ok"), (False, 403, "failed"), (True, 404, "ok"), (False, 503, "ok")]
    elsewhere = (await ada("POST", path, json={"url": "https://other.example.com/"})).json()
    assert not elsewhere["ok"]
    assert "may be sent only to" in elsewhere["detail"]
    mail = await connect(ada, "smtp")
    assert (await ada("POST", f"/connections/{mail['id']}/test")).status_code == 422
    nowhere = await connect(ada)
    assert (await ada("POST", f"/connections/{nowhere['id']}/test")).status_code == 422


async def test_the_test_button_makes_the_call_that_the_connector_has_for_it(
    ada: Person, target: EchoTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service may refuse with a 200; and a 403 says that the credential is let in, for other things."""
    connection = await connect(ada, hosts=[target.url.removeprefix("http://")])
    says_no = ErrorRule(when=When(body={"query.ok": "no"}), outcome="reconnect", message="query.ok")
    seen = []
    for ok, status in (("yes", 200), ("no", 200), ("yes", 401), ("yes", 403), ("yes", 500)):
        sent: dict[str, Any] = {"method": "POST", "url": f"{target.url}/auth.test", "query": {"ok": ok}}
        monkeypatch.setattr("app.connections.trials.probe_of", lambda *_, sent=sent: Probe("Chat", sent, (says_no,)))
        target.status = status
        found = (await ada("POST", f"/connections/{connection['id']}/test")).json()
        seen.append((found["ok"], found["http_status"], found["status"]))
        assert TOKEN not in found["detail"]
    assert seen == [
        (True, 200, "ok"), (False, 200, "failed"), (False, 401, "failed"), (True, 403, "ok"), (False, 500, "ok"),
    ]  # fmt: skip
    assert (target.last.method, target.last.path) == ("POST", "/auth.test")
    assert target.last.headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("kind", "host", "call"),
    [
        ("bearer", "slack.com", "POST https://slack.com/api/auth.test"),
        ("basic", "acme.atlassian.net", "GET https://acme.atlassian.net/rest/api/3/myself"),
        ("api_key", "my-shop.myshopify.com", "GET https://my-shop.myshopify.com/admin/api/2025-10/shop.json"),
        ("bearer", "api.notion.com", "GET https://api.notion.com/v1/users/me"),
        ("basic", "slack.com", ""),
        ("basic", "a.b.atlassian.net", ""),
        ("bearer", "slack.com.evil.example", ""),
        ("bearer", "", ""),
    ],
)
def test_a_credential_is_tried_at_the_connector_of_its_host(kind: str, host: str, call: str) -> None:
    probe = probe_of(kind, host)
    assert (f"{probe.sent['method']} {probe.sent['url']}" if probe else "") == call


async def test_new_secrets_are_used_at_once_and_count_as_untested(ada: Person, target: EchoTarget) -> None:
    connection = await connect(ada, "custom")
    await tried(ada, f"{target.url}/x", connection["id"])
    change = {"secrets": {"headers": {"X-One": "another-value", "Authorization": None}}}
    changed = await ada("PATCH", f"/connections/{connection['id']}", json=change)
    assert changed.json()["status"] == "untested"
    again = await ada("POST", f"/connections/{connection['id']}/test", json={"url": f"{target.url}/y"})
    assert again.json()["ok"]
    assert target.last.headers["X-One"] == "another-value"
    assert "Authorization" not in target.last.headers


async def test_a_repeated_creation_makes_one(ada: Person) -> None:
    body = {"name": "C", "kind": "bearer", "secrets": {"token": TOKEN}}
    one, two = [await ada("POST", "/connections", json=body, headers={"idempotency-key": "once"}) for _ in range(2)]
    assert one.json() == two.json()
    assert len((await ada("GET", "/connections")).json()["items"]) == 1
