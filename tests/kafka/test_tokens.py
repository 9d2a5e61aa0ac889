"""A runner that is killed between the answer of an OAuth server and its commit: no run fails for it."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from sql.postgres.pool import connect
from sql.process.crash_points import EXIT_CODE
from tests.support.broker import Broker, topic_name
from tests.support.deployment import ROLES, Deployment, deployment
from tests.support.eventually import eventually
from tests.support.oauth_server import CLIENT, OAuthServer, oauth_server
from tests.support.postgres import cloned_database

pytestmark = [pytest.mark.slow]


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with oauth_server() as server:
        yield server


async def consented(system: Deployment, server: OAuthServer, authorize_url: str) -> None:
    answer = server.consent(authorize_url)
    async with system.http.get(f"{system.base}/oauth/callback", params=answer) as response:
        assert response.status == 200, await response.text()


async def connected(system: Deployment, server: OAuthServer) -> str:
    """A connection whose token has expired as soon as it is there, and a zap that calls with it."""
    server.lasts_s = 30
    config = {
        "grant": "authorization_code", "token_url": f"{server.url}/token", "client_id": CLIENT,
        "authorize_url": f"{server.url}/authorize", "hosts": [server.url[7:]],
    }  # fmt: skip
    body = {"name": "o", "kind": "oauth2", "config": config, "secrets": {"client_secret": server.secret}}
    made: dict[str, Any] = await system.call("POST", "/api/v1/connections", body)
    await consented(system, server, made["authorize_url"])
    server.lasts_s = 3_600
    return str(made["id"])


async def live(system: Deployment, server: OAuthServer, connection: str) -> dict[str, Any]:
    step = {"id": "send", "kind": "action", "type": "http.request", "connection": connection,
            "config": {"method": "GET", "url": f"{server.url}/api/x"}}  # fmt: skip
    zap: dict[str, Any] = await system.call(
        "POST", "/api/v1/zaps", {"name": "z", "trigger": {"type": "webhook.catch"}, "steps": [step]}
    )
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
    return zap


async def look_again(system: Deployment, runs: list[UUID]) -> None:
    """As if the minute were over after which a run looks whether somebody has consented."""
    connection = await connect(system.dsn, "test")
    try:
        await connection.execute(
            "update es.timers set due_at = now() where stream_id = any($1) and due_at > now()", runs
        )
    finally:
        await connection.close()


async def test_a_runner_killed_with_the_answer_costs_a_consent_and_no_run(
    postgres_server: str, broker: Broker, server: OAuthServer
) -> None:
    """The new refresh token dies with it. The old one is spent, so the server takes all back, and somebody consents."""
    async with (
        cloned_database(postgres_server) as dsn,
        deployment(dsn, broker.servers, topic_name()) as system,
    ):
        names = {role: await system.start(role) for role in ROLES}
        await system.ready()
        await system.sign_up()
        connection = await connected(system, server)
        zap = await live(system, server, connection)
        await system.restart(names["runner"], TRIGGERHUB_CRASH_AT="runner.after_token")
        runs = [await system.post_hook(zap["hook_url"], {"n": number}, str(number)) for number in range(20)]
        assert await system.ended(names["runner"]) == EXIT_CODE
        await system.restart(names["runner"])
        shown = f"/api/v1/connections/{connection}"

        async def lost() -> bool:
            return bool((await system.call("GET", shown))["status"] == "needs_reconnect")

        await eventually(lost, interval_s=0.5)
        again = await system.call("POST", f"{shown}/reconnect")
        await consented(system, server, again["authorize_url"])
        await look_again(system, runs)
        await system.settled(runs)
        listed = (await system.call("GET", "/api/v1/runs?limit=100"))["items"]
        assert {run["status"] for run in listed} <= {"completed", "waiting", "running"}, listed
        assert (await system.call("GET", shown))["status"] == "ok"
        assert len([line for line in system.lines if "connection.needs_reconnect" in line]) == 1
        assert server.answers["refresh_token"] == 1, "and none was renewed twice"
