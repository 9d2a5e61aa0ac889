"""Replacing the encryption key while the API serves: nothing is refused, and the old key is then needed no more."""

import base64

import httpx
import pytest

from app.accounts.rotation import rotate
from app.cli.operator import rotate_keys
from app.config.errors import OperatorError
from app.config.settings import Secret, Settings
from sql.postgres.pool import create_pool
from sql.secrets.secret_box import SecretBox
from sql.tables.sealed import PAGE, SEALED_TABLES
from tests.support.api import ENCRYPTION_KEY as OLD
from tests.support.api import HOOK_URL, Person, running_api, sign_up, zap_body
from tests.support.eventually import eventually

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
