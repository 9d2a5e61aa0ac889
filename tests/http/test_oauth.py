"""OAuth: consent with PKCE, tokens that are renewed once whoever asks, and what happens when there are none."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from consumers.credentials import oauth
from consumers.credentials.armed import Armed
from consumers.credentials.credentials import Credentials
from consumers.credentials.oauth import TokenSource
from consumers.outbound.addresses import parse_networks
from consumers.outbound.client import Outbound
from domain.connector.http_client import HttpRequest, Unreachable
from sql.log.event_store import PgEventStore
from sql.process.clock import now
from sql.tables.connections import ConnectionTables
from tests.support.api import ENCRYPTION_KEY, Person, sign_up
from tests.support.oauth_server import CLIENT, SECRET, OAuthServer, oauth_server
from tests.support.world import World

LOCAL = parse_networks("127.0.0.0/8")


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
async def server() -> AsyncIterator[OAuthServer]:
    async with oauth_server() as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[Outbound]:
    async with Outbound(LOCAL) as http:
        yield http


class Worker:
    """What another process knows of connections."""

    def __init__(self, store: PgEventStore, http: Outbound, ada: Person, connection: str) -> None:
        source = TokenSource(ConnectionTables(store.pool), lambda _tenant: http, now)
        self.credentials = Credentials(store.pool, ENCRYPTION_KEY, now, source)
        self.source = source
        self._armed = Armed(http, self.credentials, UUID(ada.id), UUID(connection))

    async def call(self, server: OAuthServer) -> int | str:
        try:
            request = HttpRequest(method="GET", url=f"{server.url}/api/x", timeout_s=20)
            return (await self._armed.request(request)).status
        except Unreachable as error:
            return error.code if error.after_s is not None else "failed"  # with a time the run waits


async def make(ada: Person, server: OAuthServer, grant: str = "authorization_code", **secrets: str) -> dict[str, Any]:
    config = {
        "grant": grant, "token_url": f"{server.url}/token", "client_id": CLIENT, "scopes": ["a", "b"],
        "hosts": [server.url.removeprefix("http://")],
    }  # fmt: skip
    if grant == "authorization_code":
        config["authorize_url"] = f"{server.url}/authorize?kept=1"
    body = {"name": "O", "kind": "oauth2", "config": config, "secrets": secrets or {"client_secret": SECRET}}
    answer = await ada("POST", "/connections", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def connected(ada: Person, server: OAuthServer) -> str:
    made = await make(ada, server)
    back = await ada.api.get("/oauth/callback", params=server.consent(made["authorize_url"]))
    assert back.status_code == 200, back.text
    return str(made["id"])


async def shown(ada: Person, connection: str) -> dict[str, Any]:
    found: dict[str, Any] = (await ada("GET", f"/connections/{connection}")).json()
    return found


async def tried(ada: Person, server: OAuthServer, connection: str) -> httpx.Response:
    step = {"id": "send", "type": "http.request", "connection": connection,
            "config": {"method": "GET", "url": f"{server.url}/api/x"}}  # fmt: skip
    zap = await ada("POST", "/zaps", json={"name": "z", "trigger": {"type": "webhook.catch"}, "steps": [step]})
    wish = {"sample": {"payload": {}}, "effects": "real"}
    return await ada("POST", f"/zaps/{zap.json()['id']}/test", json=wish)


async def test_somebody_consents_and_the_token_goes_along(ada: Person, server: OAuthServer) -> None:
    made = await make(ada, server)
    assert made["authorize_url"].startswith(f"{server.url}/authorize?kept=1&response_type=code&client_id={CLIENT}")
    assert "scope=a%20b" in made["authorize_url"]
    back = await ada.api.get("/oauth/callback", params=server.consent(made["authorize_url"]))
    assert back.status_code == 200
    now_ = await shown(ada, made["id"])
    assert now_["status"] == "ok"
    assert now_["expires_at"] > now_["last_refreshed_at"]
    answer = await tried(ada, server, made["id"])
    assert answer.json()["steps"][0]["output"]["status"] == 200
    assert "canary" not in answer.text + back.text + str(now_)


async def test_a_state_is_ours_and_for_one_code(ada: Person, server: OAuthServer) -> None:
    made = await make(ada, server)
    params = server.consent(made["authorize_url"])
    for wrong in (
        params | {"state": params["state"][:-2] + "AA"}, params | {"state": "x"}, {"code": "c"},
        {"state": params["state"], "error": "access_denied"},
    ):  # fmt: skip
        assert (await ada.api.get("/oauth/callback", params=wrong)).status_code == 400
    assert (await ada.api.get("/oauth/callback", params=params)).status_code == 200
    assert (await ada.api.get("/oauth/callback", params=params)).status_code == 400, "the code was used"


async def test_client_credentials_and_service_accounts_need_nobody(ada: Person, server: OAuthServer) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    server.only_basic = True
    for grant, secrets in (("client_credentials", {"client_secret": SECRET}), ("jwt_bearer", {"private_key": pem})):
        made = await make(ada, server, grant, **secrets)
        assert "authorize_url" not in made
        answer = await tried(ada, server, made["id"])
        assert answer.json()["steps"][0]["output"]["status"] == 200, answer.text
        assert "canary" not in answer.text
        assert (await ada("POST", f"/connections/{made['id']}/reconnect")).status_code == 409
    assert server.answers == {"client_credentials": 1, "urn:ietf:params:oauth:grant-type:jwt-bearer": 1}


def test_an_assertion_is_signed() -> None:
    from domain.connection.kinds import OAuth2, setup_of

    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    config = {"grant": "jwt_bearer", "token_url": "https://x/t", "client_id": "me", "scopes": ["a"]}
    setup = setup_of("oauth2", config, {"private_key": pem})  # type: ignore[arg-type] # objects of JSON
    assert isinstance(setup, OAuth2)
    found = jwt.decode(oauth._assertion(setup, now()), key.public_key(), algorithms=["RS256"], audience="https://x/t")
    assert (found["iss"], found["scope"]) == ("me", "a")


async def test_twenty_workers_refresh_an_expired_token_once(
    world: World, ada: Person, server: OAuthServer, http: Outbound
) -> None:
    server.lasts_s, server.delay_s = 30, 0.2  # which is within the margin: expired at once
    connection = await connected(ada, server)
    server.lasts_s = 3_600
    workers = [Worker(world.store, http, ada, connection) for _ in range(10)]
    calls = [worker.call(server) for worker in workers for _ in range(2)]
    assert Counter(await asyncio.gather(*calls)) == {200: 20}
    assert server.answers["refresh_token"] == 1
    assert (await shown(ada, connection))["status"] == "ok"


async def test_a_worker_that_dies_with_the_answer_costs_a_consent_and_no_run(
    world: World, ada: Person, server: OAuthServer, http: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new refresh token went with it. Nobody else can know that token, so somebody has to consent again."""
    monkeypatch.setattr(oauth, "LEASE", timedelta(seconds=1))
    server.lasts_s = 30
    connection = await connected(ada, server)
    server.lasts_s = 3_600
    dying = Worker(world.store, http, ada, connection)

    class Killed(BaseException):
        pass

    async def dies(*_args: object) -> bool:
        raise Killed

    monkeypatch.setattr(dying.source, "keep", dies)
    with pytest.raises(Killed):
        await dying.call(server)
    monkeypatch.setattr(oauth, "PATIENCE_S", 10.0)
    lost: list[str] = []
    workers = [Worker(world.store, http, ada, connection) for _ in range(20)]
    for worker in workers:
        worker.source.lost = lambda _tenant, _row, why: lost.append(why)
    assert Counter(await asyncio.gather(*(worker.call(server) for worker in workers))) == {"needs_reconnect": 20}
    assert len(lost) == 1
    assert (await shown(ada, connection))["status"] == "needs_reconnect"
    again = (await ada("POST", f"/connections/{connection}/reconnect")).json()
    await ada.api.get("/oauth/callback", params=server.consent(again["authorize_url"]))
    assert [await worker.call(server) for worker in workers[:2]] == [200, 200]


