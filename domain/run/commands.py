"""What may be asked of a run."""

from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import msgspec

from domain.connector.outcome import Outcome
from domain.flow.decisions import Decision
from domain.flow.steps import OnUnknown
from domain.run.children import LoopFinished, LoopProgressed, LoopStarted, ZapCalled
from domain.run.events import End, RunRequested
from domain.run.inputs import Input
from domain.run.waits import ApprovalAsked
from domain.values.json import Json


class RequestRun(msgspec.Struct, frozen=True):
    """Ask for a run of one version of a zap."""

    requested: RunRequested


class BeginAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """Record that an attempt is about to be made, for an action that must not be repeated blindly."""

    step_id: str
    attempt: int
    started_at: datetime
    input: Input


class RecordAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """Record the outcome of an attempt. `jitter` in 0..1 spreads the retry that may follow.

    `on_unknown`: what to do where the action may or may not have had its effect.
    """

    step_id: str
    attempt: int
    started_at: datetime
    duration_ms: float
    finished_at: datetime
    input: Input
    outcome: Outcome
    jitter: float
    on_unknown: OnUnknown = "retry"


class SettleUnknown(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt was begun by a process that is gone: decide what becomes of its step."""

    at: datetime
    jitter: float
    on_unknown: OnUnknown


class DelayRun(msgspec.Struct, frozen=True):
    """Begin the delay that is next."""

    step_id: str
    until: datetime


class AskApproval(msgspec.Struct, frozen=True):
    """Ask the people of the approval that is next."""

    asked: ApprovalAsked


class AwaitCallback(msgspec.Struct, frozen=True):
    """Begin to wait for the callback of the step that is next."""

    step_id: str
    until: datetime


class RecordDecision(msgspec.Struct, frozen=True):
    """Record how the filter or the paths that are next were decided."""

    step_id: str
    decision: Decision


class StartLoop(msgspec.Struct, frozen=True):
    """Begin the loop that is next."""

    event: LoopStarted


class RecordProgress(msgspec.Struct, frozen=True):
    """Record how far a loop has come."""

    event: LoopProgressed


class FinishLoop(msgspec.Struct, frozen=True):
    """Record that no item is under way any more. The outcome of the step is recorded right after it."""

    event: LoopFinished


class EndWithItem(msgspec.Struct, frozen=True):
    """End a run because a step in an item of its loop ends the whole run: that item has this end."""

    item: End


class CallZap(msgspec.Struct, frozen=True):
    """Call the zap that is next."""

    event: ZapCalled


class FinishRun(msgspec.Struct, frozen=True):
    """End a run in which no step is left to do. `result` is what a loop keeps of an item."""

    result: Json = None


class ResumeRun(msgspec.Struct, frozen=True):
    """Record that a timer of this run has fired."""

    timer_id: UUID


class FailRun(msgspec.Struct, frozen=True):
    """End a run that cannot be carried out, for instance because its definition is missing."""

    step_id: str
    code: str
    message: str


class TimeOutRun(msgspec.Struct, frozen=True):
    """End a run whose deadline has passed."""


class CancelRun(msgspec.Struct, frozen=True):
    """Stop a run, whatever it is doing or waiting for."""

    code: str = ""
    message: str = ""


RunCommand: TypeAlias = (
    RequestRun
    | BeginAttempt
    | RecordAttempt
    | SettleUnknown
    | DelayRun
    | AskApproval
    | AwaitCallback
    | RecordDecision
    | StartLoop
    | RecordProgress
    | FinishLoop
    | EndWithItem
    | CallZap
    | FinishRun
    | ResumeRun
    | FailRun
    | TimeOutRun
    | CancelRun
)
