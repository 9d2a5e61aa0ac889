"""The run detail: folded from the run's stream when it is read, so it is always current and copies no payload."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeAlias, assert_never
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from domain.history.point import Point
from domain.hook.request import trigger_data
from domain.log.event import StoredEvent
from domain.registry import decode
from domain.run import events as run
from domain.run import waits
from domain.run.children import LoopFinished, LoopProgressed, LoopStarted, Parent, ZapCalled
from domain.run.inputs import Kept, put
from domain.run.state import RunStatus
from domain.values.json import Json, JsonObject
from domain.values.path import look_up, parse_path
from projections.run_asking import answered, asking
from projections.run_list import RunError
from projections.run_values import SHOWN, Shown
from projections.step_detail import StepDetail, decided, fold_attempt, fold_children, fold_way


class RunDetail(msgspec.Struct, kw_only=True):
    """A run with everything that is known about it. Times are UTC; `duration_ms` is from the request to the end.

    Of that, the run was queued for `queued_ms` until something was done, waited for `waiting_ms` (delays, retries,
    turns, children), and ran for the rest. `steps` are all steps of its version, in their order, once its zap is known.

    `parent`: the run and step that this run is an item of, or that called its zap. An item's trigger is its parent's.
    `depth`: how many runs have started one another before this one, `via` their zaps, the first one first.
    `reason`: why a filtered run went no further, or for what a waiting one waits: `approval` or `callback`.
    `answer`: the value of the `return` step that ended the run.
    `replays` are the newest runs that replay this one, `recovered_by` is the one that made up for it when it had not
    completed; its own stream does not know them, read models do. `as_of`: where the detail is of the past, of when.
    """

    id: UUID
    zap_id: UUID
    zap_version: int
    status: RunStatus
    source: run.Source
    trigger: JsonObject
    steps: list[StepDetail]
    started_at: datetime
    finished_at: datetime | None = None
    duration_ms: float | None = None
    queued_ms: float | None = None
    waiting_ms: float = 0.0
    error: RunError | None = None
    reason: str | None = None
    answer: Json | UnsetType = UNSET
    replay_of: UUID | None = None
    parent: Parent | None = None
    depth: int = 0
    via: tuple[UUID, ...] = ()
    item: Json | UnsetType = UNSET
    deadline: datetime | None = None
    replays: list[UUID] = []
    recovered_by: UUID | None = None
    position: int
    as_of: Point | UnsetType = UNSET


_WAITING = (run.StepAttemptFailed, run.StepPostponed, run.StepDelayed, LoopStarted, LoopProgressed, ZapCalled)
"""Events after which a run waits."""


_StepEvent: TypeAlias = (
    run.RunRequested
    | run.StepStarted
    | run.StepSucceeded
    | run.StepAttemptFailed
    | run.StepFailed
    | run.StepPostponed
    | run.StepDelayed
    | run.StepDecided
    | run.RunResumed
)


class NotARun(ValueError):
    """The events are not those of a run."""


def fold(events: Sequence[StoredEvent], body: Json | UnsetType = UNSET) -> RunDetail:
    """The detail from a run's whole stream. `body` is what is shown of the request's, where the stream lacks it.

    Raises NotARun.
    """
    first = decode(events[0].type, events[0].schema_version, events[0].data) if events else None
    if not isinstance(first, run.RunRequested):
        raise NotARun("a run starts with its request")
    of_loop = first.parent is not None and first.parent.of_loop
    detail = RunDetail(
        id=events[0].stream_id,
        zap_id=first.zap_id,
        zap_version=first.zap_version,
        status="queued",
        source=first.source,
        trigger={}
        if of_loop
        else trigger_data(first.request) | ({} if isinstance(body, UnsetType) else {"body": body}),
        steps=_taken_over(first),
        started_at=events[0].recorded_at,
        replay_of=first.replay_of,
        parent=first.parent,
        depth=first.depth,
        via=first.via,
        item=first.item if of_loop else UNSET,
        deadline=first.deadline,
        position=events[-1].position,
    )
    waits_since: datetime | None = None
    for stored in events[1:]:
        event = decode(stored.type, stored.schema_version, stored.data)
        if isinstance(event, run.RunEvent):
            waits_since = _time(detail, event, stored.recorded_at, waits_since)
            _fold(detail, event, stored.recorded_at)
    return detail


def _time(detail: RunDetail, event: run.RunEvent, at: datetime, waits_since: datetime | None) -> datetime | None:
    """Count how long the run was queued and has waited; gives since when it waits from this event on."""
    if detail.queued_ms is None:
        began = event.started_at if isinstance(event, run.StepStarted | run.StepAttempt) else at
        detail.queued_ms = max(0.0, _ms(began - detail.started_at))
    if waits_since is not None:
        detail.waiting_ms = round(detail.waiting_ms + _ms(at - waits_since), 3)
    return at if isinstance(event, _WAITING) else None


def _ms(span: timedelta) -> float:
    return round(span / timedelta(milliseconds=1), 3)


def values_of(detail: RunDetail) -> JsonObject:
    """The values of a run by the paths that templates and the run detail give them."""
    steps: JsonObject = {step.id: {"input": step.input, "output": step.output} for step in detail.steps}
    return {"trigger": detail.trigger, "steps": steps}


def bounded(detail: RunDetail) -> RunDetail:
    """The detail without what would make it too large to be read at once: that is asked for by its path."""
    shown = Shown(SHOWN)
    body = detail.trigger.get("body")
    detail.trigger["body"] = shown.value(body, "trigger.body")
    _bound(detail.steps, shown)
    return detail


def _bound(steps: Sequence[StepDetail], shown: Shown) -> None:
    for step in steps:
        step.output = shown.value(step.output, f"steps.{step.id}.output")
        step.input = shown.value(step.input, f"steps.{step.id}.input")
        for attempt in step.attempts:
            attempt.input = shown.value(attempt.input, "") if attempt.input is not UNSET else UNSET
        for item in step.items or ():
            item.item = shown.value(item.item, "")
            _bound(item.steps, shown)


def _taken_over(requested: run.RunRequested) -> list[StepDetail]:
    succeeded = [StepDetail(id=id_, status="succeeded", output=output) for id_, output in requested.outputs.items()]
    failed = [StepDetail(id=id_, status="failed", error=error) for id_, error in requested.errors.items()]
    settled = [decided(StepDetail(id=id_), decision) for id_, decision in requested.decisions.items()]
    return succeeded + failed + settled


def _fold(detail: RunDetail, event: run.RunEvent, at: datetime) -> None:
    if isinstance(event, waits.WaitEvent):
        return _fold_wait(detail, event, at)
    detail.reason = None
    if isinstance(event, run.End):
        return _end(detail, event, at)
    if isinstance(event, LoopStarted | LoopProgressed | LoopFinished | ZapCalled):
        detail.status = "running" if isinstance(event, LoopFinished) else "waiting"
        return fold_children(_step(detail, event.step_id), event, at)
    return _fold_step(detail, event, at)


def _fold_step(detail: RunDetail, event: _StepEvent, at: datetime) -> None:
    match event:
        case run.RunRequested():
            pass
        case run.StepSucceeded() | run.StepAttemptFailed() | run.StepFailed():
            detail.status = "waiting" if isinstance(event, run.StepAttemptFailed) else "running"
            step = _step(detail, event.step_id)
            _fold_input(detail, step, event)
            fold_attempt(step, event, at)
        case run.StepDecided():
            detail.status = "running"
            step = decided(_step(detail, event.step_id), event.decision)
            step.started_at = step.finished_at = at
        case run.StepStarted() | run.StepPostponed() | run.StepDelayed():
            detail.status = "running" if isinstance(event, run.StepStarted) else "waiting"
            step = _step(detail, event.step_id)
            if isinstance(event, run.StepStarted):
                _fold_input(detail, step, event)
            fold_way(step, event, at)
        case run.RunResumed():
            detail.status = "running"
            if detail.steps:
                detail.steps[-1].waits_until = None
        case _:
            assert_never(event)


def _fold_wait(detail: RunDetail, event: waits.WaitEvent, at: datetime) -> None:
    match event:
        case waits.ApprovalAsked() | waits.CallbackAwaited():
            step = _step(detail, event.step_id)
            step.started_at, step.waits_until = at, event.until
            is_approval = isinstance(event, waits.ApprovalAsked)
            detail.status, detail.reason = "waiting", "approval" if is_approval else "callback"
            step.approval = asking(event) if isinstance(event, waits.ApprovalAsked) else None
        case waits.ApprovalAnswered() | waits.ApprovalMailed():
            asked = detail.steps[-1].approval
            if asked is not None and isinstance(event, waits.ApprovalMailed):
                asked.mails |= event.results
            elif asked is not None and isinstance(event, waits.ApprovalAnswered):
                asked.answers.append(answered(asked, event))
        case waits.CallbackReceived():
            pass  # it is the output of its step, once the run is there
        case _:
            assert_never(event)
    if event.until is None and detail.reason is not None:
        detail.status, detail.reason = "running", None
        detail.steps[-1].waits_until = None


def _end(detail: RunDetail, event: run.End, at: datetime) -> None:
    match event:
        case run.RunCompleted():
            _finish(detail, "completed", at)
            if event.returned:
                own = detail.steps[-1] if detail.steps else None
                detail.answer = own.output if own and own.id == event.step_id else event.result
        case run.RunFiltered():
            _finish(detail, "filtered", at)
            detail.reason = event.reason
        case run.RunFailed():
            _finish(detail, "failed", at)
            detail.error = RunError(event.code, event.message, event.step_id or None)
        case run.RunTimedOut():
            _finish(detail, "timed_out", at)
            detail.error = RunError("deadline", event.message, event.step_id or None)
        case run.RunCancelled():
            _finish(detail, "cancelled", at)
            detail.error = RunError(event.code, event.message, event.step_id or None) if event.code else None
        case _:
            assert_never(event)


def _step(detail: RunDetail, step_id: str) -> StepDetail:
    if not detail.steps or detail.steps[-1].id != step_id:
        detail.steps.append(StepDetail(id=step_id, attempts=[]))
    return detail.steps[-1]


def _fold_input(detail: RunDetail, step: StepDetail, event: run.StepStarted | run.StepAttempt) -> None:
    """The input of a step's attempt, with what stands elsewhere in the run put back."""
    kept = event.kept or Kept()
    if kept.attempt:
        return
    values = values_of(detail)
    given = event.input
    for pointer, omitted in kept.omitted.items():
        if omitted.at:
            given = put(given, pointer, look_up(values, parse_path(omitted.at)))
    for attempt in step.attempts:
        if attempt.input is UNSET and attempt.attempt != event.attempt and step.input != given:
            attempt.input = step.input
    step.input = given
    step.not_kept = {pointer: omitted for pointer, omitted in kept.omitted.items() if not omitted.at}


def _finish(detail: RunDetail, status: RunStatus, at: datetime) -> None:
    detail.status, detail.finished_at = status, at
    detail.duration_ms = _ms(at - detail.started_at)
    for step in detail.steps:
        if step.status in ("waiting", "running"):
            step.status, step.finished_at, step.waits_until = "cancelled", at, None
            step.duration_ms = _ms(at - step.started_at) if step.started_at else None
