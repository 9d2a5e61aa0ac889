"""One step in the run detail, and what each event makes of it."""

from datetime import datetime, timedelta
from typing import Literal, TypeAlias, assert_never
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from domain.flow.decisions import Decision, Filtered
from domain.run import events as run
from domain.run.children import ItemFailure, LoopFinished, LoopProgressed, LoopStarted, ZapCalled
from domain.run.inputs import Omitted
from domain.run.state import RunStatus
from domain.values.json import Json
from projections.run_asking import Asking
from projections.run_list import RunError


class Attempt(msgspec.Struct, kw_only=True):
    """One attempt of a step."""

    attempt: int
    started_at: datetime
    duration_ms: float
    error: run.Failure | None = None
    retry_at: datetime | None = None
    input: Json | UnsetType = UNSET
    """Where it was another one than that of the step's last attempt."""


class Postponement(msgspec.Struct, frozen=True, kw_only=True):
    """Why a step is not attempted yet, how many times in a row, and until when."""

    code: str
    message: str
    until: datetime
    times: int = 1


class LoopDetail(msgspec.Struct, frozen=True, kw_only=True):
    """How far a loop has come. `running` and those that were not begun are the rest of `count`.

    `failures`: the first that failed, by index, once the loop is over.
    """

    count: int
    succeeded: int = 0
    failed: int = 0
    filtered: int = 0
    cancelled: int = 0
    failures: tuple[ItemFailure, ...] = ()


AnsweredBy: TypeAlias = Literal["stub", "record", "sample", "target"]
"""`stub`: whoever tests. `record`: the sample run. `sample`: the answer is made up, as none is known."""
StepStatus: TypeAlias = Literal[
    "pending", "waiting", "running", "succeeded", "filtered", "failed", "cancelled", "skipped"
]


class TestedItem(msgspec.Struct, kw_only=True):
    """In a test, an item that a loop has done, with its steps. The fields are those of a run that is an item.

    `partial`: only some of its steps were asked for, or the time was up.
    """

    index: int
    item: Json
    status: RunStatus | Literal["partial"]
    error: RunError | None = None
    reason: str | None = None
    steps: "list[StepDetail]"


class StepDetail(msgspec.Struct, kw_only=True):
    """One step of the run: `input` is the rendered config of its last attempt, and of all that don't say otherwise.

    `not_kept`: values of the input of which only the beginning was kept, by JSON pointer.

    `running` is told of steps only whose attempts are announced, as they are not to be repeated blindly.
    `waits_until`: when a delay, or a step that was put off, goes on; the deadline of an approval or a callback.
    `cancelled`: the step was under way when the run ended.
    `decision`: how a filter or paths were decided, and why; a filter that did not let the run through has the status
    `filtered`. `loop`: how its items fare, which GET /runs/{id}/items lists. `run_id`: the run of the called zap.

    Its place: `at` as in problems (`steps.1.paths.0.steps.0`), the id of the step that holds it as `parent`, and the
    `branch` of that one: the id of a path, `otherwise`, `steps` or `on_error`. `why`: the reason of a `skipped` step;
    `pending` ones may still come. `replayable`: a replay may begin with it. `answered_by`: in a test, who answered.
    `items`: in a test, those that the loop has done.
    """

    id: str
    kind: str = ""
    status: StepStatus = "waiting"
    at: str = ""
    parent: str = ""
    branch: str = ""
    why: str = ""
    replayable: bool = False
    attempts: list[Attempt] = []
    input: Json = None
    output: Json = None
    error: run.Failure | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_ms: float | None = None
    waits_until: datetime | None = None
    postponed: Postponement | None = None
    not_kept: dict[str, Omitted] = {}
    decision: Decision | None = None
    loop: LoopDetail | None = None
    run_id: UUID | None = None
    answered_by: AnsweredBy | UnsetType = UNSET
    approval: Asking | None = None
    items: list[TestedItem] | UnsetType = UNSET


def decided(step: StepDetail, decision: Decision) -> StepDetail:
    stopped = isinstance(decision, Filtered) and not decision.passes
    step.status, step.decision = "filtered" if stopped else "succeeded", decision
    return step


def fold_way(step: StepDetail, event: run.StepStarted | run.StepPostponed | run.StepDelayed, at: datetime) -> None:
    match event:
        case run.StepStarted():
            step.status, step.started_at = "running", step.started_at or event.started_at
        case run.StepPostponed():
            times = step.postponed.times + 1 if step.postponed else 1
            step.status, step.waits_until = "waiting", event.until
            step.postponed = Postponement(code=event.code, message=event.message, until=event.until, times=times)
        case run.StepDelayed():
            step.waits_until, step.started_at = event.until, at
        case _:
            assert_never(event)


def fold_children(
    step: StepDetail, event: LoopStarted | LoopProgressed | LoopFinished | ZapCalled, at: datetime
) -> None:
    match event:
        case LoopStarted():
            step.loop, step.started_at = LoopDetail(count=event.count), at
        case LoopProgressed() | LoopFinished():
            assert step.loop is not None, "a loop starts first"
            step.loop = LoopDetail(
                count=step.loop.count,
                succeeded=event.succeeded,
                failed=event.failed,
                filtered=event.filtered,
                cancelled=event.cancelled,
                failures=event.failures if isinstance(event, LoopFinished) else (),
            )
        case ZapCalled():
            step.run_id, step.started_at, step.waits_until = event.run_id, at, event.until
        case _:
            assert_never(event)


def fold_attempt(step: StepDetail, event: run.StepAttempt, at: datetime) -> None:
    failure = event.failure if isinstance(event, run.StepAttemptFailed | run.StepFailed) else None
    retry_at = event.retry_at if isinstance(event, run.StepAttemptFailed) else None
    step.attempts.append(
        Attempt(
            attempt=event.attempt,
            started_at=event.started_at,
            duration_ms=event.duration_ms,
            error=failure,
            retry_at=retry_at,
        )
    )
    step.error, step.postponed, step.waits_until = failure, None, retry_at
    step.started_at = step.started_at or event.started_at
    if isinstance(event, run.StepAttemptFailed):
        step.status = "waiting"
        return
    step.status = "succeeded" if isinstance(event, run.StepSucceeded) else "failed"
    step.output = event.output if isinstance(event, run.StepSucceeded) else None
    step.finished_at = at
    step.duration_ms = round((at - step.started_at) / timedelta(milliseconds=1), 3)
