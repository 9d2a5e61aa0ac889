"""The checker of the invariants I1 to I12 (DESIGN §10): it reads only the log, the topic, the journals of senders and
sinks, and what the API and `triggerhub verify` answer. What was not collected is not checked.

It is itself tested: a corrupted input has to be found (tests/unit/test_invariants.py).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from domain.envelope import Envelope
from domain.flow.retry import DEFAULT, JITTER, schedule_s
from domain.log.event import StoredEvent
from domain.log.partitioning import partition_of
from domain.registry import decode
from domain.run import events as run
from domain.run.children import LoopFinished, ZapCalled
from domain.run.state import idempotency_key
from domain.run.waits import ApprovalAsked, CallbackReceived
from tests.support.family import ENDS, Entry, Runs, families

CLOCK_SLACK_S = 0.1
"""Between the clocks and roundings of an attempt's end, its record and its timer."""
MORE_CONNECTIONS = 5
MORE_MEMORY = 100 * 2**20

Schedule = Callable[[int], tuple[float, float] | None]
"""Seconds, at least and at most, from failed attempt n to the next one; None: there must be no next one."""


def default_schedule(attempt: int) -> tuple[float, float] | None:
    """That of steps which say nothing about retries, whose targets sent no Retry-After."""
    scheduled = schedule_s(DEFAULT)
    if attempt > len(scheduled):
        return None
    return scheduled[attempt - 1] * (1 - JITTER), scheduled[attempt - 1] * (1 + JITTER)


class Answer(msgspec.Struct, frozen=True):
    """What a sender was told about a delivery. `run_id` is that of a 2xx."""

    delivery: str
    status: int
    run_id: UUID | None = None


class Vitals(msgspec.Struct, frozen=True):
    """A process: resident bytes, and its open connections."""

    pid: int
    memory: int
    connections: int


class Evidence(msgspec.Struct):
    """All that a check looks at.

    `acknowledged`: run id → the body its sender sent. `deliveries`: Idempotency-Key → bodies in order of arrival.
    `topic`: messages, in order within each partition; `topic_lost`: the broker forgot some that all had taken.
    `earlier`: the log as it was before the fault. `shown`: tenant → run id → status, as the API lists them.
    `verified`: exit code and output of `triggerhub verify`. `prompt`: zap id → seconds within which its runs begin.
    `before` and `after`: processes by name; those of `replaced` were to die.
    """

    log: Sequence[StoredEvent]
    acknowledged: Mapping[UUID, bytes]
    deliveries: Mapping[str, Sequence[bytes]]
    answers: Sequence[Answer] = ()
    topic: Sequence[Envelope] | None = None
    partitions: int = 12
    topic_lost: bool = False
    earlier: Sequence[StoredEvent] = ()
    shown: Mapping[UUID, Mapping[UUID, str]] = {}
    verified: tuple[int, str] = (0, "")
    schedule: Schedule = default_schedule
    prompt: Mapping[UUID, float] = {}
    before: Mapping[str, Vitals] = {}
    after: Mapping[str, Vitals] = {}
    replaced: Collection[str] = ()


def violations(evidence: Evidence, *, exactly_once: bool) -> list[str]:
    """What is broken, in words; empty when all invariants hold. `exactly_once`: no fault happened."""
    runs = _runs(evidence.log)
    return [
        *_log(evidence),
        *_acknowledged(evidence, runs),
        *(problem for run_id, entries in runs.items() for problem in _run(run_id, entries, evidence)),
        *families(runs),
        *_deliveries(evidence, runs, exactly_once=exactly_once),
        *_answers(evidence, runs),
        *(_topic(evidence, evidence.topic) if evidence.topic is not None else ()),
        *_shown(evidence, runs),
        *_processes(evidence),
    ]


def _runs(log: Sequence[StoredEvent]) -> Runs:
    runs: defaultdict[UUID, list[Entry]] = defaultdict(list)
    for stored in log:
        if stored.kind == 1:
            event = decode(stored.type, stored.schema_version, stored.data)
            assert isinstance(event, run.RunEvent)
            runs[stored.stream_id].append(Entry(stored, event))
    return runs


def _log(evidence: Evidence) -> Iterator[str]:
    positions = [event.position for event in evidence.log]
    if positions != list(range(1, len(positions) + 1)):
        yield "I2: positions are not contiguous"
    if list(evidence.log[: len(evidence.earlier)]) != list(evidence.earlier):
        yield "I12: events that were stored before the fault are different after it"
    code, output = evidence.verified
    if code:
        yield f"{'I12' if 'BROKEN' in output else 'I5'}: verify ends with {code}: {output}"


