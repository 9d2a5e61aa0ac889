"""The run: one execution of one published version of a zap. Its state, and what follows from each event."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypeAlias, assert_never
from uuid import UUID

import msgspec

from domain.flow.course import BEGINNING, Course, Next, course
from domain.flow.decisions import Decision
from domain.flow.steps import Step
from domain.hook.request import trigger_data
from domain.log.event import Event
from domain.log.stream import Loaded
from domain.run import events, waits
from domain.run.children import Awaited, LoopFinished, LoopProgressed, LoopStarted, ZapCalled
from domain.run.inputs import ROOM, Input
from domain.run.waits import Approval
from domain.values.json import Json, JsonObject
from domain.zap.definition import Definition

RunStatus: TypeAlias = Literal[
    "queued", "running", "waiting", "completed", "filtered", "failed", "cancelled", "timed_out"
]


class ActiveRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run under way: the outcomes and decisions so far by step id, and the state of the current step.

    `attempts` counts those of the current step; `since` is when it was first tried or postponed. `started` is an
    attempt without a known outcome. `waits_until` is set while the run waits for a timer, `delayed_until` once the
    current delay or wait has begun: it is its end. `waits_at` is the step that waits for somebody. `approvals` are
    those that were asked for, `callbacks` those that were received; None once the step has its outcome. `input` is
    that of the current step as the log holds it, in the event of `input_attempt`; `room` is what is left for large
    ones. `awaits`: the children that the current step waits for; `is_woken` once one has ended that it waited for.
    `lists`: the fingerprints of the items of its loops, by step id.
    """

    requested: events.RunRequested
    outputs: Mapping[str, Json] = {}
    errors: Mapping[str, events.Failure] = {}
    decisions: Mapping[str, Decision] = {}
    attempts: int = 0
    since: datetime | None = None
    started: events.StepStarted | None = None
    waits_until: datetime | None = None
    delayed_until: datetime | None = None
    waits_at: str = ""
    approvals: Mapping[str, Approval] = {}
    callbacks: Mapping[str, waits.CallbackReceived | None] = {}
    input: Input | None = None
    input_attempt: int = 0
    room: int = ROOM
    awaits: Awaited | None = None
    is_woken: bool = False
    lists: Mapping[str, str] = {}

    @property
    def room_for_input(self) -> int:
        """Bytes for large inputs, those of the current step included: each attempt finds the same room."""
        return self.room + (self.input.kept.size if self.input and self.input.kept else 0)


class EndedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run in its recorded terminal state; nothing changes it any more. `awaits`: the children it left under way."""

    requested: events.RunRequested
    status: RunStatus
    outputs: Mapping[str, Json] = {}
    errors: Mapping[str, events.Failure] = {}
    decisions: Mapping[str, Decision] = {}
    approvals: Mapping[str, Approval] = {}
    callbacks: Mapping[str, waits.CallbackReceived | None] = {}
    end: events.End
    awaits: Awaited | None = None
    lists: Mapping[str, str] = {}


RunState: TypeAlias = ActiveRun | EndedRun | None
"""None while nothing has happened in the stream."""
INITIAL: RunState = None
LoadedRun: TypeAlias = Loaded[ActiveRun | EndedRun, events.RunEvent]

_ENDS: Mapping[type[Event], RunStatus] = {
    events.RunCompleted: "completed",
    events.RunFiltered: "filtered",
    events.RunFailed: "failed",
    events.RunTimedOut: "timed_out",
    events.RunCancelled: "cancelled",
}


def evolve(state: RunState, event: events.RunEvent) -> RunState:
    """The state after the event. Total: never raises."""
    if isinstance(event, events.RunRequested):
        return _requested(event) if state is None else state
    if not isinstance(state, ActiveRun):
        return state
    match event:  # what is frequent comes first: each class that an event is not costs time
        case events.StepSucceeded() | events.StepStarted() | events.StepAttemptFailed() | events.StepFailed():
            return _attempted(_with_input(state, event), event)
        case (
            events.RunCompleted()
            | events.RunFiltered()
            | events.RunFailed()
            | events.RunTimedOut()
            | events.RunCancelled()
        ):
            return _ended(state, event)
        case LoopStarted() | LoopProgressed() | LoopFinished() | ZapCalled():
            return _of_children(state, event)
        case _:
            return _go_on(state, event)


def _ended(state: ActiveRun, event: events.End) -> EndedRun:
    return EndedRun(
        requested=state.requested,
        status=_ENDS[type(event)],
        outputs=state.outputs,
        errors=state.errors,
        decisions=state.decisions,
        approvals=state.approvals,
        callbacks=state.callbacks,
        end=event,
        awaits=state.awaits,
        lists=state.lists,
    )


def _attempted(
    state: ActiveRun,
    event: events.StepStarted | events.StepSucceeded | events.StepAttemptFailed | events.StepFailed,
) -> ActiveRun:
    replace = msgspec.structs.replace
    match event:
        case events.StepSucceeded():
            return _next_step_begins(_taken(state, event), outputs={**state.outputs, event.step_id: event.output})
        case events.StepStarted():
            return replace(state, started=event, since=state.since or event.started_at)
        case events.StepFailed():
            return _next_step_begins(state, errors={**state.errors, event.step_id: event.failure})
        case events.StepAttemptFailed():
            since = state.since or event.started_at
            return replace(state, attempts=event.attempt, since=since, started=None, waits_until=event.retry_at)
        case _:
            assert_never(event)


def _go_on(
    state: ActiveRun,
    event: events.StepPostponed | events.StepDelayed | events.StepDecided | events.RunResumed | waits.WaitEvent,
) -> ActiveRun:
    replace = msgspec.structs.replace
    match event:
        case events.StepPostponed():
            return replace(state, since=state.since or event.at, started=None, waits_until=event.until)
        case events.StepDecided():
            return _next_step_begins(state, decisions={**state.decisions, event.step_id: event.decision})
        case events.StepDelayed():
            return replace(state, waits_until=event.until, delayed_until=event.until)
        case events.RunResumed():
            return replace(state, waits_until=None, is_woken=state.awaits is not None)
        case _:
            return _waiting(state, event)


def _of_children(state: ActiveRun, event: LoopStarted | LoopProgressed | LoopFinished | ZapCalled) -> ActiveRun:
    match event:
        case LoopStarted():
            lists = {**state.lists, event.step_id: event.items_sha256}
            return msgspec.structs.replace(state, awaits=event, lists=lists)
        case LoopProgressed():
            return state
        case LoopFinished():
            return msgspec.structs.replace(state, awaits=None)
        case ZapCalled():
            return msgspec.structs.replace(state, awaits=event, waits_until=event.until)
        case _:
            assert_never(event)


def _waiting(state: ActiveRun, event: waits.WaitEvent) -> ActiveRun:
    replace, step_id, until = msgspec.structs.replace, event.step_id, event.until
    match event:
        case waits.ApprovalAsked() | waits.CallbackAwaited():
            state = replace(state, waits_at=step_id, delayed_until=until)
            approval = Approval(event) if isinstance(event, waits.ApprovalAsked) else None
        case waits.ApprovalAnswered():
            approval = state.approvals.get(step_id)
            approval = approval and replace(approval, answers=(*approval.answers, event))
        case waits.ApprovalMailed():
            approval = state.approvals.get(step_id)
            approval = approval and replace(approval, mailed=event)
        case waits.CallbackReceived():
            state, approval = replace(state, callbacks={**state.callbacks, step_id: event}), None
        case _:
            assert_never(event)
    approvals = {**state.approvals, step_id: approval} if approval else state.approvals
    return replace(state, waits_until=until, approvals=approvals)


def _requested(event: events.RunRequested) -> ActiveRun:
    return ActiveRun(requested=event, outputs=event.outputs, errors=event.errors, decisions=event.decisions)


def _taken(state: ActiveRun, event: events.StepSucceeded) -> ActiveRun:
    """The callback of the step is in its output now, and need not be held twice."""
    if event.step_id not in state.callbacks:
        return state
    return msgspec.structs.replace(state, callbacks={**state.callbacks, event.step_id: None})


def _next_step_begins(
    state: ActiveRun,
    *,
    outputs: Mapping[str, Json] | None = None,
    errors: Mapping[str, events.Failure] | None = None,
    decisions: Mapping[str, Decision] | None = None,
) -> ActiveRun:
    return ActiveRun(
        requested=state.requested,
        outputs=outputs or state.outputs,
        errors=errors or state.errors,
        decisions=decisions or state.decisions,
        approvals=state.approvals,
        callbacks=state.callbacks,
        room=state.room,
        lists=state.lists,
    )


def _with_input(state: ActiveRun, event: events.StepStarted | events.StepAttempt) -> ActiveRun:
    """The state with the input that the event holds; an event that refers to an earlier attempt changes nothing."""
    kept = event.kept
    if kept is not None and kept.attempt:
        return state
    room = state.room - kept.size if kept else state.room
    return msgspec.structs.replace(state, input=Input(event.input, kept), input_attempt=event.attempt, room=room)


def own_steps(run: "ActiveRun | EndedRun", definition: Definition) -> tuple[Step, ...]:
    """The steps that a run does: all of its zap's, or those of the loop that it is an item of."""
    parent = run.requested.parent
    return definition.steps if parent is None or not parent.of_loop else definition.steps_in(parent.step_id)


