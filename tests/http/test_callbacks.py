"""Callbacks: the first request to a step's own URL counts, whenever it comes; the others change nothing."""

import asyncio
import gzip
from datetime import timedelta
from uuid import UUID

import pytest

from domain.connector.outcome import Succeeded
from domain.flow.steps import WaitForStep
from domain.log.event import StreamKind
from domain.run.answers import outcome_of_callback
from domain.run.events import Failure, RunResumed, StepAttemptFailed
from domain.run.links import Links
from domain.run.waits import CallbackReceived
from sql.log.event_store import PgEventStore
from sql.process.clock import now
from tests.support.api import HOOK_URL, Person
from tests.support.waiting import LINKS, awaiting, callback, happens, now_of, run_of

TIMERS = "select timer_id, due_at from es.timers where stream_id = $1"


@pytest.fixture
def store(shared_store: PgEventStore) -> PgEventStore:
    return shared_store


async def received(store: PgEventStore, run_id: UUID) -> CallbackReceived:
    """The one callback in the log."""
    found = (await now_of(store, run_id)).state.callbacks["later"]
    assert found is not None
    return found


async def count(store: PgEventStore, run_id: UUID) -> int:
    """How many callbacks are in the log."""
    stream = await store.read_stream(StreamKind.RUN, run_id)
    return sum(event.type == "zap.run.callback_received" for event in stream)


async def test_the_first_counts_and_a_repeat_is_told_so(ada: Person, store: PgEventStore) -> None:
    run = await awaiting(store, ada)
    first = await ada.api.post(f"{callback(run)}?a=1&a=2", json={"paid": True}, headers={"x-from": "bank"})
    assert (first.status_code, first.json()) == (
        200, {"status": "accepted", "run_id": str(run.id), "step_id": "later"},
    )  # fmt: skip
    again = await ada.api.post(callback(run), json={"paid": False})
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    assert await count(store, run.id) == 1
    outcome = outcome_of_callback(WaitForStep("later"), await received(store, run.id), now())
    assert isinstance(outcome, Succeeded)
    output = outcome.output
    assert isinstance(output, dict)
    assert (output["body"], output["query"]) == ({"paid": True}, {"a": ["1", "2"]})
    assert isinstance(output["headers"], dict)
    assert output["headers"]["x-from"] == "bank"
    assert await store.pool.fetch(TIMERS, run.id) == [], "the deadline is off"


async def test_of_many_at_once_one_counts(ada: Person, store: PgEventStore) -> None:
    run = await awaiting(store, ada)
    found = await asyncio.gather(*(ada.api.post(callback(run), json={"n": n}) for n in range(20)))
    assert [one.status_code for one in found] == [200] * 20
    assert sorted(one.json()["status"] for one in found) == ["accepted"] + ["duplicate"] * 19
    assert await count(store, run.id) == 1


async def test_one_that_comes_before_the_wait_is_kept(ada: Person, store: PgEventStore) -> None:
    run = await run_of(store, ada)
    assert (await ada.api.post(callback(run), json=1)).json()["status"] == "accepted"
    assert (await ada.api.post(callback(run), json=2)).json()["status"] == "duplicate"
    assert (await received(store, run.id)).request.body == "1"
    assert (await ada.api.post(callback(run, "other"), json=3)).json()["status"] == "accepted"


async def test_one_that_comes_while_the_run_waits_to_try_again_leaves_that_as_it_is(
    ada: Person, store: PgEventStore
) -> None:
    """The timer of the retry moves to the callback, and fires when it would have."""
    retry_at = now() + timedelta(hours=1)
    failed = StepAttemptFailed(
        step_id="send", attempt=1, started_at=now(), duration_ms=1.0, failure=Failure(code="timeout", message="no"),
        retry_at=retry_at,
    )  # fmt: skip
    run = await happens(store, await run_of(store, ada), failed)
    assert (await ada.api.post(callback(run), json=1)).json()["status"] == "accepted"
    (timer,) = await store.pool.fetch(TIMERS, run.id)
    last = await now_of(store, run.id)
    assert (timer[0], timer[1]) == (last.timer_id, retry_at)
    detail = (await ada("GET", f"/runs/{run.id}")).json()
    assert detail["status"] == "waiting"
    resumed = await happens(store, last, RunResumed(timer_id=timer[0]))
    assert resumed.state.waits_until is None  # type: ignore[union-attr]


