"""How steps fail and how a zap's runs behave: what can be set, how mistakes are told, and that it takes effect."""

from typing import Any
from uuid import UUID

import pytest

from domain.log.event import StreamKind
from tests.support.api import Person, zap_body
from tests.support.stores import patient_store

SETTINGS: dict[str, Any] = {
    "concurrency": {"mode": "serial", "key": "{{ trigger.body.customer }}", "when_busy": "cancel_old"},
    "deadline_s": 3600,
    "when_paused": "hold",
}
STEPS: list[dict[str, Any]] = [
    {
        "id": "charge", "kind": "action", "type": "test.echo", "config": {"text": "x"}, "timeout_s": 20.0,
        "retry": {"kind": "fixed", "delays_s": [1.0, 60.0], "on": ["connection", "5xx", "429"]},
        "on_error": {"steps": [{"id": "tell", "kind": "action", "type": "test.echo", "config": {"text": "y"}}]},
        "unknown_outcome": "fail", "rate_limit": {"per_minute": 60},
    },
    {"id": "nap", "kind": "delay", "for_s": 86400.0},
    {"id": "last", "kind": "action", "type": "test.echo", "config": {"text": "z"}, "on_error": "continue"},
]  # fmt: skip


async def create(person: Person, **changes: Any) -> Any:
    return await person("POST", "/zaps", json=zap_body() | changes)


async def test_settings_and_steps_are_kept_as_they_were_given(ada: Person) -> None:
    created = await create(ada, steps=STEPS, settings=SETTINGS)
    assert created.status_code == 201, created.text
    draft = (await ada("GET", f"/zaps/{created.json()['id']}")).json()["draft"]
    assert (draft["steps"], draft["settings"]) == (STEPS, SETTINGS)


async def test_a_kind_may_be_left_out_in_an_error_path_too(ada: Person) -> None:
    inner = {"id": "tell", "type": "test.echo", "config": {"text": "y"}}
    step = {"id": "a", "type": "test.echo", "config": {"text": "x"}, "on_error": {"steps": [inner]}}
    created = await create(ada, steps=[step])
    assert created.json()["draft"]["steps"][0]["on_error"]["steps"][0]["kind"] == "action"


@pytest.mark.parametrize(
    "step",
    [
        {"retry": {"kind": "fixed", "delays_s": [-1]}},
        {"retry": {"kind": "sometimes"}},
        {"retry": {"kind": "exponential", "on": ["everything"]}},
        {"timeout_s": 0},
        {"timeout_s": 100_000},
        {"on_error": "explode"},
        {"on_error": {"steps": [{"id": "x"}]}},
        {"on_error": {"path": []}},
        {"unknown_outcome": "maybe"},
        {"rate_limit": {"per_minute": 0}},
        {"kind": "delay"},
        {"kind": "delay", "type": None, "for_s": 1, "until": "{{ trigger.body.at }}"},
    ],
    ids=str,
)
async def test_a_step_of_the_wrong_shape_is_refused_and_named(ada: Person, step: dict[str, Any]) -> None:
    answer = await create(ada, steps=[{"id": "a", "type": "test.echo", "config": {"text": "x"}} | step])
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    errors = answer.json()["errors"]
    field = next((key for key in step if key != "kind"), "")
    for error in errors:
        assert error["path"].startswith("steps.0" if step.get("kind") else f"steps.0.{field}")
    assert errors[0]["reason"] in answer.json()["detail"]


@pytest.mark.parametrize(
    "settings",
    [
        {"concurrency": {"mode": "serial", "limit": 2}},
        {"concurrency": {"key": "{{ trigger.body.id }}"}},
        {"concurrency": {"when_busy": "drop_new"}},
        {"concurrency": {"limit": 0}},
        {"deadline_s": 0},
        {"when_paused": "drop"},
        {"tags": ["a", "a"]},
        {"tags": [""]},
        {"tags": [" a"]},
        {"tags": ["a\n"]},
        {"tags": ["x" * 51]},
        {"tags": [str(n) for n in range(21)]},
        {"tags": "billing"},
        {"unknown": 1},
        [],
    ],
    ids=str,
)
async def test_settings_of_the_wrong_shape_are_refused(ada: Person, settings: Any) -> None:
    answer = await create(ada, settings=settings)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"settings": {"concurrency": {"mode": "serial", "key": "{{ oops"}}}, "settings.concurrency.key"),
        ({"steps": [{"id": "nap", "kind": "delay", "until": "{{ oops"}]}, "steps.0.until"),
        (
            {"steps": [STEPS[0] | {"on_error": {"steps": [{"id": "t", "type": "nope"}]}}]},
            "steps.0.on_error.steps.0.type",
        ),
        (
            {"steps": [STEPS[0] | {"on_error": {"steps": [STEPS[2] | {"id": "charge"}]}}]},
            "steps.0.on_error.steps.0.id",
        ),
    ],
)
async def test_what_can_not_work_is_refused_with_the_place(ada: Person, changes: dict[str, Any], path: str) -> None:
    answer = await create(ada, **changes)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert path in {error["path"] for error in answer.json()["errors"]}


async def test_runs_of_a_serial_zap_share_their_place_in_the_log_and_have_the_deadline(ada: Person, dsn: str) -> None:
    settings = {"concurrency": {"mode": "serial", "key": "{{ trigger.body.customer }}"}, "deadline_s": 3600}
    zap = (await create(ada, settings=settings)).json()
    await ada("POST", f"/zaps/{zap['id']}/publish")
    runs = [
        (await ada.api.post(zap["hook_url"], json={"customer": customer})).json()["run_id"]
        for customer in ("a", "b", "a")
    ]
    replayed = (await ada("POST", f"/runs/{runs[0]}/replay")).json()["id"]
    async with patient_store(dsn) as store:
        streams = await store.read_streams(StreamKind.RUN, [UUID(run) for run in [*runs, replayed]])
        keys = [streams[UUID(run)][0].ordering_key for run in [*runs, replayed]]
        timers = await store.pool.fetchval("select count(*) from es.timers")
    assert keys[0] == keys[2] == keys[3] != keys[1]
    assert timers == 4
    run = (await ada("GET", f"/runs/{runs[0]}")).json()
    assert run["deadline"] > run["started_at"]
