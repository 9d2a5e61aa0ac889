"""Runs that are started by hand: by the trigger `manual`, and of any other zap."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from domain.hook.hops import HEADER, MAX_DEPTH, Hop, Hops
from domain.run.events import RunCompleted, StepSucceeded
from sql.process.clock import now
from tests.support.api import ENCRYPTION_KEY, Person, zap_body
from tests.support.builders import an_append
from tests.support.stores import patient_store

SCHEMA = {"type": "object", "required": ["order"], "properties": {"order": {"type": "integer"}}}


async def manual_zap(person: Person, **config: Any) -> str:
    body = zap_body() | {"trigger": {"type": "manual", "config": config}}
    created = (await person("POST", "/zaps", json=body)).json()
    assert created["hook_url"] is None
    assert (await person("POST", f"/zaps/{created['id']}/publish")).status_code == 200
    zap_id: str = created["id"]
    return zap_id


async def test_the_payload_is_the_body_that_steps_see(ada: Person) -> None:
    zap_id = await manual_zap(ada)
    answer = await ada("POST", f"/zaps/{zap_id}/run", json={"payload": {"order": 17}})
    assert answer.status_code == 202
    started = answer.json()
    assert answer.headers["location"] == f"/api/v1/runs/{started['run_id']}"
    run = (await ada("GET", f"/runs/{started['run_id']}")).json()
    assert (run["source"], run["trigger"]["body"], run["zap_id"]) == ("manual", {"order": 17}, zap_id)


async def test_a_repeat_with_the_same_idempotency_is_one_run(ada: Person) -> None:
    zap_id = await manual_zap(ada)
    url, body = f"/zaps/{zap_id}/run", {"payload": 1, "idempotency": "order-17"}
    first, again = [(await ada("POST", url, json=body)).json() for _ in range(2)]
    assert first == again
    other = (await ada("POST", url, json=body | {"idempotency": "order-18"})).json()
    assert other["run_id"] != first["run_id"]


async def test_an_input_that_does_not_fit_is_refused_and_each_mistake_is_told(ada: Person) -> None:
    zap_id = await manual_zap(ada, input_schema=SCHEMA)
    assert (await ada("POST", f"/zaps/{zap_id}/run", json={"payload": {"order": 1}})).status_code == 202
    refused = await ada("POST", f"/zaps/{zap_id}/run", json={"payload": {"order": "x"}})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    assert refused.json()["errors"][0]["pointer"] == "/payload/order"
    assert (await ada("POST", f"/zaps/{zap_id}/run")).status_code == 422


@pytest.mark.parametrize(
    "schema",
    [{"type": "objekt"}, {"$ref": "https://example.com/schema.json"}, {"pattern": "("}, {"enum": ["x" * 100_000]}],
)
async def test_a_schema_that_is_none_is_refused_when_the_zap_is_saved(ada: Person, schema: Any) -> None:
    body = zap_body() | {"trigger": {"type": "manual", "config": {"input_schema": schema}}}
    refused = await ada("POST", "/zaps", json=body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["path"] == "trigger.config.input_schema"


async def test_a_manual_zap_has_no_hook(ada: Person) -> None:
    zap_id = await manual_zap(ada)
    answer = await ada.api.post(f"/hooks/catch/{ada.id}/{zap_id}", json={"n": 1})
    assert answer.status_code == 404


async def test_a_zap_with_a_hook_is_started_by_hand_too(ada: Person) -> None:
    zap = await ada.live_zap()
    answer = await ada("POST", f"/zaps/{zap['id']}/run", json={"payload": {"n": 1}})
    assert answer.status_code == 202


async def test_a_zap_that_is_not_enabled_or_anothers_is_not_started(ada: Person, bob: Person) -> None:
    draft, live = await ada.create_zap(), await ada.live_zap()
    assert (await ada("POST", f"/zaps/{draft['id']}/run")).json()["code"] == "wrong_status"
    assert (await bob("POST", f"/zaps/{live['id']}/run")).status_code == 404
    await ada("POST", f"/zaps/{live['id']}/pause")
    assert (await ada("POST", f"/zaps/{live['id']}/run")).status_code == 409


async def test_who_waits_gets_the_value_that_the_run_returns(ada: Person, dsn: str) -> None:
    zap_id = await manual_zap(ada)
    url, body = f"/zaps/{zap_id}/run", {"payload": 1, "idempotency": "order-17"}
    still = await ada("POST", url, json=body | {"wait": True, "timeout_s": 0.1})
    assert (still.status_code, set(still.json())) == (202, {"run_id", "position"})
    run_id = UUID(still.json()["run_id"])
    done = StepSucceeded(step_id="answer", attempt=1, started_at=now(), duration_ms=1.0, output={"n": [1]})
    end = RunCompleted(zap_id=UUID(zap_id), step_id="answer", returned=True)
    async with patient_store(dsn) as store:
        await store.append(an_append(done, end, stream_id=run_id, expected=1))
    answer = await ada("POST", url, json=body | {"wait": True})
    assert (answer.status_code, answer.json()["value"], answer.json()["status"]) == (200, {"n": [1]}, "completed")
    assert answer.json()["run_id"] == str(run_id)


@pytest.mark.parametrize("timeout_s", [0, -1, 31, "x"])
async def test_nobody_waits_for_ever(ada: Person, timeout_s: Any) -> None:
    zap_id = await manual_zap(ada)
    answer = await ada("POST", f"/zaps/{zap_id}/run", json={"wait": True, "timeout_s": timeout_s})
    assert answer.status_code == 400


async def test_runs_that_start_one_another_by_hand_come_to_an_end(ada: Person) -> None:
    zap = await ada.live_zap()
    hops = Hops(ENCRYPTION_KEY)
    for depth, status in ((MAX_DEPTH, 202), (MAX_DEPTH + 1, 508)):
        header = hops.write(Hop(depth, UUID(zap["id"])))
        answer = await ada("POST", f"/zaps/{zap['id']}/run", headers={HEADER: header})
        assert answer.status_code == status


BOMB = {
    "$defs": {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 10} for n in range(40)}
    | {"a40": {"type": "string"}},
    "$ref": "#/$defs/a0",
}
DOUBLING = {"$defs": {"n": {"allOf": [{"items": {"$ref": "#/$defs/n"}}] * 2}}, "$ref": "#/$defs/n"}


@pytest.mark.parametrize("schema", [BOMB, DOUBLING], ids=["wide", "deep"])
async def test_a_schema_that_takes_for_ever_refuses_its_own_input_and_delays_nobody(
    ada: Person, bob: Person, schema: dict[str, Any]
) -> None:
    deep: Any = 1
    for _ in range(50):
        deep = [deep]
    hers, his = await manual_zap(ada, input_schema=schema), await manual_zap(bob)
    asked = asyncio.create_task(ada("POST", f"/zaps/{hers}/run", json={"payload": deep}))
    async with asyncio.timeout(60):
        assert (await bob("POST", f"/zaps/{his}/run", json={"payload": 1})).status_code == 202
        refused = await asked
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    assert "input_schema" in refused.json()["detail"]
