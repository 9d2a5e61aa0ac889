"""What can happen to a run, from its request to exactly one end.

The names and fields of events are the storage format: a changed meaning is a new event, a new field has a default.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from domain.flow.decisions import Decision
from domain.hook.request import Request
from domain.log.event import Event
from domain.run.children import LoopFinished, LoopProgressed, LoopStarted, Parent, Reuse, ZapCalled
from domain.run.inputs import Kept
from domain.run.waits import (
    ApprovalAnswered,
    ApprovalAsked,
    ApprovalMailed,
    CallbackAwaited,
    CallbackReceived,
    WaitEvent,
)
from domain.values.json import Json

Source: TypeAlias = Literal["webhook", "schedule", "poll", "manual", "replay", "alert", "failure", "item", "zap"]
"""What requested a run. `alert`: runs of another zap failed, and this zap is its error zap.
`failure`: one did, and this zap listens to failures.

`item`: a `for_each` of another run of the same zap has this item. `zap`: a step of another zap's run calls this zap.
"""


DEADLINE = "deadline"
"""The code of runs that were timed out."""
GONE = "http_410"
"""The code of a failure where the target wants no more requests."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an attempt did not succeed: a stable code, a sentence, and what the target answered."""

    code: str
    message: str
    output: Json = None


class Recovered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run that ended without completing, and where: `step_id` and `code` are those of its error.

    `position` is that of its end in the log.
    """

    run_id: UUID
    position: int
    step_id: str = ""
    code: str = ""


class RunRequested(Event, frozen=True, kw_only=True):
    """A run was requested and acknowledged: this is the promise of the 2xx.

    With a deadline the append sets a timer whose id is this event's.
    """

    zap_id: UUID
    zap_version: int
    source: Source
    request: Request
    dedupe_id: str = ""
    replay_of: UUID | None = None
    outputs: Mapping[str, Json] = {}
    """Outputs of steps, by id, that a replay from a later step takes over."""
    errors: Mapping[str, Failure] = {}
    """Failures of steps, by id, that it takes over where the run went on after them."""
    decisions: Mapping[str, Decision] = {}
    """How steps before that one were decided, by id."""
    deadline: datetime | None = None
    job_id: UUID | None = None
    """The job that requested this replay."""
    depth: int = 0
    """How many runs have started one another before this one."""
    via: tuple[UUID, ...] = ()
    """The zaps of those runs, the first one first."""
    recovers: tuple[Recovered, ...] = ()
    """What a replay makes up for once it completes: the run that it replays, and those which that one replayed."""
    parent: Parent | None = None
    item: Json = None
    """Of a loop's item: the item itself. What else it sees is the parent's, by reference."""
    reuses: Reuse | None = None
    """What a replay from a loop on takes over of it."""


class StepStarted(Event, frozen=True, kw_only=True):
    """An attempt is about to be made, of an action that must not be repeated blindly.

    When no outcome follows, the action may or may not have had its effect.
    """

    step_id: str
    attempt: int
    started_at: datetime
    input: Json = None
    kept: Kept | None = None


class StepAttempt(Event, frozen=True, kw_only=True):
    """What all outcomes of an attempt share. `attempt` counts from 1 without holes; `duration_ms` is wall time.

    `input` is the whole input unless `kept` says otherwise. The input of an earlier attempt is not stored again.
    """

    step_id: str
    attempt: int
    started_at: datetime
    duration_ms: float
    input: Json = None
    kept: Kept | None = None


class StepSucceeded(StepAttempt, frozen=True, kw_only=True):
    """The action did its work. This is the only outcome of the step."""

    output: Json = None


class StepAttemptFailed(StepAttempt, frozen=True, kw_only=True):
    """The attempt failed and another follows at `retry_at`, when the timer with this event's id fires."""

    failure: Failure
    retry_at: datetime


class StepFailed(StepAttempt, frozen=True, kw_only=True):
    """The step failed for good. This is the only outcome of the step; its `on_error` says what follows.

    `attempt` is 0 where the step's time ran out before the first attempt. `gone_for`: the zap, where the target is gone
    for good and the run goes on all the same: nothing else would tell.
    """

    failure: Failure
    gone_for: UUID | None = None


