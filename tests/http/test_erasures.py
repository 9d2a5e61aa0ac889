"""A person is forgotten, by whoever has the zaps, or by the operator."""

from typing import Any

import pytest

from app.cli import erasing
from app.config.settings import Secret, Settings
from projections.engine.freshness import wait_until
from sql.proof.verify import verify_chain
from tests.support.api import Person, zap_body
from tests.support.eventually import eventually
from tests.support.jobs import job_worker
from tests.support.projected import following
from tests.support.stores import patient_store

pytestmark = pytest.mark.usefixtures("read_models")


async def test_a_person_is_forgotten_in_all_runs_of_zaps_that_say_whose_they_are(
    ada: Person, dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    body = zap_body() | {"settings": {"subject": "trigger.body.mail"}}
    zap = (await ada("POST", "/zaps", json=body)).json()
    hook = (await ada("POST", f"/zaps/{zap['id']}/publish")).json()["hook_url"]
    runs = []
    for mail in ("grace@example.org", "Grace@Example.org ", "alan@example.org", 7):
        answer = await ada.api.post(hook, json={"mail": mail, "secret": f"canary of {mail}"})
        runs.append(answer.json()["run_id"])
    for run_id in runs[1:]:
        await ada("POST", f"/runs/{run_id}/cancel")
    settings = Settings(database_url=Secret(dsn))
    async with patient_store(dsn) as store, following(dsn, store), job_worker(dsn, store):

        async def erased() -> dict[str, Any]:
            wanted = await ada("POST", "/erasures", json={"subject": "grace@example.org"})
            assert wanted.status_code == 202, wanted.text
            assert "grace" not in wanted.text

            async def done() -> dict[str, Any]:
                job: dict[str, Any] = (await ada("GET", wanted.headers["location"].removeprefix("/api/v1"))).json()
                return job if job["status"] == "completed" else {}

            job: dict[str, Any] = await eventually(done)
            return job

        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        assert await wait_until(store.pool, "run_keys", await store.head(), 60)
        assert await erasing.erase(settings, "GRACE@example.org", really=False) == 0
        assert "would forget 2 runs: add --yes" in capsys.readouterr().out
        seen = (await ada("POST", "/erasures", json={"subject": "grace@example.org ", "preview": True})).json()
        zaps = [{"zap_id": zap["id"], "runs": {"queued": 1, "cancelled": 1}}]
        assert (seen["runs"], seen["under_way"], seen["zaps"], seen["more"]) == (2, 1, zaps, False)
        assert seen["oldest"] < seen["newest"]
        nobody = (await ada("POST", "/erasures", json={"subject": "nobody", "preview": True})).json()
        assert (nobody["runs"], nobody["bytes"], nobody["oldest"]) == (0, 0, None)
        found = await erased()
        assert (found["kind"], found["done"], found["failed"]) == ("erase", 1, 1)
        assert "has not ended" in found["problem"]
        await ada("POST", f"/runs/{runs[0]}/cancel")
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        assert (await erased())["done"] == 1
        assert await erasing.erase(settings, "7", really=True) == 0
        assert "forgot 1 run\n" in capsys.readouterr().out
        left = ["canary" in (await ada("GET", f"/runs/{run_id}")).text for run_id in runs]
        assert left == [False, False, True, False]
    assert (await verify_chain(dsn)).broken_at is None


async def test_a_run_that_has_ended_is_forgotten_by_whom_it_belongs_to(ada: Person, bob: Person, dsn: str) -> None:
    zap = await ada.live_zap()
    run_id = (await ada.api.post(zap["hook_url"], json={"mail": "canary-1@example.org"})).json()["run_id"]
    async with patient_store(dsn) as store, following(dsn, store):
        assert (await ada("POST", f"/runs/{run_id}/erase")).status_code == 409
        assert (await ada("POST", f"/runs/{run_id}/cancel")).status_code == 200
        assert (await bob("POST", f"/runs/{run_id}/erase")).status_code == 404
        assert "canary-1" in (await ada("GET", f"/runs/{run_id}")).text
        erased = await ada("POST", f"/runs/{run_id}/erase")
        assert erased.status_code == 200, erased.text
        assert erased.json()["runs"] == 1
        assert (await ada("POST", f"/runs/{run_id}/erase")).json()["runs"] == 0
    for wish, status in (({}, 409), ({"payload": 1, "from_step": "echo"}, 409), ({"payload": {"mail": "x"}}, 201)):
        replayed = await ada("POST", f"/runs/{run_id}/replay", json=wish)
        assert (replayed.status_code, "erased" in replayed.text) == (status, status == 409)
    detail = await ada("GET", f"/runs/{run_id}")
    assert "canary-1" not in detail.text
    assert detail.json()["status"] == "cancelled"
    assert "canary-1" not in (await ada("GET", f"/runs/{run_id}/events")).text


async def test_a_subject_is_a_path_into_the_trigger(ada: Person) -> None:
    for path in ("steps.a.output", "trigger..x", ""):
        body = zap_body() | {"settings": {"subject": path}}
        assert (await ada("POST", "/zaps", json=body)).status_code in {400, 422}
