"""Replays: what a new run of the same request takes over from the old run, which does not change."""

from hashlib import sha256
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from domain.log.errors import NotFound, NothingToDo, WrongStatus
from domain.log.event import Append, Metadata
from domain.log.ports import NewId
from domain.run.decide import goes_on
from domain.run.events import DEADLINE, Recovered, RunCompleted, RunFailed, RunRequested, RunTimedOut
from domain.run.request import request_append
from domain.run.state import ActiveRun, EndedRun, LoadedRun
from domain.values.json import Json
from domain.zap.definition import ActionStep, Definition, ErrorPath, Step
from domain.zap.zap import Zap

ReplayVersion: TypeAlias = Literal["original", "latest"]
MAX_RECOVERED = 50
"""Runs that one replay makes up for."""


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """How to replay: all steps, or those from one on; with the run's own version or the latest; with another body."""

    from_step: str | None = None
    version: ReplayVersion = "original"
    payload: Json | msgspec.UnsetType = msgspec.UNSET
    job_id: UUID | None = None
    """The job that replays many runs. It replays each of them once, however often it tries."""


def replay_append(loaded: LoadedRun, zap: Zap, wish: Replay, *, new_id: NewId, metadata: Metadata) -> Append:
    """What stores the new run. Raises NotFound, WrongStatus and NothingToDo."""
    if wish.job_id is not None:
        _require_target(loaded.state, wish.job_id)
    number = zap.live if wish.version == "latest" else loaded.state.requested.zap_version
    definition = zap.version(number).definition
    requested = replay(loaded.state, loaded.id, definition, wish.from_step)
    request = requested.request
    if wish.payload is not msgspec.UNSET:
        body = msgspec.json.encode(wish.payload).decode()
        request = msgspec.structs.replace(request, body=body, encoding="utf-8")
    return request_append(
        msgspec.structs.replace(
            requested, zap_version=number, request=request, job_id=wish.job_id, recovers=_recovered(loaded)
        ),
        definition.behaviour,
        tenant_id=loaded.tenant_id,
        new_id=new_id,
        metadata=msgspec.structs.replace(metadata, causation_id=loaded.first.event_id),
        dedupe_key=sha256(wish.job_id.bytes + loaded.id.bytes).digest() if wish.job_id else None,
    )


def _require_target(state: ActiveRun | EndedRun, job_id: UUID) -> None:
    """A job replays only runs that have ended, and never those that it started itself, whatever clocks say."""
    if isinstance(state, ActiveRun):
        raise NothingToDo("the run has not ended")
    if state.requested.job_id == job_id:
        raise NothingToDo("the run is a replay by this very job")


def _recovered(loaded: LoadedRun) -> tuple[Recovered, ...]:
    """What the replay makes up for. Of a long chain the first one and the latest are kept."""
    if isinstance(loaded.state, ActiveRun) or isinstance(loaded.state.end, RunCompleted):
        return ()
    match loaded.state.end:
        case RunFailed(step_id=step_id, code=code):
            where = step_id, code
        case RunTimedOut(step_id=step_id):
            where = step_id, DEADLINE
        case _:
            where = "", ""
    last = Recovered(run_id=loaded.id, position=loaded.last.position, step_id=where[0], code=where[1])
    before = loaded.state.requested.recovers
    return (*before[:1], *before[1:][2 - MAX_RECOVERED :], last)


def replay(run: ActiveRun | EndedRun, run_id: UUID, definition: Definition, from_step: str | None) -> RunRequested:
    """The request for a new run of the same request; `definition` is that of the version that it will use.

    With `from_step` the outcomes of the steps before it are taken over. Raises NotFound when there is no such step, and
    WrongStatus when a step before it has no outcome.
    """
    requested = run.requested
    before = _before(definition.steps, from_step) if from_step is not None else []
    if before is None:
        raise NotFound(f"the version to be run has no step {from_step}")
    for step in before:
        if step.id not in run.outputs and not (step.id in run.errors and goes_on(step)):
            raise WrongStatus(f"the step {step.id}, before {from_step}, has no outcome in this run to go on from")
    ids = [step.id for step in before]
    return RunRequested(
        zap_id=requested.zap_id,
        zap_version=requested.zap_version,
        source="replay",
        request=requested.request,
        replay_of=run_id,
        outputs={step_id: run.outputs[step_id] for step_id in ids if step_id in run.outputs},
        errors={step_id: run.errors[step_id] for step_id in ids if step_id in run.errors},
    )


def _before(steps: tuple[Step, ...], step_id: str) -> list[Step] | None:
    """The steps before a step on its path, None where these steps do not contain it."""
    before: list[Step] = []
    for step in steps:
        if step.id == step_id:
            return before
        before.append(step)
        if isinstance(step, ActionStep) and isinstance(step.on_error, ErrorPath):
            within = _before(step.on_error.steps, step_id)
            if within is not None:
                return before + within
    return None