class StepPostponed(Event, frozen=True, kw_only=True):
    """No attempt was made: the target or the process takes no more now. A timer offers the step again at `until`."""

    step_id: str
    code: str
    message: str
    at: datetime
    until: datetime


class StepDelayed(Event, frozen=True, kw_only=True):
    """A delay began; it is over at `until`, when the timer with this event's id fires."""

    step_id: str
    until: datetime


class StepDecided(Event, frozen=True, kw_only=True):
    """A filter let the run through or not, or paths were chosen. Decided once, so a repeat goes the same way."""

    step_id: str
    decision: Decision


class RunResumed(Event, frozen=True, kw_only=True):
    """The timer that the run waited for has fired, or the run that it called has ended: `timer_id` is its id."""

    timer_id: UUID


class RunOver(Event, frozen=True, kw_only=True):
    """The fields of all ends. `parent`: the run that waits for this one. `orphans`: it leaves children under way.

    `stops`: a step of this item ends the run above it, too.
    """

    parent: UUID | None = None
    orphans: bool = False
    stops: bool = False


class RunEnd(RunOver, frozen=True, kw_only=True):
    """The fields of ends that are counted by zap.

    `zap_id` is None where they are not: in events of older releases, and of a loop's items, whose loop counts.
    `of_alert`: an alert or a failure started the run, so its own failure starts neither an error zap nor one that
    listens.
    """

    zap_id: UUID | None = None
    of_alert: bool = False


class RunCompleted(RunEnd, frozen=True, kw_only=True):
    """Every step has its outcome, or the step `step_id` ended the run before. Terminal.

    `returned`: the output of that step is the run's answer. `recovers`: the runs that this one makes up for. `result`:
    what a loop keeps of an item; or the answer where the step that gave it was an item's.
    """

    step_id: str = ""
    returned: bool = False
    result: Json = None
    recovers: tuple[Recovered, ...] = ()


class RunFiltered(RunEnd, frozen=True, kw_only=True):
    """A filter did not let the run through; that is no failure. Terminal."""

    step_id: str
    reason: str


class RunFailed(RunEnd, frozen=True, kw_only=True):
    """A step failed for good, or the run could not be carried out. Terminal: the run is a dead letter."""

    step_id: str
    code: str
    message: str


class RunTimedOut(RunEnd, frozen=True, kw_only=True):
    """The run's deadline passed while it was at `step_id`, or before its first step. Terminal: also a dead letter."""

    step_id: str
    message: str


class RunCancelled(RunOver, frozen=True, kw_only=True):
    """The run was stopped; an action that was under way may still have its effect. Terminal.

    `code` is empty when a user cancelled it, `busy` or `superseded` when a serial zap's `when_busy` did, `stopped`
    when its own step `step_id` did, `rejected` when somebody rejected what that step asked.
    """

    code: str = ""
    message: str = ""
    step_id: str = ""


End: TypeAlias = RunCompleted | RunFiltered | RunFailed | RunTimedOut | RunCancelled
"""What a run can end with."""


RunEvent: TypeAlias = (
    RunRequested
    | StepStarted
    | StepSucceeded
    | StepAttemptFailed
    | StepFailed
    | StepPostponed
    | StepDelayed
    | StepDecided
    | LoopStarted
    | LoopProgressed
    | LoopFinished
    | ZapCalled
    | RunResumed
    | WaitEvent
    | End
)


def due_at(event: RunEvent) -> datetime | None:
    """When the timer fires that the append of this event sets; None where it sets none."""
    match event:
        case StepSucceeded() | RunCompleted():
            return None  # as most do: each class that an event is not costs time
        case RunRequested():
            return event.deadline
        case StepAttemptFailed():
            return event.retry_at
        case StepPostponed() | StepDelayed() | ApprovalAsked() | CallbackAwaited() | ZapCalled():
            return event.until
        case ApprovalAnswered() | ApprovalMailed() | CallbackReceived():
            return event.until
        case _:
            return None
