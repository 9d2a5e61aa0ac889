"""The checker of invariants has to find what is corrupted, or it proves nothing."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.envelope import Envelope, decode, encode
from domain.hook.request import Request
from domain.log.event import StoredEvent
from domain.log.partitioning import partition_of
from domain.registry import encode as encoded
from domain.registry import event_type
from domain.run.children import ChildIds, LoopFinished, LoopStarted, Parent, ZapCalled
from domain.run.events import (
    Failure,
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunFiltered,
    RunRequested,
    RunResumed,
    StepAttemptFailed,
    StepSucceeded,
)
from tests.support.invariants import Answer, Evidence, Vitals, violations

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN, OTHER = UUID(int=7), UUID(int=8)
ZAP, TENANT, STRANGER = UUID(int=1), UUID(int=2), UUID(int=3)
BODY = b'{"a":1}'
RETRY_AT = NOW + timedelta(seconds=5)
REQUESTED = RunRequested(
    zap_id=ZAP, zap_version=1, source="webhook", request=Request(body=BODY.decode()), dedupe_id="d"
)
FAILED = StepAttemptFailed(
    step_id="send",
    attempt=1,
    started_at=NOW,
    duration_ms=0,
    failure=Failure(code="http_500", message="no"),
    retry_at=RETRY_AT,
)
SUCCEEDED = StepSucceeded(step_id="send", attempt=2, started_at=RETRY_AT, duration_ms=1.0)
EVENTS: tuple[RunEvent, ...] = (REQUESTED, FAILED, RunResumed(timer_id=UUID(int=102)), SUCCEEDED, RunCompleted())
"""One run: the first attempt fails, the timer with the id of that event fires, the second attempt succeeds."""

Change = Callable[[Evidence], None]


def log(*events: RunEvent, run_id: UUID = RUN, start: int = 1, tenant: UUID = TENANT) -> list[StoredEvent]:
    return [
        StoredEvent(
            start + index,
            1,
            run_id,
            index + 1,
            tenant,
            run_id,
            UUID(int=100 + start + index),
            event_type(event).name,
            1,
            NOW,
            b"{}",
            encoded(event),
        )
        for index, event in enumerate(events)
    ]


def topic(events: Sequence[StoredEvent]) -> list[Envelope]:
    last: dict[int, int] = {}
    messages = []
    for event in events:
        partition = partition_of(event.ordering_key, 12)
        messages.append(decode(encode(event, last.get(partition, 0))))
        last[partition] = event.position
    return messages


def sound() -> Evidence:
    second = (msgspec.structs.replace(REQUESTED, dedupe_id="e"), RunCancelled())
    events = [*log(*EVENTS), *log(*second, run_id=OTHER, start=6, tenant=STRANGER)]
    vitals = {name: Vitals(pid, 2**27, 4) for pid, name in enumerate(("api", "relay"), 1)}
    return Evidence(
        events,
        {RUN: BODY, OTHER: BODY},
        {f"{RUN}.send": [b"x", b"x"]},
        answers=[Answer("d", 503), Answer("d", 200, RUN), Answer("e", 200, OTHER)],
        topic=topic(events),
        earlier=events[:3],
        shown={TENANT: {RUN: "completed"}, STRANGER: {OTHER: "cancelled"}},
        prompt={ZAP: 1.0},
        before=dict(vitals),
        after=dict(vitals),
    )


def test_a_sound_history_has_no_violations() -> None:
    assert violations(sound(), exactly_once=False) == []


def test_repeats_of_messages_are_no_violation() -> None:
    evidence = sound()
    evidence.topic = [*topic(evidence.log)[:3], *topic(evidence.log)]
    assert violations(evidence, exactly_once=False) == []


def test_a_broker_that_forgot_what_all_had_taken_is_no_violation() -> None:
    evidence = sound()
    evidence.topic, evidence.topic_lost = topic(evidence.log)[2:], True
    assert violations(evidence, exactly_once=False) == []


def test_what_was_lost_once_more_has_to_come_again() -> None:
    evidence = sound()
    whole = topic(evidence.log)
    evidence.topic, evidence.topic_lost = [whole[0], *whole[2:]], True
    assert any("I2: partition" in problem for problem in violations(evidence, exactly_once=False))
    evidence.topic = [whole[0], *whole[2:], *whole[1:]]
    assert violations(evidence, exactly_once=False) == []


def first_run(*events: RunEvent) -> Change:
    """Give the first run another history; nothing else that was collected speaks of it then."""

    def change(evidence: Evidence) -> None:
        evidence.log, evidence.topic, evidence.earlier, evidence.shown = log(*events), None, (), {}
        evidence.acknowledged, evidence.answers = {RUN: BODY}, ()

    return change


def messages(change: Callable[[list[Envelope]], list[Envelope]]) -> Change:
    def apply(evidence: Evidence) -> None:
        assert evidence.topic is not None
        evidence.topic = change(list(evidence.topic))

    return apply


def put(**changes: object) -> Change:
    def apply(evidence: Evidence) -> None:
        for name, value in changes.items():
            setattr(evidence, name, value)

    return apply


def swapped(found: list[Envelope]) -> list[Envelope]:
    return [found[1], found[0], *found[2:]]


def edited(found: list[Envelope], **changes: object) -> list[Envelope]:
    return [found[0], msgspec.structs.replace(found[1], **changes), *found[2:]]


def slipped(event: StepAttemptFailed, seconds: float) -> StepAttemptFailed:
    return msgspec.structs.replace(event, retry_at=event.retry_at + timedelta(seconds=seconds))


CALM = Vitals(1, 2**27, 4)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (put(acknowledged={RUN: b"other"}), "I1: run"),
        (put(acknowledged={RUN: BODY, UUID(int=9): BODY}), "I1: acknowledged"),
        (first_run(*EVENTS[1:]), "I1: run"),
        (put(log=log(*EVENTS)[:1] + log(*EVENTS)[2:], topic=None), "I2: positions"),
        (put(log=log(*EVENTS)[1::-1] + log(*EVENTS)[2:], topic=None), "I2: positions"),
        (messages(lambda found: found[:2] + found[3:]), "I2: partition"),
        (messages(lambda found: found[:-1]), "I2: partition"),
        (messages(swapped), "I2: partition"),
        (messages(lambda _found: []), "I2: partition"),
        (messages(lambda found: edited(found, id=UUID(int=5))), "I2: the message for position 2"),
        (messages(lambda found: edited(found, data=msgspec.Raw(b"{}"))), "I2: the message for position 2"),
        (messages(lambda found: edited(found, previous="0")), "names 0 as the one before"),
        (messages(lambda found: edited(found, previous="2")), "names 2 as the one before"),
        (first_run(*EVENTS[:-1]), "I3: run"),
        (first_run(*EVENTS, RunCompleted()), "I3: run"),
        (first_run(*EVENTS, SUCCEEDED), "I3: run"),
        (first_run(REQUESTED, RunCompleted()), "did nothing"),
        (put(deliveries={}), "never reached"),
        (first_run(*EVENTS[:4], SUCCEEDED, RunCompleted()), "I4: step"),
        (put(deliveries={f"{RUN}.send": [b"x", b"y"]}), "different bodies"),
        (put(deliveries={f"{RUN}.send": [b"x"], f"{RUN}.other": [b"x"]}), "on no record"),
        (put(shown={TENANT: {RUN: "running"}}), "is shown as running and is completed"),
        (put(shown={TENANT: {}}), "I5: run"),
        (put(shown={TENANT: {RUN: "completed", UUID(int=9): "completed"}}), "not in the log"),
        (put(verified=(1, "DIFFERENT: run_list")), "I5: verify"),
        (put(prompt={ZAP: -1.0}), "I6: run"),
        (put(shown={TENANT: {RUN: "completed", OTHER: "cancelled"}}), "I7: "),
        (put(log=[*log(*EVENTS)[:2], *log(*EVENTS, tenant=STRANGER)[2:]], topic=None), "I7: run"),
        (first_run(REQUESTED, slipped(FAILED, 2), *EVENTS[2:]), "I8: attempt 1 of send"),
        (first_run(REQUESTED, slipped(FAILED, -2), *EVENTS[2:]), "I8: attempt 1 of send"),
        (first_run(REQUESTED, slipped(FAILED, 0.9), *EVENTS[2:]), "before its time"),
        (first_run(REQUESTED, *EVENTS[3:]), "I8: attempts of send"),
        (first_run(*EVENTS[:3], *EVENTS[2:]), "fired 2 times"),
        (first_run(REQUESTED, FAILED, RunResumed(timer_id=UUID(int=9)), *EVENTS[3:]), "a timer that it had not set"),
        (put(schedule=lambda _attempt: None), "I8: attempt 1"),
        (put(log=log(*EVENTS) + log(*EVENTS, run_id=UUID(int=8), start=6), topic=None), "I9: delivery d made 2"),
        (put(answers=[Answer("d", 200, RUN), Answer("d", 200, OTHER)]), "I9: delivery d was told of 2"),
        (put(after={"api": CALM}), "I10: relay is gone"),
        (put(after={"api": CALM, "relay": CALM}), "I10: relay was started again"),
        (put(after={"api": Vitals(1, 2**30, 4), "relay": Vitals(2, 0, 0)}), "I10: api holds"),
        (put(after={"api": Vitals(1, 0, 90), "relay": Vitals(2, 0, 0)}), "I10: api has 90"),
        (put(answers=[Answer("d", 500)]), "I11: delivery d was answered 500"),
        (put(answers=[Answer("d", 200, UUID(int=9))]), "without a commit"),
        (put(earlier=log(*EVENTS, tenant=STRANGER)[:3]), "I12: events"),
        (put(verified=(1, "BROKEN: the log is not as it was written")), "I12: verify"),
    ],
)
def test_a_corrupted_history_is_found(change: Change, found: str) -> None:
    evidence = sound()
    change(evidence)
    assert any(found in problem for problem in violations(evidence, exactly_once=False)), violations(
        evidence, exactly_once=False
    )


ITEMS = 3
LOOP = LoopStarted(step_id="each", count=ITEMS, items_sha256="", at=NOW, version=1)
FINISHED = LoopFinished(step_id="each", succeeded=1, filtered=1, cancelled=1)
LOOPED = msgspec.structs.replace(SUCCEEDED, step_id="each", attempt=1)
IDS = ChildIds(RUN, "each")


def item(index: int, **changes: Any) -> RunRequested:
    fields = {"run_id": RUN, "step_id": "each", "waits": True, "index": index, "count": ITEMS, "version": 1, **changes}
    return msgspec.structs.replace(REQUESTED, source="item", dedupe_id="", parent=Parent(**fields))


def family(
    *above: RunEvent, first: RunRequested | None = None, end: RunEvent | None = None, run_id: UUID | None = None
) -> Evidence:
    """A loop of three items: one completed, one was sieved out, one was never begun."""
    parent = above or (LOOP, FINISHED, LOOPED, RunCompleted())
    events = log(REQUESTED, *parent)
    for index, last in enumerate((end or RunCompleted(), RunFiltered(step_id="f", reason="no"))):
        request = first if first and index == 0 else item(index)
        child = run_id if run_id and index == 0 else IDS.of(index)
        events += log(request, last, run_id=child, start=len(events) + 1)
    return Evidence(events, {RUN: BODY}, {})


def test_a_sound_family_has_no_violations() -> None:
    assert violations(family(), exactly_once=True) == []


@pytest.mark.parametrize(
    ("evidence", "found"),
    [
        (family(LOOP, LOOPED, RunCompleted()), "I4: loop each"),
        (family(LOOP, FINISHED, FINISHED, LOOPED, RunCompleted()), "has finished 2 times"),
        (family(end=RunFailed(step_id="send", code="x", message="")), "and its items ended as"),
        (family(end=RunCancelled()), "and its items ended as"),
        (family(LOOP, LoopFinished(step_id="each", succeeded=1, filtered=1), LOOPED, RunCompleted()), "I3: loop each"),
        (family(first=item(0, version=2)), "I3: item 0"),
        (family(first=item(0, run_id=OTHER)), "which is not in the log"),
        (family(run_id=OTHER), "is another item 0"),
        (family(end=SUCCEEDED), "has 0 ends"),
    ],
)
def test_a_corrupted_family_is_found(evidence: Evidence, found: str) -> None:
    assert any(found in problem for problem in violations(evidence, exactly_once=False)), violations(
        evidence, exactly_once=False
    )


@pytest.mark.parametrize("end", [True, False])
def test_a_run_is_woken_by_the_end_of_the_one_that_it_called_and_not_before(end: bool) -> None:
    ids = ChildIds(RUN, "sub")
    called = ZapCalled(step_id="sub", run_id=ids.of(0), zap_id=ZAP, zap_version=1, at=NOW, waits=True)
    child = item(0, step_id="sub", count=0, version=0)
    before, events = (REQUESTED, called), log(REQUESTED, called)
    events += log(child, *([RunCompleted()] if end else []), run_id=ids.of(0), start=3)
    rest = (
        RunResumed(timer_id=ids.of(0)),
        msgspec.structs.replace(SUCCEEDED, step_id="sub", attempt=1),
        RunCompleted(),
    )
    more = log(*rest, start=len(events) + 1)
    events += [msgspec.structs.replace(event, version=event.version + len(before)) for event in more]
    found = violations(Evidence(events, {RUN: BODY}, {}), exactly_once=True)
    assert [problem[:2] for problem in found] == ([] if end else ["I3", "I3"])


def test_without_faults_a_repeat_is_one_too_many() -> None:
    assert any("came 2 times" in problem for problem in violations(sound(), exactly_once=True))


def test_who_was_to_die_may_come_back() -> None:
    evidence = sound()
    evidence.after = {"api": msgspec.structs.replace(CALM, pid=9), "relay": msgspec.structs.replace(CALM, pid=2)}
    assert any("I10: api was started again" in problem for problem in violations(evidence, exactly_once=False))
    evidence.replaced = ("api",)
    assert violations(evidence, exactly_once=False) == []
