"""What follows from a command: the events that it leads to in a given state of the run."""

from datetime import datetime, timedelta
from typing import TypedDict, assert_never

import msgspec

from domain.connector.outcome import Failed, Postponed, Retry, Succeeded
from domain.flow.retry import DEFAULT, Policy, is_retried, retry_delay_s
from domain.flow.steps import ActionStep, FilterStep, PathsStep, Step
from domain.log.errors import NothingToDo, WrongStatus
from domain.run import commands
from domain.run.children import LoopStarted
from domain.run.ends import Result, end, ended_by, is_item, signed, too_late
from domain.run.events import (
    GONE,
    End,
    Failure,
    RunCancelled,
    RunEvent,
    RunFailed,
    RunResumed,
    RunTimedOut,
    StepAttemptFailed,
    StepDecided,
    StepDelayed,
    StepFailed,
    StepPostponed,
    StepStarted,
    StepSucceeded,
)
from domain.run.inputs import NO_INPUT, Input, Kept, shortened
from domain.run.state import ActiveRun, EndedRun, RunState, evolve, next_step
from domain.run.waits import CallbackAwaited
from domain.values.json import Json
from domain.zap.definition import NO_STEPS, Definition

AMBIGUOUS = frozenset({"timeout", "broken", "crashed"})
"""Failures after which the action may still have had its effect."""
UNKNOWN = "unknown_outcome"


def decide(command: commands.RunCommand, state: RunState, definition: Definition) -> list[RunEvent]:
    """The events that the command leads to; none when the log already answers it. Raises WrongStatus."""
    return [signed(event, state) for event in _decide(command, state, definition)]


def stop(state: ActiveRun | EndedRun) -> list[RunEvent]:
    """The events when a user cancels a run. Raises NothingToDo when it has ended in another way."""
    if isinstance(state, EndedRun) and state.status != "cancelled":
        raise NothingToDo(f"the run has ended already: it is {state.status}")
    return decide(commands.CancelRun(), state, NO_STEPS)


def _decide(command: commands.RunCommand, state: RunState, definition: Definition) -> list[RunEvent]:
    if isinstance(command, commands.RequestRun):
        return [command.requested] if state is None else []
    if state is None:
        raise WrongStatus("this run was never requested")
    if isinstance(state, EndedRun):
        return []
    match command:
        case commands.ResumeRun(timer_id):
            waits = state.waits_until or (state.awaits and not state.is_woken)
            return [RunResumed(timer_id=timer_id)] if waits else []
        case commands.RecordProgress() | commands.FinishLoop():
            return [command.event] if _is_in(state, command.event.step_id) else []
        case commands.FailRun() | commands.TimeOutRun() | commands.CancelRun():
            return [_cut_short(command, state, definition)]
        case commands.EndWithItem(item):
            return [ended_by(item)] if isinstance(state.awaits, LoopStarted) else []
        case commands.FinishRun(result):
            return [*end(state, definition, Result(result))]
        case _:
            return _advance(command, state, definition)


def _is_in(run: ActiveRun, loop: str) -> bool:
    return isinstance(run.awaits, LoopStarted) and run.awaits.step_id == loop


def _cut_short(
    command: commands.FailRun | commands.TimeOutRun | commands.CancelRun, run: ActiveRun, definition: Definition
) -> End:
    match command:
        case commands.FailRun(step_id, code, message):
            return RunFailed(step_id=step_id, code=code, message=message)
        case commands.TimeOutRun():
            step = next_step(run, definition)
            return RunTimedOut(step_id=step.id if step else "", message=too_late(run))
        case commands.CancelRun(code, message):
            return RunCancelled(code=code, message=message)


def _advance(
    command: commands.BeginAttempt
    | commands.RecordAttempt
    | commands.SettleUnknown
    | commands.DelayRun
    | commands.AskApproval
    | commands.AwaitCallback
    | commands.RecordDecision
    | commands.StartLoop
    | commands.CallZap,
    run: ActiveRun,
    definition: Definition,
) -> list[RunEvent]:
    step = next_step(run, definition)
    if step is None or (run.waits_until and run.awaits is None):
        return []
    match command:
        case commands.BeginAttempt() | commands.RecordAttempt() if (command.step_id, command.attempt) != (
            step.id,
            run.attempts + 1,
        ):
            return []
        case commands.BeginAttempt(step_id=step_id, attempt=attempt, started_at=started_at):
            value, kept = _stored(command.input, run)
            begun = StepStarted(step_id=step_id, attempt=attempt, started_at=started_at, input=value, kept=kept)
            return [] if run.started else [begun]
        case commands.RecordAttempt():
            return _record(command, run, step, definition)
        case commands.SettleUnknown():
            return _settle(command, run, step, definition)
        case _:
            return _control(command, run, step, definition)


def _control(
    command: commands.DelayRun
    | commands.AskApproval
    | commands.AwaitCallback
    | commands.RecordDecision
    | commands.StartLoop
    | commands.CallZap,
    run: ActiveRun,
    step: Step,
    definition: Definition,
) -> list[RunEvent]:
    begins = run.delayed_until is None
    match command:
        case commands.RecordDecision(step_id, decision):
            fresh = step.id == step_id and isinstance(step, FilterStep | PathsStep)
            return _with_end(run, StepDecided(step_id=step_id, decision=decision), definition) if fresh else []
        case commands.DelayRun(step_id, until):
            return [StepDelayed(step_id=step_id, until=until)] if begins and step.id == step_id else []
        case commands.AskApproval(asked):
            return [asked] if begins and step.id == asked.step_id else []
        case commands.AwaitCallback(step_id, until):
            fresh = begins and step.id == step_id and step_id not in run.callbacks
            return [CallbackAwaited(step_id=step_id, until=until)] if fresh else []
        case commands.StartLoop(awaited) | commands.CallZap(awaited):
            return [awaited] if step.id == awaited.step_id and run.awaits is None else []
        case _:
            assert_never(command)