async def test_after_the_deadline_or_the_end_it_is_too_late(ada: Person, store: PgEventStore) -> None:
    late = await awaiting(store, ada, within_s=-1)
    answer = await ada.api.post(callback(late), json=1)
    assert (answer.status_code, answer.json()["code"]) == (410, "gone")
    ended = await awaiting(store, ada)
    await ada("POST", f"/runs/{ended.id}/cancel")
    assert (await ada.api.post(callback(ended), json=1)).status_code == 410
    assert await count(store, late.id) + await count(store, ended.id) == 0


async def test_a_repeat_is_a_duplicate_also_once_the_run_has_ended(ada: Person, store: PgEventStore) -> None:
    run = await awaiting(store, ada)
    await ada.api.post(callback(run), json=1)
    await ada("POST", f"/runs/{run.id}/cancel")
    answer = await ada.api.post(callback(run), json=1)
    assert (answer.status_code, answer.json()["status"]) == (200, "duplicate")


async def test_a_forged_address_is_unknown(ada: Person, store: PgEventStore) -> None:
    run = await awaiting(store, ada)
    token = callback(run).rpartition("/")[2]
    forged = Links("somebody else's secret", HOOK_URL).callback_url(run.id, "later").rpartition("/")[2]
    for bad in (forged, token[:-1], token + "A", token.swapcase(), "", "x", "A" * 1000, token + "="):
        answer = await ada.api.post(f"/hooks/resume/{bad}", json=1)
        assert answer.status_code == 404, bad
    assert await count(store, run.id) == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_only_a_post_is_a_callback(ada: Person, store: PgEventStore, method: str) -> None:
    run = await awaiting(store, ada)
    answer = await ada.api.request(method, callback(run))
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")
    assert await count(store, run.id) == 0


async def test_a_body_that_does_not_parse_is_kept_as_text(ada: Person, store: PgEventStore) -> None:
    run = await awaiting(store, ada)
    headers = {"content-type": "application/json"}
    assert (await ada.api.post(callback(run), content=b'{"a":', headers=headers)).status_code == 200
    outcome = outcome_of_callback(WaitForStep("later"), await received(store, run.id), now())
    assert isinstance(outcome, Succeeded)
    assert isinstance(outcome.output, dict)
    assert outcome.output["body"] == '{"a":'


async def test_bodies_have_the_bounds_of_hooks(ada: Person, store: PgEventStore) -> None:
    run = await awaiting(store, ada)
    large = await ada.api.post(callback(run), content=b"x" * 100_001)
    assert (large.status_code, large.json()["code"]) == (413, "too_large")
    bomb = gzip.compress(b"x" * 1_000_000)
    packed = await ada.api.post(callback(run), content=bomb, headers={"content-encoding": "gzip"})
    assert packed.status_code == 413
    assert (await ada.api.post(callback(run), headers={f"x-{n}": "v" for n in range(200)})).status_code == 431
    assert (await ada.api.post(f"{callback(run)}?{'q' * 20_000}")).status_code == 413
    assert await count(store, run.id) == 0


async def test_secrets_in_headers_are_not_shown(ada: Person, store: PgEventStore) -> None:
    run = await awaiting(store, ada)
    await ada.api.post(callback(run), json=1, headers={"authorization": "Bearer canary"})
    events = await ada("GET", f"/runs/{run.id}/events")
    assert "canary" not in events.text


async def test_the_run_says_that_it_waits(ada: Person, store: PgEventStore) -> None:
    run = await awaiting(store, ada)
    detail = (await ada("GET", f"/runs/{run.id}")).json()
    assert (detail["status"], detail["reason"]) == ("waiting", "callback")
    assert detail["steps"][0]["waits_until"]
    await ada.api.post(callback(run), json=1)
    detail = (await ada("GET", f"/runs/{run.id}")).json()
    assert (detail["status"], detail["reason"]) == ("running", None)


def test_a_callback_outlives_its_key_for_as_long_as_that_is_on_the_ring() -> None:
    run_id = UUID(int=7)
    token = Links("old", HOOK_URL).callback_url(run_id, "later").rpartition("/")[2]
    for ring, known in (("new,old", True), ("old,new", True), ("new", False)):
        found = Links(ring, HOOK_URL).read_callback(token)
        assert (found is not None) == known
    assert LINKS.read_callback(token) is None
