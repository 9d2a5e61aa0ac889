"""The run: one execution of one published version of a zap, from the request to exactly one end.

The names and fields of events are the storage format: a changed meaning is a new event, a new field has a default.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, TypeAlias, assert_never
from uuid import UUID

import msgspec

from domain.connector import Failed, Outcome, Retry, Succeeded
from domain.definition import Definition, Step
from domain.errors import NotFound, WrongStatus
from domain.event import Event, RunStatus
from domain.json import Json, JsonObject
from domain.request import Request, trigger_data
from domain.retry import retry_delay_s

Source: TypeAlias = Literal["webhook", "schedule", "manual", "replay"]


class RunRequested(Event, frozen=True, kw_only=True):
    """A run was asked for and acknowledged: this is the promise of the 2xx."""

    zap_id: UUID
    zap_version: int
    source: Source
    request: Request
    dedupe_id: str = ""
    replay_of: UUID | None = None
    outputs: Mapping[str, Json] = {}
    """Outcomes of steps, by id, that a replay from a later step takes over."""
    job_id: UUID | None = None
    """The job that replayed many runs, this one among them."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an attempt did not succeed: a stable code, a sentence, and what the target answered."""

    code: str
    message: str
    output: Json = None


class StepAttempt(Event, frozen=True, kw_only=True):
    """What all outcomes of an attempt share. `attempt` counts from 1 without holes; `duration_ms` is wall time."""

    step_id: str
    attempt: int
    started_at: datetime
    duration_ms: float
    input: Json = None


class StepSucceeded(StepAttempt, frozen=True, kw_only=True):
    """The action did its work; the one recorded outcome of this step."""

    output: Json = None


class StepAttemptFailed(StepAttempt, frozen=True, kw_only=True):
    """The attempt failed and another follows at `retry_at`, when the timer with this event's id fires."""

    failure: Failure
    retry_at: datetime


class StepFailed(StepAttempt, frozen=True, kw_only=True):
    """The last attempt failed; the one recorded outcome of this step."""

    failure: Failure


class RunResumed(Event, frozen=True, kw_only=True):
    """The timer that the run waited for has fired."""

    timer_id: UUID


class RunCompleted(Event, frozen=True, kw_only=True):
    """Every step has its outcome. Terminal."""


class RunFailed(Event, frozen=True, kw_only=True):
    """A step failed for good, or the run could not be carried out. Terminal: the run is a dead letter."""

    step_id: str
    code: str
    message: str


class RunTimedOut(Event, frozen=True, kw_only=True):
    """The run's deadline passed while it was at `step_id`, or before its first step. Terminal: also a dead letter."""

    step_id: str
    message: str


class RunCancelled(Event, frozen=True, kw_only=True):
    """Somebody stopped the run; an action that was under way may still have its effect. Terminal."""


RunEvent: TypeAlias = (
    RunRequested
    | StepSucceeded
    | StepAttemptFailed
    | StepFailed
    | RunResumed
    | RunCompleted
    | RunFailed
    | RunTimedOut
    | RunCancelled
)


class RequestRun(msgspec.Struct, frozen=True):
    """Ask for a run of one version of a zap."""

    zap_id: UUID
    zap_version: int
    source: Source
    request: Request
    dedupe_id: str = ""
    replay_of: UUID | None = None
    outputs: Mapping[str, Json] = {}
    job_id: UUID | None = None


class RecordAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """Record what an attempt came to. `jitter` in 0..1 spreads the retry that may follow."""

    step_id: str
    attempt: int
    started_at: datetime
    duration_ms: float
    finished_at: datetime
    input: Json
    outcome: Outcome
    jitter: float


class FinishRun(msgspec.Struct, frozen=True):
    """End a run in which no step is left to do."""


class ResumeRun(msgspec.Struct, frozen=True):
    """Record that a timer of this run has fired."""

    timer_id: UUID


class FailRun(msgspec.Struct, frozen=True):
    """End a run that can not be carried out, for instance as its definition is missing."""

    step_id: str
    code: str
    message: str


class CancelRun(msgspec.Struct, frozen=True):
    """Stop a run, whatever it is doing or waiting for."""


RunCommand: TypeAlias = RequestRun | RecordAttempt | FinishRun | ResumeRun | FailRun | CancelRun


class NoRun(msgspec.Struct, frozen=True):
    """Nothing has happened in this stream."""


class ActiveRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run on its way: outcomes so far by step id, and how often the current step was tried.

    `retry_at` is set while it waits for the timer of its last failed attempt.
    """

    requested: RunRequested
    outputs: Mapping[str, Json] = {}
    attempts: int = 0
    retry_at: datetime | None = None


class EndedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run in its recorded terminal state; nothing changes it any more."""

    requested: RunRequested
    status: RunStatus
    outputs: Mapping[str, Json] = {}


RunState: TypeAlias = NoRun | ActiveRun | EndedRun
INITIAL: RunState = NoRun()


def next_step(run: ActiveRun, definition: Definition) -> Step | None:
    """The first step without an outcome, None when all have one."""
    return next((step for step in definition.steps if step.id not in run.outputs), None)


def decide(command: RunCommand, state: RunState, definition: Definition) -> list[RunEvent]:
    """The events that the command leads to; none when the log already answers it. Raises WrongStatus."""
    if isinstance(command, RequestRun):
        return _request(command, state)
    if isinstance(state, NoRun):
        raise WrongStatus("this run was never requested")
    if isinstance(state, EndedRun):
        return []
    match command:
        case RecordAttempt():
            return _record(command, state, definition)
        case FinishRun():
            return [] if next_step(state, definition) else [RunCompleted()]
        case ResumeRun(timer_id):
            return [RunResumed(timer_id=timer_id)] if state.retry_at else []
        case FailRun(step_id, code, message):
            return [RunFailed(step_id=step_id, code=code, message=message)]
        case CancelRun():
            return [RunCancelled()]
        case _:
            assert_never(command)