async def test_a_token_that_was_taken_back_early_is_replaced(
    world: World, ada: Person, server: OAuthServer, http: Outbound
) -> None:
    connection = await connected(ada, server)
    worker = Worker(world.store, http, ada, connection)
    assert await worker.call(server) == 200
    server.valid.clear()
    assert await worker.call(server) == 200
    assert server.answers["refresh_token"] == 1


async def test_a_server_that_fails_only_delays(world: World, ada: Person, server: OAuthServer, http: Outbound) -> None:
    server.lasts_s = 30
    connection = await connected(ada, server)
    server.broken = 503
    worker = Worker(world.store, http, ada, connection)
    assert await worker.call(server) == "token_unavailable"
    assert (await shown(ada, connection))["status"] == "ok"
    server.broken = 0
    assert await worker.call(server) == 200


async def test_a_refusal_that_repeats_what_was_sent_tells_no_secret(
    world: World, ada: Person, server: OAuthServer, http: Outbound
) -> None:
    server.lasts_s = 30
    connection = await connected(ada, server)
    server.refusal = "no"
    worker = Worker(world.store, http, ada, connection)
    told: list[str] = []
    worker.source.lost = lambda _tenant, _row, why: told.append(why)
    assert await worker.call(server) == "needs_reconnect"
    assert told[0].startswith("the token endpoint answered 400: invalid_grant, no: {'grant_type': 'refresh_token'")
    assert "canary" not in told[0]
    again = (await ada("POST", f"/connections/{connection}/reconnect")).json()
    back = await ada.api.get("/oauth/callback", params=server.consent(again["authorize_url"]))
    assert back.status_code == 400
    assert "canary" not in back.text