def _acknowledged(evidence: Evidence, runs: Runs) -> Iterator[str]:
    for run_id, body in evidence.acknowledged.items():
        if run_id not in runs:
            yield f"I1: acknowledged run {run_id} is not in the log"
            continue
        first = runs[run_id][0].event
        if isinstance(first, run.RunRequested) and first.request.raw_body() != body:
            yield f"I1: run {run_id} holds other bytes than were acknowledged"
    dedupe = Counter(
        (entries[0].event.zap_id, entries[0].event.dedupe_id)
        for entries in runs.values()
        if isinstance(entries[0].event, run.RunRequested) and entries[0].event.dedupe_id
    )
    yield from (f"I9: delivery {key} made {count} runs" for (_zap, key), count in dedupe.items() if count > 1)


def _run(run_id: UUID, entries: Sequence[Entry], evidence: Evidence) -> Iterator[str]:
    if not isinstance(entries[0].event, run.RunRequested):
        yield f"I1: run {run_id} does not start with its request"
        return
    if len({entry.stored.tenant_id for entry in entries}) != 1:
        yield f"I7: run {run_id} belongs to several tenants"
    ends = [entry for entry in entries if type(entry.event) in ENDS]
    if len(ends) != 1 or entries[-1] is not ends[0]:
        yield f"I3: run {run_id} has {len(ends)} ends"
    attempts = [entry.event for entry in entries if isinstance(entry.event, run.StepAttempt)]
    outcomes = Counter(event.step_id for event in attempts if not isinstance(event, run.StepAttemptFailed))
    yield from (f"I4: step {step} of {run_id} has {n} outcomes" for step, n in outcomes.items() if n != 1)
    yield from _attempts(run_id, attempts, evidence.schedule)
    yield from _timers(run_id, entries)
    within_s = evidence.prompt.get(entries[0].event.zap_id)
    if within_s is not None and attempts:
        waited = attempts[0].started_at - entries[0].stored.recorded_at
        if waited > timedelta(seconds=within_s):
            yield f"I6: run {run_id} waited {waited} for its first step"


def _attempts(run_id: UUID, attempts: Sequence[run.StepAttempt], schedule: Schedule) -> Iterator[str]:
    of_steps: defaultdict[str, list[run.StepAttempt]] = defaultdict(list)
    for event in attempts:
        of_steps[event.step_id].append(event)
    for step, of_step in of_steps.items():
        numbers = [event.attempt for event in of_step]
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"I8: attempts of {step} in {run_id} are {numbers}"
        for event, following in zip(of_step, [*of_step[1:], None], strict=True):
            if not isinstance(event, run.StepAttemptFailed):
                continue
            ended_at = event.started_at + timedelta(milliseconds=event.duration_ms)
            delay = (event.retry_at - ended_at).total_seconds()
            low, high = schedule(event.attempt) or (0.0, -1.0)
            if not low - CLOCK_SLACK_S <= delay <= high + CLOCK_SLACK_S:
                yield f"I8: attempt {event.attempt} of {step} in {run_id} is followed after {delay} s"
            if following is not None and (event.retry_at - following.started_at).total_seconds() > CLOCK_SLACK_S:
                yield f"I8: attempt {following.attempt} of {step} in {run_id} came before its time"


def _timers(run_id: UUID, entries: Sequence[Entry]) -> Iterator[str]:
    set_at = {entry.stored.event_id: number for number, entry in enumerate(entries)}
    fired = [
        (number, entry.event.timer_id)
        for number, entry in enumerate(entries)
        if isinstance(entry.event, run.RunResumed)
    ]
    yield from (f"I8: a timer of {run_id} fired {n} times" for n in Counter(t for _, t in fired).values() if n > 1)
    called = {entry.event.run_id for entry in entries if isinstance(entry.event, ZapCalled)}
    for number, timer in fired:
        if timer not in called and set_at.get(timer, number) >= number:
            yield f"I8: run {run_id} was resumed by a timer that it had not set"


def _deliveries(evidence: Evidence, runs: Runs, *, exactly_once: bool) -> Iterator[str]:
    for key, bodies in evidence.deliveries.items():
        if len(set(bodies)) != 1:
            yield f"I4: key {key} came with different bodies"
        if exactly_once and len(bodies) != 1:
            yield f"I4: key {key} came {len(bodies)} times"
    steps = {
        (run_id, entry.event.step_id): type(entry.event)
        for run_id, entries in runs.items()
        for entry in entries
        if isinstance(entry.event, run.StepAttempt)
    }
    recorded = {idempotency_key(*step): kind for step, kind in steps.items()}
    # Of a run that was stopped from outside, the action under way has its effect and no record.
    stopped = {
        str(run_id)
        for run_id, entries in runs.items()
        if isinstance(entries[-1].event, run.RunCancelled | run.RunTimedOut)
    }
    for key in evidence.deliveries.keys() - recorded.keys():
        if key.partition(".")[0] not in stopped:
            yield f"I4: what the sink got as {key} is on no record"
    succeeded = {key for key, kind in recorded.items() if kind is run.StepSucceeded}
    waits = {
        idempotency_key(run_id, entry.event.step_id)
        for run_id, entries in runs.items()
        for entry in entries
        if isinstance(entry.event, ApprovalAsked | CallbackReceived | LoopFinished | ZapCalled)
    }
    for key in succeeded - waits - evidence.deliveries.keys():
        yield f"I3: step {key} succeeded and never reached the sink"
    done = {run_id for run_id, _step in steps}
    for run_id in evidence.acknowledged.keys() & runs.keys() - done:
        if isinstance(runs[run_id][-1].event, run.RunCompleted):
            yield f"I3: run {run_id} completed and did nothing"