def _request(command: RequestRun, state: RunState) -> list[RunEvent]:
    if not isinstance(state, NoRun):
        return []
    return [
        RunRequested(
            zap_id=command.zap_id,
            zap_version=command.zap_version,
            source=command.source,
            request=command.request,
            dedupe_id=command.dedupe_id,
            replay_of=command.replay_of,
            outputs=command.outputs,
            job_id=command.job_id,
        )
    ]


def replay(run: ActiveRun | EndedRun, run_id: UUID, definition: Definition, from_step: str | None) -> RequestRun:
    """The command for a new run of what this one was asked for; `definition` is that of the version it will use.

    From a step on: the outcomes of the steps before it are taken over. Raises NotFound when there is no such step,
    WrongStatus when a step before it has no outcome.
    """
    requested = run.requested
    before = _steps_before(definition, from_step) if from_step is not None else []
    for step_id in before:
        if step_id not in run.outputs:
            raise WrongStatus(f"the step {step_id}, before {from_step}, has no outcome in this run to go on from")
    return RequestRun(
        requested.zap_id,
        requested.zap_version,
        "replay",
        requested.request,
        replay_of=run_id,
        outputs={step_id: run.outputs[step_id] for step_id in before},
    )


def _steps_before(definition: Definition, step_id: str) -> list[str]:
    ids = [step.id for step in definition.steps]
    if step_id not in ids:
        raise NotFound(f"the version to be run has no step {step_id}")
    return ids[: ids.index(step_id)]


def _record(command: RecordAttempt, run: ActiveRun, definition: Definition) -> list[RunEvent]:
    step = next_step(run, definition)
    if step is None or step.id != command.step_id or command.attempt != run.attempts + 1:
        return []
    match command.outcome:
        case Succeeded(output):
            return _succeed(command, output, last=step.id == definition.steps[-1].id)
        case Retry():
            delay = retry_delay_s(command.attempt, command.jitter, command.outcome.after_s)
            if delay is not None:
                return [_retry(command, command.outcome, timedelta(seconds=delay))]
            return _fail(command, command.outcome)
        case Failed():
            return _fail(command, command.outcome)
        case _:
            assert_never(command.outcome)


def _succeed(command: RecordAttempt, output: Json, *, last: bool) -> list[RunEvent]:
    succeeded = StepSucceeded(
        step_id=command.step_id,
        attempt=command.attempt,
        started_at=command.started_at,
        duration_ms=command.duration_ms,
        input=command.input,
        output=output,
    )
    return [succeeded, RunCompleted()] if last else [succeeded]


def _retry(command: RecordAttempt, outcome: Retry, delay: timedelta) -> StepAttemptFailed:
    return StepAttemptFailed(
        step_id=command.step_id,
        attempt=command.attempt,
        started_at=command.started_at,
        duration_ms=command.duration_ms,
        input=command.input,
        failure=Failure(code=outcome.code, message=outcome.message, output=outcome.output),
        retry_at=command.finished_at + delay,
    )


def _fail(command: RecordAttempt, outcome: Retry | Failed) -> list[RunEvent]:
    failed = StepFailed(
        step_id=command.step_id,
        attempt=command.attempt,
        started_at=command.started_at,
        duration_ms=command.duration_ms,
        input=command.input,
        failure=Failure(code=outcome.code, message=outcome.message, output=outcome.output),
    )
    return [failed, RunFailed(step_id=command.step_id, code=outcome.code, message=outcome.message)]


_STATUS: Mapping[type[Event], RunStatus] = {
    RunCompleted: "completed",
    RunFailed: "failed",
    RunTimedOut: "timed_out",
    RunCancelled: "cancelled",
}


def evolve(state: RunState, event: RunEvent) -> RunState:
    """The state after the event. Total: never raises."""
    if isinstance(event, RunRequested):
        return ActiveRun(requested=event, outputs=event.outputs) if isinstance(state, NoRun) else state
    if not isinstance(state, ActiveRun):
        return state
    replace = msgspec.structs.replace
    match event:
        case StepSucceeded():
            return replace(state, outputs={**state.outputs, event.step_id: event.output}, attempts=0, retry_at=None)
        case StepAttemptFailed():
            return replace(state, attempts=event.attempt, retry_at=event.retry_at)
        case StepFailed():
            return replace(state, attempts=event.attempt, retry_at=None)
        case RunResumed():
            return replace(state, retry_at=None)
        case RunCompleted() | RunFailed() | RunTimedOut() | RunCancelled():
            return EndedRun(requested=state.requested, status=_STATUS[type(event)], outputs=state.outputs)
        case _:
            assert_never(event)


def template_context(run_id: UUID, run: ActiveRun) -> dict[str, Json]:
    """What the templates of the next step see."""
    requested = run.requested
    steps: JsonObject = {step_id: {"output": output} for step_id, output in run.outputs.items()}
    return {
        "trigger": trigger_data(requested.request),
        "steps": steps,
        "run": {"id": str(run_id)},
        "zap": {"id": str(requested.zap_id), "version": requested.zap_version},
    }


def idempotency_key(run_id: UUID, step_id: str) -> str:
    """The same on every attempt of one step in one run, and on no other."""
    return f"{run_id}.{step_id}"
