"""The checker of invariants has to find what is corrupted, or it proves nothing."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from domain.event import StoredEvent
from domain.registry import encode, event_type
from domain.request import Request
from domain.run_events import RunCompleted, RunEvent, RunRequested, StepSucceeded
from tests.support.invariants import Evidence, violations

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = UUID(int=7)
BODY = b'{"a":1}'
EVENTS: tuple[RunEvent, ...] = (
    RunRequested(
        zap_id=UUID(int=1), zap_version=1, source="webhook", request=Request(body=BODY.decode()), dedupe_id="d"
    ),
    StepSucceeded(step_id="send", attempt=1, started_at=NOW, duration_ms=1.0),
    RunCompleted(),
)


def log(*events: RunEvent, run_id: UUID = RUN, start: int = 1) -> list[StoredEvent]:
    return [
        StoredEvent(
            start + index,
            1,
            run_id,
            index + 1,
            UUID(int=2),
            run_id,
            UUID(int=100 + start + index),
            event_type(event).name,
            1,
            NOW,
            b"{}",
            encode(event),
        )
        for index, event in enumerate(events)
    ]


def sound() -> Evidence:
    return Evidence(log(*EVENTS), {RUN: BODY}, {f"{RUN}.send": [b"x"]})


def test_a_sound_history_has_no_violations() -> None:
    assert violations(sound(), exactly_once=True) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"log": log(*EVENTS)[:-1]}, "I3"),
        ({"log": log(*EVENTS, RunCompleted())}, "I3"),
        ({"log": log(EVENTS[0], EVENTS[1], EVENTS[1], EVENTS[2])}, "I4"),
        ({"log": log(*EVENTS)[:1] + log(*EVENTS)[2:]}, "I2"),
        ({"log": log(*EVENTS) + log(*EVENTS, run_id=UUID(int=8), start=4)}, "I9"),
        ({"acknowledged": {RUN: b"other"}}, "I1"),
        ({"acknowledged": {RUN: BODY, UUID(int=9): BODY}}, "I1"),
        ({"deliveries": {}}, "never reached"),
        ({"deliveries": {f"{RUN}.send": [b"x", b"y"]}}, "different bodies"),
        ({"deliveries": {f"{RUN}.send": [b"x", b"x"]}}, "2 times"),
    ],
)
def test_a_corrupted_history_is_found(change: dict[str, object], found: str) -> None:
    evidence = msgspec.structs.replace(sound(), **change)
    assert any(found in problem for problem in violations(evidence, exactly_once=True))