def _answers(evidence: Evidence, runs: Runs) -> Iterator[str]:
    told: defaultdict[str, set[UUID]] = defaultdict(set)
    for answer in evidence.answers:
        if answer.status >= 500 and answer.status != 503:
            yield f"I11: delivery {answer.delivery} was answered {answer.status}"
        if answer.run_id is not None:
            told[answer.delivery].add(answer.run_id)
            if answer.run_id not in runs:
                yield f"I11: delivery {answer.delivery} was answered {answer.status} without a commit"
    yield from (f"I9: delivery {key} was told of {len(ids)} runs" for key, ids in told.items() if len(ids) > 1)


def _topic(evidence: Evidence, topic: Sequence[Envelope]) -> Iterator[str]:
    stored: defaultdict[int, list[StoredEvent]] = defaultdict(list)
    sent: defaultdict[int, list[Envelope]] = defaultdict(list)
    for event in evidence.log:
        stored[partition_of(event.ordering_key, evidence.partitions)].append(event)
    for message in topic:
        if int(message.position) > len(evidence.log):
            continue  # counts of requests, for instance, are stored when they are due: after the log was read
        sent[partition_of(message.orderingkey, evidence.partitions)].append(message)
    for partition in sorted({*stored, *sent}):
        yield from _partition(partition, stored[partition], sent[partition], lost=evidence.topic_lost)


def _partition(
    partition: int, events: Sequence[StoredEvent], messages: Sequence[Envelope], *, lost: bool
) -> Iterator[str]:
    """What a consumer gets that drops repeats and, after a loss, waits for what was before a message."""
    seen = min((int(message.previous) for message in messages), default=events[-1].position) if lost else 0
    expected = [event for event in events if event.position > seen]
    taken = []
    for message in messages:
        if int(message.position) <= seen or (lost and int(message.previous) > seen):
            continue
        seen = int(message.position)
        taken.append(seen)
    if taken != [event.position for event in expected]:
        yield f"I2: partition {partition} has not each event in order: {_difference(taken, expected)}"
    yield from _messages(messages, {event.position: event for event in events})


def _difference(taken: Sequence[int], expected: Sequence[StoredEvent]) -> str:
    pairs = zip([*taken, None], [*(event.position for event in expected), None], strict=False)
    found, wanted = next(((a, b) for a, b in pairs if a != b), (None, None))
    return f"there is {found} where {wanted} should be"


def _messages(messages: Sequence[Envelope], stored: Mapping[int, StoredEvent]) -> Iterator[str]:
    before: dict[int, int] = dict(zip(stored, [0, *stored], strict=False))
    for message in messages:
        position = int(message.position)
        event = stored.get(position)
        if event is None:
            continue
        sent = message.stored()
        same = sent is None or sent == msgspec.structs.replace(event, meta=sent.meta)
        if message.id != event.event_id or not same:
            yield f"I2: the message for position {position} is not the event of the log"
        if not before[position] <= int(message.previous) < position:
            yield f"I2: the message for position {position} names {message.previous} as the one before it"


def _shown(evidence: Evidence, runs: Runs) -> Iterator[str]:
    for tenant, listed in evidence.shown.items():
        own = {run_id: entries for run_id, entries in runs.items() if entries[0].stored.tenant_id == tenant}
        yield from (
            f"I7: {tenant} is shown the run {run_id} of another"
            for run_id in listed.keys() & (runs.keys() - own.keys())
        )
        yield from (f"I5: run {run_id} is not listed" for run_id in own.keys() - listed.keys())
        yield from (f"I5: run {run_id} is listed and not in the log" for run_id in listed.keys() - runs.keys())
        for run_id in own.keys() & listed.keys():
            status = ENDS.get(type(own[run_id][-1].event), "running")
            if listed[run_id] != status:
                yield f"I5: run {run_id} is shown as {listed[run_id]} and is {status}"


def _processes(evidence: Evidence) -> Iterator[str]:
    for name, before in evidence.before.items():
        after = evidence.after.get(name)
        if after is None:
            yield f"I10: {name} is gone"
            continue
        if after.pid != before.pid and name not in evidence.replaced:
            yield f"I10: {name} was started again"
        if after.connections > before.connections + MORE_CONNECTIONS:
            yield f"I10: {name} has {after.connections} connections open, and had {before.connections}"
        if after.memory > before.memory + MORE_MEMORY:
            yield f"I10: {name} holds {after.memory >> 20} MiB, and held {before.memory >> 20}"
