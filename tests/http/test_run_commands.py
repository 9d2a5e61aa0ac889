"""Cancelling a run, and running it again: what has ended is never changed."""

from typing import Any
from uuid import UUID

import pytest

from domain.log.event import ANY_VERSION, Append, Appended, Conflict, Metadata, NewEvent, StreamKind
from domain.run.events import Failure as StepFailure
from domain.run.events import RunCompleted, RunEvent, RunResumed, StepAttemptFailed, StepSucceeded
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id, now
from tests.support.api import Person
from tests.support.stores import patient_store


async def started(person: Person) -> tuple[dict[str, Any], str]:
    """A live zap and a run of it."""
    zap = await person.live_zap()
    answer = await person.api.post(zap["hook_url"], json={"n": 1})
    return zap, answer.json()["run_id"]


async def record(store: PgEventStore, person: Person, run_id: str, *events: RunEvent, **more: Any) -> object:
    return await store.append(
        Append(
            kind=StreamKind.RUN,
            stream_id=UUID(run_id),
            expected=more.pop("expected", 1),
            tenant_id=UUID(person.id),
            ordering_key=UUID(run_id),
            events=tuple(NewEvent(new_id(), event, getattr(event, "retry_at", None)) for event in events),
            metadata=Metadata(actor="runner"),
            **more,
        )
    )


def succeeded() -> StepSucceeded:
    return StepSucceeded(step_id="echo", attempt=1, started_at=now(), duration_ms=1.0, output={"text": "hello"})


async def test_a_cancelled_run_has_ended_and_a_late_outcome_is_refused(ada: Person, dsn: str) -> None:
    _zap, run_id = await started(ada)
    answer = await ada("POST", f"/runs/{run_id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    async with patient_store(dsn) as store:
        assert await record(store, ada, run_id, succeeded(), RunCompleted()) == Conflict(2)
    assert (await ada("GET", f"/runs/{run_id}")).json()["status"] == "cancelled"


async def test_the_run_that_was_cancelled_is_shown_without_secrets(ada: Person) -> None:
    zap = await ada.live_zap()
    sent = await ada.api.post(zap["hook_url"], json={}, headers={"X-Api-Key": "hush"})
    answer = await ada("POST", f"/runs/{sent.json()['run_id']}/cancel")
    assert "hush" not in answer.text
    assert "hush" not in (await ada("GET", f"/runs/{sent.json()['run_id']}")).text


async def test_cancelling_twice_is_one_cancellation(ada: Person) -> None:
    _zap, run_id = await started(ada)
    first, second = [await ada("POST", f"/runs/{run_id}/cancel") for _ in range(2)]
    assert first.status_code == second.status_code == 200
    types = [event["type"] for event in (await ada("GET", f"/runs/{run_id}/events")).json()["items"]]
    assert types == ["zap.run.requested", "zap.run.cancelled"]


async def test_a_run_that_has_completed_can_not_be_cancelled(ada: Person, dsn: str) -> None:
    _zap, run_id = await started(ada)
    async with patient_store(dsn) as store:
        await record(store, ada, run_id, succeeded(), RunCompleted())
    answer = await ada("POST", f"/runs/{run_id}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_status")
    assert "completed" in answer.json()["detail"]


async def test_cancelling_a_waiting_run_clears_its_timer(ada: Person, dsn: str) -> None:
    _zap, run_id = await started(ada)
    waiting = StepAttemptFailed(
        step_id="echo", attempt=1, started_at=now(), duration_ms=1.0, retry_at=now(),
        failure=StepFailure(code="http_500", message="500"),
    )  # fmt: skip
    async with patient_store(dsn) as store:
        await record(store, ada, run_id, waiting)
        timer_id = (await store.read_stream(StreamKind.RUN, UUID(run_id)))[-1].event_id
        assert (await ada("POST", f"/runs/{run_id}/cancel")).json()["status"] == "cancelled"
        resumed = await record(
            store, ada, run_id, RunResumed(timer_id=timer_id), expected=ANY_VERSION, timer_id=timer_id
        )
        assert isinstance(resumed, Conflict)


async def test_a_replay_is_a_new_run_of_the_same_request_that_links_to_the_old(ada: Person) -> None:
    zap, run_id = await started(ada)
    answer = await ada("POST", f"/runs/{run_id}/replay")
    assert answer.status_code == 201, answer.text
    new = answer.json()
    assert (new["replay_of"], answer.headers["location"]) == (run_id, f"/api/v1/runs/{new['id']}")
    old_run, new_run = [(await ada("GET", f"/runs/{id_}")).json() for id_ in (run_id, new["id"])]
    assert (new_run["source"], new_run["replay_of"], new_run["zap_id"]) == ("replay", run_id, zap["id"])
    assert new_run["trigger"] == old_run["trigger"]


async def test_a_replay_takes_another_payload_and_the_latest_version(ada: Person) -> None:
    zap, run_id = await started(ada)
    draft = {"name": "z", "trigger": zap["draft"]["trigger"], "steps": []}
    assert (await ada("PUT", f"/zaps/{zap['id']}", json=draft, headers={"if-match": "*"})).status_code == 200
    assert (await ada("POST", f"/zaps/{zap['id']}/publish")).json()["version"] == 2
    answer = await ada("POST", f"/runs/{run_id}/replay", json={"version": "latest", "payload": {"n": 2}})
    new_run = (await ada("GET", f"/runs/{answer.json()['id']}")).json()
    assert (new_run["zap_version"], new_run["trigger"]["body"]) == (2, {"n": 2})


async def test_a_replay_from_a_step_takes_over_the_outcomes_before_it(ada: Person, dsn: str) -> None:
    steps = [{"id": f"s{n}", "type": "test.echo", "config": {"text": "x"}} for n in (1, 2)]
    trigger = {"type": "webhook.catch", "config": {}}
    zap = (await ada("POST", "/zaps", json={"name": "z", "trigger": trigger, "steps": steps})).json()
    await ada("POST", f"/zaps/{zap['id']}/publish")
    run_id = (await ada.api.post(zap["hook_url"])).json()["run_id"]
    early = await ada("POST", f"/runs/{run_id}/replay", json={"from_step": "s2"})
    assert early.status_code == 409
    async with patient_store(dsn) as store:
        done = StepSucceeded(step_id="s1", attempt=1, started_at=now(), duration_ms=1.0, output={"k": 1})
        assert isinstance(await record(store, ada, run_id, done), Appended)
    answer = await ada("POST", f"/runs/{run_id}/replay", json={"from_step": "s2"})
    new_run = (await ada("GET", f"/runs/{answer.json()['id']}")).json()
    assert [(step["id"], step["status"], step["output"]) for step in new_run["steps"]] == [
        ("s1", "succeeded", {"k": 1}),
        ("s2", "pending", None),
    ]


@pytest.mark.parametrize(
    ("body", "status"),
    [({"from_step": "nope"}, 404), ({"version": "newest"}, 400), ({"from": "x"}, 400), ({"from_step": 7}, 400)],
)
async def test_a_wrong_wish_for_a_replay_is_refused(ada: Person, body: dict[str, Any], status: int) -> None:
    _zap, run_id = await started(ada)
    assert (await ada("POST", f"/runs/{run_id}/replay", json=body)).status_code == status
