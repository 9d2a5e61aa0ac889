"""The API as its document says it is: Schemathesis makes requests of all kinds, and holds every answer against it.

It follows the document's links too, from what an answer names to the routes behind it, in an account that has zaps,
runs, held requests, failures, jobs, variables and connections. For longer: `make fuzz`.
"""

import os
import re
import sys
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from consumers.connectors import catalog
from domain.run.events import RunFailed
from sql.process.clock import new_id
from tests.support.api import Person, running_api, sign_up
from tests.support.projected import append, requested
from tests.support.served_api import build_read_models, run, served_api
from tests.support.stores import patient_store

SETTINGS = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = int(os.environ.get("TRIGGERHUB_TEST_EXAMPLES", "4"))
PHASES = {"stateful": 9 * EXAMPLES // 4, "examples,coverage,fuzzing": 22 * EXAMPLES // 4}
"""Seconds for each, at most: following links goes on for as long as it may."""
KEYS = 10
SCOPES = ["read", "write", "keys"]
STEP = {"id": "send", "kind": "action", "type": "http.request", "config": {"url": "https://example.org/"}}


@pytest.mark.slow
@pytest.mark.timeout(100 * EXAMPLES)
async def test_no_request_gets_an_answer_that_the_document_does_not_promise(dsn: str, tmp_path: Path) -> None:
    async with running_api(dsn, catalog=catalog()) as api:
        person = await sign_up(api)
        await live(dsn, person)
        # Not a session, as one of the requests signs out. Links lead to the newest keys, which are deleted.
        keys = [await done(person, "POST", "/api-keys", json={"name": "x", "scopes": SCOPES}) for _ in range(KEYS)]
    async with served_api(dsn) as url:
        for phases, seconds in PHASES.items():
            code, written = await run(
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(SETTINGS), "--no-color", "run"),
                *(f"{url}/schema/openapi.json", "--header", f"Authorization: Bearer {keys[0].json()['key']}"),
                *("--exclude-path", "/api/v1/live"),  # its answer has no end
                *("--checks", "all", "--phases", phases, "--max-examples", str(EXAMPLES)),
                *("--max-time", str(seconds), "--seed", "1", "--continue-on-failure"),
                cwd=tmp_path, timeout_s=45 * EXAMPLES,
            )  # fmt: skip
            print(written)  # noqa: T201 - shown by `pytest -s`, and when it fails
            assert code == 0, written
            assert phases != "stateful" or followed(written) > 0, "the document's links were not followed"


def followed(written: str) -> int:
    """How many links gave a request its ids."""
    found = re.search(r"API Links: +(\d+) covered", written)
    return int(found[1]) if found else 0


async def live(dsn: str, person: Person) -> None:
    """Some of all that an account can have."""
    zap = await published(person, {})
    for n in range(3):
        accepted = await person.api.post(zap["hook_url"], json={"n": n})
        await done(person, "POST", f"/runs/{accepted.json()['run_id']}/cancel")
    await published(person, {"filter": {"field": "trigger.body.n", "operator": "equals", "value": 1}}, send=3)
    holds = await published(person, {}, settings={"when_paused": "hold"})
    await done(person, "POST", f"/zaps/{holds['id']}/pause")
    await person.api.post(holds["hook_url"], json={"n": 0})
    await done(person, "PUT", "/variables/REGION", json={"value": "eu"})
    bearer = {"name": "A", "kind": "bearer", "config": {}, "secrets": {"token": "t"}}
    await done(person, "POST", "/connections", json=bearer)
    async with patient_store(dsn) as store:
        run_id, zap_id = new_id(), UUID(zap["id"])
        failed = RunFailed(zap_id=zap_id, step_id="send", code="http_503", message="no answer")
        await append(store, run_id, requested(zap_id), failed, tenant_id=UUID(person.id), key=run_id)
    await build_read_models(dsn)
    await done(person, "POST", "/runs/cancel", json={"filter": {"source": "webhook"}})


async def published(person: Person, trigger: dict[str, object], send: int = 0, **more: object) -> dict[str, str]:
    """A live zap, and requests to it."""
    body = {"name": "A", "trigger": {"type": "webhook.catch", "config": trigger}, "steps": [STEP], **more}
    zap: dict[str, str] = (await done(person, "POST", "/zaps", json=body)).json()
    await done(person, "POST", f"/zaps/{zap['id']}/publish")
    for n in range(send):
        assert (await person.api.post(zap["hook_url"], json={"n": n})).status_code == 200
    return zap


async def done(person: Person, method: str, path: str, **options: object) -> httpx.Response:
    answer = await person(method, path, **options)
    assert answer.status_code < 300, answer.text
    return answer
