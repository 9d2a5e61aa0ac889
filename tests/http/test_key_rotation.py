"""Replacing the encryption key while the API serves: nothing is refused, and the old key is then needed no more."""

import asyncio
import base64
from typing import Any

import httpx
import pytest

from app.accounts.rotation import rotate
from app.cli.operator import rotate_keys
from app.config.errors import OperatorError
from app.config.settings import Secret, Settings
from consumers.connectors import catalog
from consumers.outbound.addresses import parse_networks
from sql.postgres.pool import create_pool
from sql.secrets.secret_box import SecretBox
from sql.tables.sealed import PAGE, SEALED_TABLES
from tests.support.api import ENCRYPTION_KEY as OLD
from tests.support.api import HOOK_URL, Person, running_api, sign_up, zap_body
from tests.support.echo_target import EchoTarget, echo_target
from tests.support.eventually import eventually
from tests.support.oauth_server import CLIENT, OAuthServer, oauth_server

NEW = base64.urlsafe_b64encode(b"2" * 32).decode()
TOKEN = {"verification": {"preset": "header_token", "header": "x-token"}}
REPEATED = {"headers": {"idempotency-key": "once"}, "json": zap_body("made once")}


async def boxes(dsn: str) -> list[bytes]:
    async with create_pool(dsn, "test", 1) as pool:
        hooks = await pool.fetch("select unnest(boxes) from hooks.secrets")
        answers = await pool.fetch("select answer from iam.answers where octet_length(answer) > 0")
    return [row[0] for row in [*hooks, *answers]]


async def rotated(dsn: str, keys: str) -> None:
    await rotate_keys(Settings(database_url=Secret(dsn), encryption_key=Secret(keys)))


async def takes(api: httpx.AsyncClient, zap: dict[str, str], token: str) -> bool:
    answer = await api.post(zap["hook_url"].removeprefix(HOOK_URL), headers={"x-token": token}, json={})
    return answer.is_success


