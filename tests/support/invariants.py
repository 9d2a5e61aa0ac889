"""The checker of invariants: reads only the log, the sink's journal, and what senders were told.

It is itself tested: a corrupted input has to be found (tests/unit/test_invariants.py).
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

import asyncpg
import msgspec

from domain.event import StoredEvent
from domain.registry import decode
from domain.run_events import (
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunRequested,
    RunTimedOut,
    StepAttempt,
    StepAttemptFailed,
)
from sql.queries import Queries

_read_log = Queries("queries/events.sql")["read_log"]


class Evidence(msgspec.Struct):
    """All that a check looks at. `acknowledged`: run id → the body its sender sent."""

    log: Sequence[StoredEvent]
    acknowledged: Mapping[UUID, bytes]
    deliveries: Mapping[str, Sequence[bytes]]


async def read_log(dsn: str) -> list[StoredEvent]:
    """The whole log, as it is stored."""
    connection = await asyncpg.connect(dsn)
    try:
        return [StoredEvent(*row) for row in await connection.fetch(_read_log, 0, 2_000_000)]
    finally:
        await connection.close()


def violations(evidence: Evidence, *, exactly_once: bool) -> list[str]:
    """What is broken, in words; empty when all invariants hold. `exactly_once`: no fault happened."""
    return [
        *_positions(evidence.log),
        *_runs(evidence),
        *_deliveries(evidence, exactly_once=exactly_once),
    ]


def _positions(log: Sequence[StoredEvent]) -> list[str]:
    found = [event.position for event in log]
    return [] if found == list(range(1, len(found) + 1)) else ["I2: positions are not contiguous"]


def _runs(evidence: Evidence) -> list[str]:
    runs: defaultdict[UUID, list[RunEvent]] = defaultdict(list)
    for stored in evidence.log:
        if stored.kind == 1:
            event = decode(stored.type, stored.schema_version, stored.data)
            assert isinstance(event, RunEvent)
            runs[stored.stream_id].append(event)
    problems = [f"I1: acknowledged run {run} is not in the log" for run in evidence.acknowledged if run not in runs]
    for run_id, events in runs.items():
        problems += _run(run_id, events, evidence.acknowledged.get(run_id))
    dedupe = Counter(
        events[0].dedupe_id for events in runs.values() if isinstance(events[0], RunRequested) and events[0].dedupe_id
    )
    return problems + [f"I9: delivery {key} made {count} runs" for key, count in dedupe.items() if count > 1]


def _run(run_id: UUID, events: Sequence[RunEvent], body: bytes | None) -> list[str]:
    problems: list[str] = []
    first = events[0]
    if not isinstance(first, RunRequested):
        problems.append(f"I1: run {run_id} does not start with its request")
    elif body is not None and first.request.raw_body() != body:
        problems.append(f"I1: run {run_id} holds other bytes than were acknowledged")
    ends = [event for event in events if isinstance(event, RunCompleted | RunFailed | RunTimedOut | RunCancelled)]
    if len(ends) != 1 or events[-1] is not ends[0]:
        problems.append(f"I3: run {run_id} has {len(ends)} ends")
    outcomes = Counter(e.step_id for e in events if isinstance(e, StepAttempt) and not isinstance(e, StepAttemptFailed))
    problems += [f"I4: step {step} of {run_id} has {n} outcomes" for step, n in outcomes.items() if n != 1]
    attempts: defaultdict[str, list[int]] = defaultdict(list)
    for event in events:
        if isinstance(event, StepAttempt):
            attempts[event.step_id].append(event.attempt)
    problems += [
        f"I8: attempts of {step} in {run_id} are {numbers}"
        for step, numbers in attempts.items()
        if numbers != list(range(1, len(numbers) + 1))
    ]
    return problems


def _deliveries(evidence: Evidence, *, exactly_once: bool) -> list[str]:
    problems: list[str] = []
    for key, bodies in evidence.deliveries.items():
        if len(set(bodies)) != 1:
            problems.append(f"I4: key {key} came with different bodies")
        if exactly_once and len(bodies) != 1:
            problems.append(f"I4: key {key} came {len(bodies)} times")
    delivered = {key.split(".")[0] for key in evidence.deliveries}
    return problems + [
        f"I3: run {run} never reached the sink" for run in evidence.acknowledged if str(run) not in delivered
    ]
