"""What an account is told of sizes: its own; and of the whole installation, while there is nobody else."""

import httpx
import pytest

from tests.support.api import Person, sign_up
from tests.support.eventually import eventually
from tests.support.projected import following
from tests.support.stores import patient_store

pytestmark = pytest.mark.usefixtures("read_models")


async def test_an_account_sees_what_it_has_and_of_others_nothing(api: httpx.AsyncClient, dsn: str, ada: Person) -> None:
    zap = await ada.live_zap()
    for n in range(3):
        assert (await api.post(zap["hook_url"], json={"n": n})).status_code == 200
    async with patient_store(dsn) as store, following(dsn, store):

        async def listed() -> bool:
            return bool((await ada("GET", "/system")).json()["own"]["runs"] == 3)

        await eventually(listed)
    alone = (await ada("GET", "/system")).json()
    assert (alone["own"]["runs_of_last_day"], alone["own"]["file_bytes"]) == (3, 0)
    assert alone["own"]["run_bytes"] > 100
    assert alone["own"]["oldest_run"]
    assert alone["installation"]["events"] > 3
    assert {"run_list", "audit"} <= {one["name"] for one in alone["installation"]["read_models"]}
    bob = await sign_up(api, name="Bob")
    nothing = {"runs": 0, "runs_of_last_day": 0, "oldest_run": None, "run_bytes": 0, "file_bytes": 0, "held_bytes": 0}
    assert (await bob("GET", "/system")).json() == {"own": nothing, "installation": None}
    assert (await ada("GET", "/system")).json()["installation"] is None