async def test_keys_are_replaced_while_everything_goes_on(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with running_api(dsn, encryption_key=OLD) as api:
        ada = await sign_up(api)
        zap = await ada.live_zap(trigger=TOKEN, secrets=["new-token", "old-token"])
        for number in range(PAGE):  # more than one page
            await ada.live_zap(trigger=TOKEN, secrets=[f"token-no-{number}"])
        made = (await ada("POST", "/zaps", **REPEATED)).json()

    async with running_api(dsn, encryption_key=f"{NEW},{OLD}") as api:
        assert await takes(api, zap, "old-token")
        await rotated(dsn, f"{NEW},{OLD}")
        assert f"hooks: {PAGE + 1} sealed anew, 0 were already" in capsys.readouterr().out
        assert all(SecretBox(NEW).is_current(box) for box in await boxes(dsn))
        assert await takes(api, zap, "new-token")
        await rotated(dsn, f"{NEW},{OLD}")
        assert f"hooks: 0 sealed anew, {PAGE + 1} were already" in capsys.readouterr().out

    async with running_api(dsn, encryption_key=NEW) as api:
        assert [await takes(api, zap, token) for token in ("new-token", "old-token", "another")] == [True, True, False]
        ada = Person(api, {"user": {"id": "", "email": ""}, "access_token": ada.access_token, "refresh_token": ""})
        assert (await ada("POST", "/zaps", **REPEATED)).json() == made


async def test_a_secret_of_a_key_that_is_gone_is_told_and_left_as_it_is(dsn: str) -> None:
    async with running_api(dsn, encryption_key=OLD) as api:
        await (await sign_up(api)).live_zap(trigger=TOKEN, secrets=["the-token"])
    before = await boxes(dsn)
    with pytest.raises(OperatorError, match=r"1 of them open with no key of TRIGGERHUB_ENCRYPTION_KEY"):
        await rotated(dsn, NEW)
    assert await boxes(dsn) == before


async def test_a_secret_that_is_replaced_at_that_moment_is_not_put_back(dsn: str) -> None:
    """Between our reading a row and writing it, a user sets another secret: that one stays."""
    async with running_api(dsn, encryption_key=f"{NEW},{OLD}") as api, create_pool(dsn, "test", 1) as pool:
        ada = await sign_up(api)
        zap = await ada.live_zap(trigger=TOKEN, secrets=["first-token"])
        hooks = SEALED_TABLES[0]
        (row,) = [row async for row in hooks.rows(pool)]
        await ada("PUT", f"/zaps/{zap['id']}/secrets", json={"secrets": ["second-token"]})
        assert not await hooks.swap(pool, row, [SecretBox(NEW).seal("first-token", row.context)])
        await eventually(lambda: takes(api, zap, "second-token"))
        assert await rotate(pool, hooks, SecretBox(f"{NEW},{OLD}")) == {"current": 1}


async def test_connections_are_used_while_keys_are_replaced(dsn: str) -> None:
    """Calls with tokens of all kinds, refreshes and secret variables go on; afterwards the new key alone opens all."""
    changes: dict[str, Any] = {"catalog": catalog(), "outbound_allow": parse_networks("127.0.0.0/8")}
    async with echo_target() as target, oauth_server() as server:
        async with running_api(dsn, encryption_key=OLD, **changes) as api:
            ada = await sign_up(api)
            zaps = [await using(ada, target, server, kind) for kind in ("oauth2", "bearer", "basic")]
        done = asyncio.Event()

        async def use(api: httpx.AsyncClient, zap_id: str) -> int:
            person, times = ada_at(api, ada), 0
            while not done.is_set() or times < 3:
                if zap_id == zaps[0]:
                    server.valid.clear()  # so that tokens are renewed, and sealed, all the time
                wish = {"sample": {"payload": {}}, "effects": "real"}
                answer = await person("POST", f"/zaps/{zap_id}/test", json=wish)
                assert answer.status_code == 200, answer.text
                step = answer.json()["steps"][0]
                assert step["status"] == "succeeded", answer.text
                times += 1
            return times

        async with running_api(dsn, encryption_key=f"{NEW},{OLD}", **changes) as api:
            users = [asyncio.create_task(use(api, zap)) for zap in zaps[:2]]
            made = asyncio.create_task(using(ada_at(api, ada), target, server, "bearer"))
            for _ in range(3):
                await rotated(dsn, f"{NEW},{OLD}")
            zaps.append(await made)
            done.set()
            assert min(await asyncio.gather(*users)) >= 3
        async with running_api(dsn, encryption_key=NEW, **changes) as api:
            for zap in zaps:
                assert await use(api, zap) >= 3


async def using(ada: Person, target: EchoTarget, server: OAuthServer, kind: str) -> str:
    """A draft that sends a secret variable with a connection."""
    hosts = [target.url[7:], server.url[7:]]
    config: dict[str, Any] = {"hosts": hosts} | ({"username": "ada"} if kind == "basic" else {})
    secrets = {"bearer": {"token": "t0ken-of-ada"}, "basic": {"password": "p4ssword"}}.get(kind)
    if kind == "oauth2":
        config |= {"grant": "client_credentials", "token_url": f"{server.url}/token", "client_id": CLIENT}
        secrets = {"client_secret": server.secret}
    made = await ada("POST", "/connections", json={"name": kind, "kind": kind, "config": config, "secrets": secrets})
    assert made.status_code == 201, made.text
    assert (await ada("PUT", "/variables/KEY", json={"value": "v4riable", "secret": True})).status_code == 200
    url = f"{server.url}/api/x" if kind == "oauth2" else f"{target.url}/x"
    step = {"id": "send", "kind": "action", "type": "http.request", "connection": made.json()["id"],
            "config": {"url": url, "body": "{{ vars.KEY }}"}}  # fmt: skip
    zap = await ada("POST", "/zaps", json={"name": "z", "trigger": {"type": "webhook.catch"}, "steps": [step]})
    assert zap.status_code == 201, zap.text
    return str(zap.json()["id"])


def ada_at(api: httpx.AsyncClient, ada: Person) -> Person:
    return Person(api, {"user": {"id": ada.id, "email": ""}, "access_token": ada.access_token, "refresh_token": ""})