def stands(run: "ActiveRun | EndedRun", definition: Definition) -> Course:
    """Where the run stands: the step that is next, or how its steps have ended."""
    return course(own_steps(run, definition), run)


def next_step(run: ActiveRun, definition: Definition) -> Step | None:
    """The step that is to be done next, None when nothing is left to do."""
    place = stands(run, definition).place
    return place.step if isinstance(place, Next) else None


def template_context(
    run_id: UUID, run: "ActiveRun | EndedRun", given: Mapping[str, Json] | None = None, stand: Course = BEGINNING
) -> dict[str, Json]:
    """What the templates of the next step see.

    `given` is what the run began with: the parsed request as `trigger`, and of a loop's item what `item_sees` says.
    Without it the request is parsed here.
    """
    requested = run.requested
    given = {"trigger": trigger_data(requested.request)} if given is None else given
    before = given.get("steps")
    steps: JsonObject = {**before} if isinstance(before, dict) else {}
    steps |= {step_id: {"output": output} for step_id, output in run.outputs.items()}
    steps |= {step_id: {"output": output} for step_id, output in stand.joined.items()}
    errors = {**run.errors} | {step_id: run.errors[inner] for step_id, inner in stand.failed.items()}
    for step_id, error in errors.items():
        output = stand.joined.get(step_id)
        steps[step_id] = {"output": output, "error": msgspec.to_builtins(error)}
    return {
        **given,
        "steps": steps,
        "run": {"id": str(run_id)},
        "zap": {"id": str(requested.zap_id), "version": requested.zap_version},
    }


def item_sees(requested: events.RunRequested, outer: Mapping[str, Json]) -> dict[str, Json]:
    """What an item of a loop begins with: what its parent saw then, and the item itself."""
    parent = requested.parent
    assert parent is not None, "an item has a parent"
    loop: JsonObject = {"index": parent.index, "count": parent.count}
    around = outer.get("loop")
    if isinstance(around, dict):
        loop["parent"] = {**around, "item": outer.get("item")}
    return {"trigger": outer["trigger"], "steps": outer["steps"], "item": requested.item, "loop": loop}


def idempotency_key(run_id: UUID, step_id: str) -> str:
    """The same on every attempt of one step in one run, and on no other."""
    return f"{run_id}.{step_id}"
