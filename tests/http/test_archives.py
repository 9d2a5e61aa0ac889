"""The operator's verbs: what is over is shown, archived, dropped, and brought back."""

import asyncio
import gzip
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from app.cli import retaining
from app.config.errors import OperatorError
from app.config.settings import Secret, Settings
from consumers.jobs.erasures import Erasures
from consumers.jobs.payloads import Payloads
from domain.hook.request import json_request
from domain.run import events as run
from projections.engine.engine import Engine
from projections.engine.freshness import wait_until
from projections.engine.registry import BY_THEMSELVES
from sql.process.clock import new_id, now
from sql.proof.verify import verify_chain
from tests.support.api import Person, zap_body
from tests.support.eventually import eventually
from tests.support.jobs import job_worker
from tests.support.projected import append, following, tamper
from tests.support.stores import patient_store


async def job_of(ada: Person, path: str) -> tuple[str, int, int, int]:
    """What came of a job: its kind, and how many were done, skipped and failed."""
    asked = await ada("POST", path)
    assert asked.status_code == 202, asked.text

    async def done() -> dict[str, Any]:
        job: dict[str, Any] = (await ada("GET", asked.headers["location"].removeprefix("/api/v1"))).json()
        return job if job["status"] == "completed" else {}

    job: dict[str, Any] = await eventually(done)
    return job["kind"], job["done"], job["skipped"], job["failed"]


async def checked_and_brought_back(ada: Person, bob: Person, dsn: str, file: Path) -> None:
    """By jobs, for whom the runs belong to."""
    (gone,) = (await ada("GET", "/archives")).json()["items"]
    assert (gone["name"], gone["month"], gone["away"]) == (file.name, "2025-03", True)
    assert [one["runs"] for one in gone["zaps"]] == [{"completed": 1}]
    assert (await bob("POST", f"/archives/{file.name}/import")).status_code == 404
    assert (await bob("GET", "/archives")).json()["items"] == []
    whole = file.read_bytes()
    async with patient_store(dsn, "jobs") as store, job_worker(dsn, store, str(file.parent)):
        assert await job_of(ada, f"/archives/{file.name}/check") == ("check", 1, 0, 0)
        file.write_bytes(gzip.compress(gzip.decompress(whole).replace(b'"version":2', b'"version":3')))
        assert await job_of(ada, f"/archives/{file.name}/check") == ("check", 1, 0, 0), "no hash is about versions"
        file.write_bytes(gzip.compress(gzip.decompress(whole).replace(b"run.completed", b"run.filtered")))
        assert await job_of(ada, f"/archives/{file.name}/check") == ("check", 0, 0, 1)
        file.write_bytes(whole)
        assert await job_of(ada, f"/archives/{file.name}/import") == ("import", 1, 0, 0)
        assert await job_of(ada, f"/archives/{file.name}/import") == ("import", 0, 1, 0)
    assert [one["away"] for one in (await ada("GET", "/archives")).json()["items"]] == [False]


async def test_an_operator_sees_what_would_go_and_brings_it_back(
    ada: Person, bob: Person, dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = zap_body() | {"settings": {"retention": {"completed_days": 30, "payload_days": 10}}}
    zap = (await ada("POST", "/zaps", json=body)).json()
    assert (await ada("POST", f"/zaps/{zap['id']}/publish")).status_code == 200
    await tamper(dsn, "select es.make_month('events_run', '2025-03-01')")
    settings = Settings(database_url=Secret(dsn))
    async with patient_store(dsn) as store, following(dsn, store), Engine(dsn, BY_THEMSELVES, 1) as engine:
        await engine.start()
        run_id = UUID(
            int=int(datetime.fromisoformat("2025-03-09T00:00Z").timestamp() * 1e3) << 80 | new_id().int % 2**80
        )
        started = run.RunRequested(
            zap_id=UUID(zap["id"]), zap_version=1, source="webhook", request=json_request({"mail": "canary-3"})
        )
        await append(store, run_id, started, run.RunCompleted(), tenant_id=UUID(ada.id), key=run_id)
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        await retaining.retention(settings, dry_run=True)
        said = capsys.readouterr().out
        assert f"2025-03 workspace {ada.id} zap {zap['id']}: 1 completed" in said
        assert (await ada("GET", f"/runs/{run_id}")).status_code == 200
        plan = (await ada("GET", "/retention")).json()
        assert [(one["what"], one["month"], one["runs"], one["is_due"]) for one in plan["items"]] == [
            ("runs", "2025-03", 1, True), ("payloads", "2025-03", 1, False),
        ]  # fmt: skip
        assert plan["items"][0]["bytes"] > 100
        assert "canary-3" in (await ada("GET", f"/runs/{run_id}")).text
        payloads = Payloads(store, Erasures(store, new_id), now)
        assert await payloads.forget_old(now(), asyncio.Event()) == 1
        assert await payloads.forget_old(now(), asyncio.Event()) == 0
        assert [one["what"] for one in (await ada("GET", "/retention")).json()["items"]] == ["runs"]
        detail = await ada("GET", f"/runs/{run_id}")
        assert ("canary-3" in detail.text, detail.json()["status"]) == (False, "completed")
        with pytest.raises(OperatorError, match="Say where"):
            await retaining.archive(settings, datetime(2025, 3, 1), None, drops=False)  # noqa: DTZ001 - as click gives it
        await retaining.retention(msgspec.structs.replace(settings, archive=str(tmp_path)), dry_run=False)
        assert "dropped" in capsys.readouterr().out
        assert (await ada("GET", f"/runs/{run_id}")).status_code == 404
        (file,) = tmp_path.iterdir()
        audit = (await ada("GET", f"/audit?type=runs.dropped&min_position={await store.head()}")).json()["items"]
        assert [entry["summary"] for entry in audit] == ["retention dropped 1 runs of 2025-03, whose time was over"]
        await checked_and_brought_back(ada, bob, dsn, file)
        assert (await ada("GET", f"/runs/{run_id}")).status_code == 200
        with pytest.raises(OperatorError, match="no file"):
            await retaining.bring_back(settings, "nothing", str(tmp_path))
        await retaining.archive(settings, datetime(2025, 3, 1), str(tmp_path / "new"), drops=True)  # noqa: DTZ001 - same
        assert (await ada("GET", f"/runs/{run_id}")).status_code == 404
        (again,) = (tmp_path / "new").iterdir()
        await retaining.bring_back(settings, again.name, str(tmp_path / "new"))
        assert await wait_until(store.pool, "run_list", await store.head(), 60)
        assert (await bob("POST", "/retention/apply")).json()["code"] == "wrong_status"
        async with patient_store(dsn, "jobs") as own, job_worker(dsn, own, str(tmp_path)):
            assert await job_of(ada, "/retention/apply") == ("retain", 2, 0, 0), "a month, and payloads"
        assert (await ada("GET", f"/runs/{run_id}")).status_code == 404
        assert (await ada("POST", "/retention/apply")).status_code == 409
        with pytest.raises(OperatorError, match="No run of"):
            await retaining.archive(settings, datetime(2025, 3, 1), str(tmp_path), drops=True)  # noqa: DTZ001 - same
    assert (await verify_chain(dsn)).broken_at is None
