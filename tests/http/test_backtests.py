"""The routes of backtests: what can be asked, and whose results are shown. The job has tests of its own."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.run.events import RunCompleted
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id
from sql.tables.backtests import Backtests, Result
from tests.support.api import Person
from tests.support.projected import append
from tests.support.served_api import build_read_models
from tests.support.stores import patient_store


async def a_zap_with_a_run(ada: Person, dsn: str) -> tuple[dict[str, Any], str]:
    zap = await ada.live_zap()
    run_id = (await ada.api.post(zap["hook_url"], json={"n": 1})).json()["run_id"]
    async with patient_store(dsn) as store:
        end = RunCompleted(zap_id=UUID(zap["id"]))
        await append(store, UUID(run_id), end, tenant_id=UUID(ada.id), key=UUID(run_id))
    await build_read_models(dsn)
    return zap, run_id


async def test_a_backtest_is_a_job_with_results(ada: Person, bob: Person, dsn: str) -> None:
    zap, run_id = await a_zap_with_a_run(ada, dsn)
    path = f"/zaps/{zap['id']}/backtest"
    assert (await ada("POST", path, json={"last": 5, "preview": True})).json() == {"count": 1, "more": False}
    made = await ada("POST", path, json={"last": 5})
    job = made.json()
    assert (made.status_code, made.headers["location"]) == (202, f"/api/v1/jobs/{job['id']}")
    assert (job["kind"], job["status"], job["total"], job["filter"]) == (
        "backtest",
        "running",
        1,
        {"zap_id": zap["id"]},
    )
    async with patient_store(dsn) as store:
        went: dict[str, Any] = {"status": "completed", "error": None, "reason": None, "path": []}
        comparison = {"run_id": run_id, "verdict": "same", "then": went, "now": went, "diff": [], "diverging": []}
        await put(store, job["id"], ada, comparison)
    found = (await ada("GET", f"/jobs/{job['id']}/results")).json()
    assert (found["summary"]["runs"], found["summary"]["same"]) == (1, 1)
    assert found["summary"]["statuses"] == [{"then": "completed", "now": "completed", "count": 1}]
    assert [item["run_id"] for item in found["items"]] == [run_id]
    assert (await ada("GET", f"/jobs/{job['id']}/results?verdict=diverging")).json()["items"] == []
    assert (await bob("GET", f"/jobs/{job['id']}/results")).status_code == 404


async def put(store: PgEventStore, job_id: str, person: Person, *comparisons: dict[str, Any]) -> None:
    rows = [
        Result(
            run_id=UUID(one["run_id"]),
            verdict=one["verdict"],
            then_status="completed",
            now_status="completed",
            steps=[],
            comparison=msgspec.json.encode(one),
        )
        for one in comparisons
    ]
    await Backtests(store.pool).put(UUID(job_id), UUID(person.id), rows)


async def test_results_come_in_pages(ada: Person, dsn: str) -> None:
    zap, _run = await a_zap_with_a_run(ada, dsn)
    job = (await ada("POST", f"/zaps/{zap['id']}/backtest", json={"last": 5})).json()
    went: dict[str, Any] = {"status": "completed", "error": None, "reason": None, "path": []}
    same = {"verdict": "same", "then": went, "now": went, "diff": [], "diverging": []}
    ids = [str(new_id()) for _ in range(5)]
    async with patient_store(dsn) as store:
        await put(store, job["id"], ada, *({"run_id": run_id} | same for run_id in ids))
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await ada("GET", f"/jobs/{job['id']}/results?limit=2{cursor}")).json()
        seen += [item["run_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ids


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"last": 0},
        {"last": 10_001},
        {"last": 1, "from": "2026-01-01"},
        {"from": "yesterday"},
        {"lst": 1},
        {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
    ],
)
async def test_a_wrong_wish_is_refused(ada: Person, body: dict[str, Any]) -> None:
    zap = await ada.live_zap()
    assert (await ada("POST", f"/zaps/{zap['id']}/backtest", json=body)).status_code == 400


async def test_only_ones_own_zaps_and_only_backtests(ada: Person, bob: Person, dsn: str) -> None:
    zap, _run = await a_zap_with_a_run(ada, dsn)
    assert (await bob("POST", f"/zaps/{zap['id']}/backtest", json={"last": 1})).status_code == 404
    job = (await ada("POST", "/runs/cancel", json={"filter": {"zap_id": zap["id"]}})).json()
    refused = await ada("GET", f"/jobs/{job['id']}/results")
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong_status")
