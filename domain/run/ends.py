"""How a run ends: what its steps have come to, or what an item of its loop says."""

from typing import assert_never

import msgspec

from domain.flow.course import Broken, Done, Dropped, Next, Place, Stopped
from domain.flow.steps import ApprovalStep, ReturnStep, StopStep
from domain.run.events import End, RunCancelled, RunCompleted, RunEnd, RunEvent, RunFailed, RunFiltered, RunOver
from domain.run.state import ActiveRun, EndedRun, RunState, stands
from domain.values.json import Json
from domain.zap.definition import Definition

REJECTED = "rejected"
"""Why a run ended that people did not approve."""
STOPPED = "stopped"
"""Why a run ended that a step of its own ended, or of an item of its loop."""


class Result(msgspec.Struct, frozen=True):
    """What a loop keeps of an item."""

    value: Json


def end(run: ActiveRun, definition: Definition, result: Result | None = None) -> list[End]:
    """The end that the run's steps have come to; nothing where a step is to be done.

    An item of a loop whose steps are done ends only with the result that its loop keeps of it.
    """
    place: Place = stands(run, definition).place
    match place:
        case Next():
            return []
        case Done():
            if not is_item(run):
                return [RunCompleted()]
            return [RunCompleted(result=result.value)] if result else []
        case Dropped(step_id, reason):
            return [RunFiltered(step_id=step_id, reason=reason)]
        case Broken(step_id):
            failure = run.errors[step_id]
            return [RunFailed(step_id=step_id, code=failure.code, message=failure.message)]
        case Stopped(step, output):
            return [_stopped(run, step, output)]
        case _:
            assert_never(place)


def is_item(run: ActiveRun | EndedRun) -> bool:
    """Whether the run does the steps of a loop."""
    parent = run.requested.parent
    return parent is not None and parent.of_loop


def _stopped(run: ActiveRun, step: StopStep | ReturnStep | ApprovalStep, output: Json) -> End:
    if isinstance(step, ApprovalStep):
        return _rejected(step, output)
    if isinstance(step, ReturnStep):
        return RunCompleted(step_id=step.id, returned=True, result=output if is_item(run) else None, stops=True)
    if step.as_ == "completed":
        return RunCompleted(step_id=step.id, stops=True)
    message = str(output.get("message", "")) if isinstance(output, dict) else ""
    if step.as_ == "failed":
        return RunFailed(step_id=step.id, code=STOPPED, message=message, stops=True)
    return RunCancelled(step_id=step.id, code=STOPPED, message=message, stops=True)


def _rejected(step: ApprovalStep, output: Json) -> End:
    if step.after_rejection:
        return RunCompleted(step_id=step.id)
    by = output.get("by") if isinstance(output, dict) else None
    comment = output.get("comment") if isinstance(output, dict) else None
    message = f"rejected by {by}" if by else "nobody had approved by the deadline"
    return RunCancelled(step_id=step.id, code=REJECTED, message=f"{message}: {comment}" if comment else message)


def ended_by(item: End) -> End:
    """The end of a run whose loop has an item with this end, which `stops` it. A rejection ends its item only."""
    match item:
        case RunCompleted(step_id=step_id, returned=returned, result=result):
            return RunCompleted(step_id=step_id, returned=returned, result=result, stops=True)
        case RunFailed(step_id=step_id, message=message):
            return RunFailed(step_id=step_id, code=STOPPED, message=message, stops=True)
        case other:
            message = other.message if isinstance(other, RunCancelled) else ""
            return RunCancelled(step_id=other.step_id, code=STOPPED, message=message, stops=True)


def signed(event: RunEvent, state: RunState) -> RunEvent:
    """The event; an end with what others need to know of the run that it ends."""
    if not isinstance(event, RunOver) or state is None:
        return event
    replace = msgspec.structs.replace
    requested, parent = state.requested, state.requested.parent
    waited_for = parent is not None and parent.waits
    if event.stops and not (waited_for and is_item(state)):
        event = replace(event, stops=False)
    if isinstance(event, RunEnd):
        counts = not (waited_for and is_item(state))
        zap_id = requested.zap_id if counts else None
        event = replace(event, zap_id=zap_id, of_alert=requested.source in {"alert", "failure"})
    if isinstance(event, RunCompleted):
        event = replace(event, recovers=requested.recovers)
    awaited = state.awaits if isinstance(state, ActiveRun) else None
    if parent is None and awaited is None:
        return event
    return replace(event, parent=parent.run_id if parent and waited_for else None, orphans=awaited is not None)


def too_late(run: ActiveRun) -> str:
    """What is said of a run whose deadline has passed."""
    deadline = run.requested.deadline
    return f"the run had not ended by its deadline, {deadline.isoformat()}" if deadline else "the run took too long"
