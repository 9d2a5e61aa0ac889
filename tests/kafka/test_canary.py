"""A canary in each kind of connection, in a secret variable and in a hook's secret: it reaches those whom it is meant
for, and is found nowhere else. On real processes, which fail, repeat, renew tokens and crash.
"""

import base64
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

import asyncpg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.broker import Broker, topic_name, topic_records
from tests.support.deployment import ROLES, Deployment, deployment
from tests.support.echo_target import EchoTarget, echo_target
from tests.support.eventually import eventually
from tests.support.mail_server import running_mail_server
from tests.support.mailbox_server import mailbox_server
from tests.support.oauth_server import CLIENT, OAuthServer, oauth_server
from tests.support.system import PARTITIONS, PASSWORD

pytestmark = [pytest.mark.slow]
MARK = secrets.token_hex(6)
ONCE: dict[str, Any] = {"retry": {"kind": "fixed", "delays_s": [0.1]}, "on_error": "continue"}
PEM = (
    rsa.generate_private_key(65537, 2048)
    .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    .decode()
)


def canary(name: str) -> str:
    """A value that has to be spelt otherwise in URLs, and stands nowhere by chance."""
    return f"canary{name}{MARK}/+{MARK}="


SECRETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "bearer": ({}, {"token": canary("bearer")}),
    "api_key": ({"in": "query", "name": "key"}, {"value": canary("apikey")}),
    "basic": ({"username": "ada"}, {"password": canary("basic")}),
    "custom": ({}, {"headers": {"X-One": canary("custom")}}),
    "smtp": ({"host": "127.0.0.1", "username": "hub", "tls": "off"}, {"password": canary("smtp")}),
    "imap": ({"host": "127.0.0.1", "username": "ada", "tls": "off"}, {"password": canary("imap")}),
    "postgres": (
        {"host": "127.0.0.1", "database": "postgres", "username": "triggerhub", "tls": False},
        {"password": canary("postgres")},
    ),
}


