"""The run detail is the fold of its stream, and nobody else's."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from domain.log.event import Event, StoredEvent, StreamKind
from domain.registry import encode, event_type
from domain.run.events import RunCompleted
from projections import run_detail
from projections.run_detail import NotARun, fold
from sql.process.clock import new_id
from tests.support.clock import START
from tests.support.memory_store import MemoryStore
from tests.support.projected import append, attempt_failed, failed, requested, resumed, succeeded

RUN, ZAP, TENANT = new_id(), new_id(), new_id()


def stored(events: Sequence[Event]) -> list[StoredEvent]:
    """The events as a stream of which each was recorded a second after the one before."""
    rows = []
    for number, event in enumerate(events):
        kind = event_type(event)
        rows.append(
            StoredEvent(
                100 + number,
                StreamKind.RUN,
                RUN,
                number + 1,
                TENANT,
                ZAP,
                new_id(),
                kind.name,
                kind.schema_version,
                START + timedelta(seconds=number),
                b"{}",
                encode(event),
            )
        )
    return rows


def test_a_run_that_was_only_asked_for_is_queued() -> None:
    detail = fold(stored([requested(ZAP)]))
    assert (detail.id, detail.zap_id, detail.status, detail.source, detail.steps) == (RUN, ZAP, "queued", "webhook", [])
    assert detail.trigger["body"] == {}
    assert (detail.started_at, detail.finished_at, detail.duration_ms, detail.position) == (START, None, None, 100)


def test_a_completed_run_has_its_output_and_times() -> None:
    detail = fold(stored([requested(ZAP), succeeded(), RunCompleted()]))
    assert (detail.status, detail.duration_ms, detail.error, detail.position) == ("completed", 2000.0, None, 102)
    (step,) = detail.steps
    assert (step.id, step.status, step.output, step.duration_ms) == ("send", "succeeded", {"ok": True}, 1000.0)


def test_a_waiting_run_shows_its_attempts_and_when_the_next_is_due() -> None:
    detail = fold(stored([requested(ZAP), attempt_failed()]))
    assert detail.status == "waiting"
    (step,) = detail.steps
    assert (step.status, step.finished_at) == ("waiting", None)
    (attempt,) = step.attempts
    assert attempt.error is not None
    assert (attempt.attempt, attempt.error.code, attempt.retry_at) == (1, "http_503", START + timedelta(seconds=5))


def test_a_resumed_run_is_running_and_its_late_success_clears_the_error_of_the_step() -> None:
    events = stored([requested(ZAP), attempt_failed(), resumed(), succeeded(2), RunCompleted()])
    assert fold(events[:3]).status == "running"
    (step,) = fold(events).steps
    assert (step.status, step.error, [attempt.attempt for attempt in step.attempts]) == ("succeeded", None, [1, 2])


def test_a_failed_run_says_why() -> None:
    detail = fold(stored([requested(ZAP), *failed()]))
    assert detail.status == "failed"
    assert detail.error is not None
    assert (detail.error.code, detail.steps[0].status, detail.steps[0].output) == ("http_503", "failed", None)


@pytest.mark.parametrize("events", [[], [succeeded()]])
def test_what_does_not_start_with_a_request_is_not_a_run(events: list[Event]) -> None:
    with pytest.raises(NotARun):
        fold(stored(events))


async def test_only_the_runs_own_tenant_gets_it() -> None:
    store = MemoryStore()
    await append(store, RUN, requested(ZAP), tenant_id=TENANT, key=ZAP)
    found = await run_detail.get(store, TENANT, RUN)
    assert found is not None
    assert found.id == RUN
    assert await run_detail.get(store, new_id(), RUN) is None
    assert await run_detail.get(store, TENANT, UUID(int=1)) is None