def _record(command: commands.RecordAttempt, run: ActiveRun, step: Step, definition: Definition) -> list[RunEvent]:
    match command.outcome:
        case Succeeded(output):
            succeeded = StepSucceeded(**_shared(command, run), output=output)
            return _with_end(run, succeeded, definition)
        case Postponed():
            return _postpone(command, command.outcome, run, step, definition)
        case Retry() | Failed():
            return _fail(command, command.outcome, run, step, definition)
        case _:
            assert_never(command.outcome)


def _settle(command: commands.SettleUnknown, run: ActiveRun, step: Step, definition: Definition) -> list[RunEvent]:
    begun = run.started
    if begun is None:
        return []
    lost = "the process that made this attempt is gone; whether it had its effect is not known"
    attempt = commands.RecordAttempt(
        step_id=begun.step_id,
        attempt=begun.attempt,
        started_at=begun.started_at,
        duration_ms=max(0.0, round((command.at - begun.started_at) / timedelta(milliseconds=1), 3)),
        finished_at=command.at,
        input=run.input or NO_INPUT,
        outcome=Retry(code=UNKNOWN, message=lost),
        jitter=command.jitter,
        on_unknown=command.on_unknown,
    )
    return _record(attempt, run, step, definition)


def _fail(
    command: commands.RecordAttempt, outcome: Retry | Failed, run: ActiveRun, step: Step, definition: Definition
) -> list[RunEvent]:
    failure = _failure(command, outcome)
    policy = _policy(step)
    once_too_often = failure.code == UNKNOWN and command.on_unknown == "fail"
    if not once_too_often and is_retried(policy, failure.code, may_heal=isinstance(outcome, Retry)):
        elapsed_s = (command.finished_at - (run.since or command.started_at)).total_seconds()
        retry_after_s = outcome.after_s if isinstance(outcome, Retry) else None
        delay = retry_delay_s(policy, command.attempt, command.jitter, elapsed_s=elapsed_s, retry_after_s=retry_after_s)
        if delay is not None:
            retry_at = command.finished_at + timedelta(seconds=delay)
            brief = msgspec.structs.replace(failure, output=shortened(failure.output))
            return [StepAttemptFailed(**_shared(command, run), failure=brief, retry_at=retry_at)]
    return _failed(StepFailed(**_shared(command, run), failure=failure), run, definition)


def _failed(failed: StepFailed, run: ActiveRun, definition: Definition) -> list[RunEvent]:
    """The failure for good, which says so where a target is gone and the run goes on nevertheless."""
    found = _with_end(run, failed, definition)
    if failed.failure.code == GONE and (is_item(run) or not isinstance(found[-1], RunFailed)):
        found[0] = msgspec.structs.replace(failed, gone_for=run.requested.zap_id)
    return found


def _failure(command: commands.RecordAttempt, outcome: Retry | Failed) -> Failure:
    if command.on_unknown == "fail" and outcome.code in AMBIGUOUS:
        message = f"{outcome.message}; whether the action had its effect is not known"
        return Failure(code=UNKNOWN, message=message, output=outcome.output)
    return Failure(code=outcome.code, message=outcome.message, output=outcome.output)


def _policy(step: Step) -> Policy:
    return step.policy if isinstance(step, ActionStep) else DEFAULT


def _postpone(
    command: commands.RecordAttempt, outcome: Postponed, run: ActiveRun, step: Step, definition: Definition
) -> list[RunEvent]:
    """Postpone the step. Where its time runs out before that, it fails with the reason why it had to wait."""
    until = command.finished_at + timedelta(seconds=outcome.after_s)
    if run.since and (until - run.since).total_seconds() > _policy(step).max_total_s:
        failure = Failure(
            code=outcome.code, message=f"{outcome.message}; nothing was sent until the step's time ran out"
        )
        return _with_end(run, StepFailed(**_shared(command, run), failure=failure), definition)
    at, code = command.finished_at, outcome.code
    return [StepPostponed(step_id=step.id, code=code, message=outcome.message, at=at, until=until)]


def _with_end(
    run: ActiveRun, outcome: StepSucceeded | StepFailed | StepDecided, definition: Definition
) -> list[RunEvent]:
    """The outcome of a step, and the end of the run where no step follows."""
    after = evolve(run, outcome)
    return [outcome, *end(after, definition)] if isinstance(after, ActiveRun) else [outcome]


class _Shared(TypedDict):
    step_id: str
    attempt: int
    started_at: datetime
    duration_ms: float
    input: Json
    kept: Kept | None


def _shared(command: commands.RecordAttempt, run: ActiveRun) -> _Shared:
    """The fields that all outcomes of an attempt share."""
    value, kept = _stored(command.input, run)
    return {
        "step_id": command.step_id,
        "attempt": command.attempt,
        "started_at": command.started_at,
        "duration_ms": command.duration_ms,
        "input": value,
        "kept": kept,
    }


def _stored(given: Input, run: ActiveRun) -> tuple[Json, Kept | None]:
    """The input for an event. It is left out where an earlier event of the step holds it."""
    if run.input == given and given != NO_INPUT:
        return None, Kept(attempt=run.input_attempt)
    return given.value, given.kept