def spellings() -> list[str]:
    """The mark as it is, as hex, and as base64 has it behind any bytes; a line of the private key; tokens."""
    raw = MARK.encode()
    in_base64 = [base64.b64encode(b"\0" * n + raw).decode()[-(-n * 8 // 6) : (n + len(raw)) * 8 // 6] for n in range(3)]
    of_key = PEM.splitlines()[12]  # behind the public ones
    key = [of_key, base64.b64decode(of_key).hex(), base64.b64decode(of_key).decode("latin-1")]
    return [MARK, raw.hex(), *in_base64, *key, "canary-access-", "canary-refresh-"]


def found_in(text: str) -> list[str]:
    """Where a canary stands in a text, with what stands around it."""
    found = []
    for spelling in spellings():
        at = text.find(spelling)
        if at >= 0:
            found.append(text[max(0, at - 120) : at + 60])
    return found


class Aviary:
    """The deployment, and what was made in it."""

    def __init__(self, system: Deployment, target: EchoTarget, server: OAuthServer, ports: dict[str, int]) -> None:
        self.system = system
        self.ports = ports
        self.target = target
        self.server = server
        self.connections: dict[str, str] = {}
        self.runs: list[UUID] = []
        self.zap: dict[str, Any] = {}
        self.polls: list[str] = []

    async def connect(self, kind: str, config: dict[str, Any], given: dict[str, Any], name: str = "") -> dict[str, Any]:
        body = {"name": name or kind, "kind": kind, "config": config, "secrets": given}
        made: dict[str, Any] = await self.system.call("POST", "/api/v1/connections", body)
        self.connections[name or kind] = made["id"]
        return made

    async def service_account(self) -> None:
        """A connection whose tokens are got with a private key, as those of Google's service accounts are."""
        url = self.server.url
        config = {"grant": "jwt_bearer", "token_url": f"{url}/token", "client_id": CLIENT,
                  "hosts": [self.target.url[7:]]}  # fmt: skip
        await self.connect("oauth2", config, {"private_key": PEM}, "jwt")

    async def consented(self) -> None:
        """A connection with OAuth, whose first token has expired as soon as it is there."""
        server = self.server
        server.lasts_s = 30
        config = {
            "grant": "authorization_code", "token_url": f"{server.url}/token", "client_id": CLIENT,
            "authorize_url": f"{server.url}/authorize", "hosts": [server.url[7:], self.target.url[7:], "127.0.0.1:9"],
        }  # fmt: skip
        made = await self.connect("oauth2", config, {"client_secret": server.secret})
        answer = server.consent(made["authorize_url"])
        async with self.system.http.get(f"{self.system.base}/oauth/callback", params=answer) as response:
            assert response.status == 200
            assert not found_in(await response.text())
        server.lasts_s = 3_600

    def steps(self) -> Iterator[dict[str, Any]]:
        """Each kind meets what lets it in, what refuses it, what fails twice, and what is not there."""
        for kind, connection in self.connections.items():
            if kind in self.ports:
                continue
            for name, url in (
                ("fine", f"{self.target.url}/x"),
                ("kept", f"{self.target.url}/x"),
                ("refused", f"{self.target.url}/status/401"),
                ("fails", f"{self.target.url}/status/500"),
                ("closed", "http://127.0.0.1:9/"),
                ("elsewhere", "{{ trigger.body.elsewhere }}"),
            ):
                if name == "closed" and kind not in ("bearer", "oauth2"):
                    continue  # else its target counts as down, and runs wait
                config = {"method": "POST", "url": url, "body": {"v": "{{ vars.SECRET }}", "b": "{{ trigger.body.n }}"},
                          "headers": {"X-V": "{{ vars.SECRET }}"}, "query": {"v": "{{ vars.SECRET }}"}}  # fmt: skip
                if name == "kept":
                    config["response"] = "binary"  # which makes a file of what the target repeats
                step = {"id": f"{kind}_{name}", "kind": "action", "type": "http.request", "config": config}
                yield step | ONCE | {"connection": connection}
        mail = {"to": "ada@example.com", "from": "hub@example.com", "text": "{{ vars.SECRET }}"}
        yield (
            {"id": "mail", "kind": "action", "type": "email.send", "config": mail}
            | ONCE
            | {"connection": self.connections["smtp"]}
        )
        sql = {"sql": "select $1::text as v", "parameters": ["{{ vars.SECRET }}"]}
        yield (
            {"id": "query", "kind": "action", "type": "postgres.query", "config": sql}
            | ONCE
            | {"connection": self.connections["postgres"]}
        )
        config = {"url": f"{self.target.url}/last", "body": "{{ steps.bearer_fine.output.body | json }}"}
        yield {"id": "last", "kind": "action", "type": "http.request", "config": config}

    async def make(self) -> None:
        call = self.system.call
        hosts = [self.target.url[7:], "127.0.0.1:9"]
        for kind, (config, given) in SECRETS.items():
            more: dict[str, Any] = {"port": self.ports[kind]} if kind in self.ports else {"hosts": hosts}
            await self.connect(kind, config | more, given)
        await self.consented()
        await self.service_account()
        await call("PUT", "/api/v1/variables/SECRET", {"value": canary("variable"), "secret": True})
        await call("PUT", "/api/v1/variables/PLAIN", {"value": "plain", "secret": False})
        verification = {"preset": "header_token", "header": "x-token"}
        self.zap = await call("POST", "/api/v1/zaps", {
            "name": "Canaries", "trigger": {"type": "webhook.catch", "config": {"verification": verification}},
            "steps": [*self.steps()], "settings": {"on_failure": {"webhook": f"{self.target.url}/alert"}},
        })  # fmt: skip
        await call("PUT", f"/api/v1/zaps/{self.zap['id']}/secrets", {"secrets": [canary("hook")]})
        await call("POST", f"/api/v1/zaps/{self.zap['id']}/publish", {})

    async def send(self, number: int) -> None:
        body = {"n": number, "elsewhere": "http://127.0.0.2:9/"}
        headers = {"X-Token": canary("hook"), "Idempotency-Key": str(number)}
        async with self.system.http.post(self.zap["hook_url"], json=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            self.runs.append(UUID((await answer.json())["run_id"]))

    async def poll(self, kind: str = "http.poll") -> str:
        """A zap that asks a source with a connection."""
        request = {"url": f"{self.target.url}/items"}
        config: dict[str, Any] = {"every_s": 10, "start_from": "all"}
        config |= {"request": request, "items": "body.items"} if kind == "http.poll" else {}
        connection = self.connections["bearer" if kind == "http.poll" else "imap"]
        trigger = {"type": kind, "config": config, "connection": connection}
        step = {"id": "set", "kind": "set", "values": {"item": "{{ trigger.body }}"}}
        zap = await self.system.call("POST", "/api/v1/zaps", {"name": "Polls", "trigger": trigger, "steps": [step]})
        await self.system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
        return str(zap["id"])

    async def ticked(self, zap_id: str) -> Any:
        return (await self.system.call("GET", f"/api/v1/zaps/{zap_id}/ticks"))["items"]


@pytest.fixture(scope="module")
async def aviary(postgres_server: str, broker: Broker) -> AsyncIterator[Aviary]:
    """Where all has happened that a canary could get out by."""
    from tests.support.postgres import cloned_database

    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(cloned_database(postgres_server))
        target = await stack.enter_async_context(echo_target())
        server = await stack.enter_async_context(oauth_server())
        server.secret = canary("client")
        mails = await stack.enter_async_context(running_mail_server(login=True))
        mailbox = await stack.enter_async_context(mailbox_server())
        mailbox.password = canary("imap")
        mailbox.mails[1] = b"From: ada@example.com\r\nSubject: order\r\n\r\nTwo of them, please."
        ports = {"smtp": mails.port, "imap": mailbox.port, "postgres": urlsplit(postgres_server).port or 0}
        system = await stack.enter_async_context(
            deployment(dsn, broker.servers, topic_name(), TRIGGERHUB_LOG_LEVEL="debug")
        )
        names = {role: await system.start(role) for role in ROLES}
        await system.ready()
        await system.sign_up()
        aviary = Aviary(system, target, server, ports)
        await aviary.make()
        polls = [await aviary.poll(kind) for kind in ("http.poll", "email.received")]
        await system.restart(names["runner"], TRIGGERHUB_CRASH_AT="runner.after_action:3")
        await aviary.send(1)
        await system.ended(names["runner"])
        await system.restart(names["runner"])
        await aviary.send(2)
        await system.settled(aviary.runs)
        for zap_id in polls:
            await eventually(partial(aviary.ticked, zap_id))
        aviary.polls = polls
        server.refusal = "not any more"
        server.valid.clear()
        await aviary.send(3)
        await eventually(lambda: "needs_reconnect" in "".join(system.lines))
        for kind in ("bearer", "basic"):
            wish = {"url": f"{target.url}/status/403"}
            tried = await system.call("POST", f"/api/v1/connections/{aviary.connections[kind]}/test", wish)
            assert not found_in(json.dumps(tried))
        yield aviary


async def test_each_canary_has_reached_whom_it_is_meant_for(aviary: Aviary) -> None:
    sent = "\n".join(str([*r.headers.items(), *r.query.items()]) for r in aviary.target.requests)
    basic = base64.b64encode(f"ada:{canary('basic')}".encode()).decode()
    for value in (canary("bearer"), canary("apikey"), basic, canary("custom"), canary("variable"), "canary-access-"):
        assert value in sent, value
    assert aviary.server.answers["refresh_token"] >= 1
    assert aviary.server.answers["urn:ietf:params:oauth:grant-type:jwt-bearer"] >= 1
    assert any(request.path == "/items" for request in aviary.target.requests)
    for zap_id in aviary.polls:
        assert [tick["status"] for tick in await aviary.ticked(zap_id)][-1] == "fired"
    detail = await aviary.system.call("GET", f"/api/v1/runs/{aviary.runs[1]}")
    errors = {step["id"]: (step["error"] or {}).get("code") for step in detail["steps"]}
    assert (errors["mail"], errors["query"]) == ("login_refused", "login_refused"), "their servers want other passwords"
    assert (errors["bearer_fine"], errors["bearer_refused"], errors["last"]) == (None, "http_401", None)
    assert errors["jwt_fine"] is None


async def test_no_table_has_one(aviary: Aviary) -> None:
    connection = await asyncpg.connect(aviary.system.dsn)
    try:
        tables = await connection.fetch(
            "select format('%I.%I', schemaname, tablename) from pg_tables"
            " where schemaname not in ('pg_catalog', 'information_schema')"
        )
        assert len(tables) > 30
        rows = 0
        for (table,) in tables:
            for row in await connection.fetch(f"select * from {table}"):
                rows += 1
                assert not found_in("\n".join(map(_text, row.values()))), table
        assert rows > 100
        kept = [row["content"] for row in await connection.fetch("select content from proj.file_chunks")]
        assert len(kept) > 2
        assert all(b"[redacted]" in content for content in kept)
    finally:
        await connection.close()


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return "\n".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)


async def test_no_message_of_the_topic_has_one(aviary: Aviary) -> None:
    servers, topic = aviary.system.topic
    records = await topic_records(servers, topic, PARTITIONS)
    assert len(records) > 30
    for record in records:
        assert not found_in(str([record.key, record.headers]) + (record.value or b"").decode("latin-1"))


async def test_no_log_of_any_process_has_one(aviary: Aviary) -> None:
    lines = aviary.system.lines
    assert {line.partition("-")[0] for line in lines} >= set(ROLES)
    assert any("crash" in line or "runner-" in line for line in lines)
    assert not [line for line in lines if found_in(line)]


async def test_no_answer_of_any_route_has_one(aviary: Aviary) -> None:
    system = aviary.system
    document = await system.call("GET", "/schema/openapi.json")
    answered = []
    for path, methods in document["paths"].items():
        if "get" not in methods or path.endswith("/live"):
            continue
        for ids in _ids(aviary, path):
            url = path.format_map(_Else(ids))
            async with system.http.get(system.base + url, headers=_bearer(system)) as response:
                text = await response.text()
            assert response.status < 500, url
            assert not found_in(text), url
            answered += [path] if response.status == 200 else []
    assert len(set(answered)) > 35, answered
    for run_id in aviary.runs:
        for more in ("/events?state=true", "/value?path=steps", "/diff?from=1&to=5"):
            async with system.http.get(f"{system.base}/api/v1/runs/{run_id}{more}", headers=_bearer(system)) as answer:
                assert not found_in(await answer.text()), more


async def test_no_search_finds_one(aviary: Aviary) -> None:
    for name in ("bearer", "apikey", "basic", "custom", "variable"):
        found = await aviary.system.call("GET", f"/api/v1/runs?q={quote(canary(name), safe='')}")
        assert found["items"] == []


async def test_no_export_and_no_command_shows_one(aviary: Aviary) -> None:
    for form in ("ndjson", "csv"):
        headers = _bearer(aviary.system)
        async with aviary.system.http.get(
            f"{aviary.system.base}/api/v1/audit/export?format={form}", headers=headers
        ) as answer:
            assert not found_in(await answer.text())
    for command in (("verify",), ("doctor",)):
        _code, output = await aviary.system.command(*command)
        assert output
        assert not found_in(output)


async def test_nor_does_a_draft_that_is_tested(aviary: Aviary) -> None:
    wish = {"sample": {"run_id": str(aviary.runs[0])}, "effects": "real"}
    found = await aviary.system.call("POST", f"/api/v1/zaps/{aviary.zap['id']}/test", wish)
    assert len(found["steps"]) > 20
    assert not found_in(json.dumps(found))


class _Else(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "x"


def _ids(aviary: Aviary, path: str) -> list[dict[str, str]]:
    """What to put into a path, once for each thing of that sort."""
    common = {"zap_id": aviary.zap["id"], "tenant_id": aviary.zap["id"], "number": "1", "version": "1.0.0"}
    if "{connection_id}" in path:
        return [common | {"connection_id": one} for one in aviary.connections.values()]
    if "{run_id}" in path:
        return [common | {"run_id": str(run)} for run in aviary.runs]
    name = "SECRET" if "variables" in path else "slack"
    return [common | {"name": name}]


def _bearer(system: Deployment) -> dict[str, str]:
    return {"Authorization": f"Bearer {system.token}"}


def test_a_canary_would_be_found() -> None:
    for text in (canary("x"), quote(canary("x")), base64.b64encode(f"a:{canary('x')}".encode()).decode(),
                 json.dumps({"a": canary("x")}), canary("x").encode().hex(),
                 json.dumps({"a": PEM}), quote(PEM, safe="/+="), PEM.replace("\n", "")):  # fmt: skip
        assert found_in(f"before {text} after")
    assert not found_in(PASSWORD)
