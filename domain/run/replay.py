"""Replays: what a new run of the same request takes over from the old run, which does not change."""

from hashlib import sha256
from typing import Literal, TypeAlias, assert_never
from uuid import UUID

import msgspec

from domain.flow.contents import of_one_run, walk
from domain.flow.course import Broken, Done, Dropped, Next, Stopped
from domain.flow.steps import ForEachStep, TryStep
from domain.log.errors import Invalid, NotFound, NothingToDo, WrongStatus
from domain.log.event import Append, Metadata
from domain.log.ports import NewId
from domain.run.children import Reuse
from domain.run.ends import is_item
from domain.run.events import DEADLINE, Recovered, RunCompleted, RunFailed, RunRequested, RunTimedOut
from domain.run.request import request_append
from domain.run.state import ActiveRun, EndedRun, LoadedRun, stands
from domain.values.json import Json
from domain.zap.definition import Definition
from domain.zap.zap import Zap

ReplayVersion: TypeAlias = Literal["original", "latest"]
ReplayItems: TypeAlias = Literal["failed", "all"]
MAX_RECOVERED = 50
"""Runs that one replay makes up for."""
ERASED = "what the run was about was erased: replay it from its beginning, with a payload of your own"


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """How to replay: all steps, or those from one on; with the run's own version or the latest; with another body.

    `items`: where it begins with a loop, whether only the items that did not succeed are done again, or all.
    """

    from_step: str | None = None
    version: ReplayVersion = "original"
    payload: Json | msgspec.UnsetType = msgspec.UNSET
    items: ReplayItems | None = None
    job_id: UUID | None = None
    """The job that replays many runs. It replays each of them once, however often it tries."""


def replay_append(
    loaded: LoadedRun, zap: Zap, wish: Replay, *, new_id: NewId, metadata: Metadata, is_gone: bool = False
) -> Append:
    """What stores the new run. Raises NotFound, WrongStatus and NothingToDo.

    `is_gone`: what the run was about was forgotten before it was loaded. With nothing in its place, a replay would do
    its steps all the same.
    """
    if is_gone and (wish.payload is msgspec.UNSET or wish.from_step is not None):
        raise WrongStatus(ERASED)
    if wish.job_id is not None:
        _require_target(loaded.state, wish.job_id)
    number = zap.live if wish.version == "latest" else loaded.state.requested.zap_version
    definition = zap.version(number).definition
    requested = replay(loaded.state, loaded.id, definition, wish.from_step)
    if wish.payload is not msgspec.UNSET:
        requested = _with_payload(requested, wish.payload)
    append = request_append(
        msgspec.structs.replace(
            requested,
            zap_version=number,
            job_id=wish.job_id,
            recovers=_recovered(loaded),
            reuses=_reused(loaded, wish, definition),
        ),
        definition.behaviour,
        tenant_id=loaded.tenant_id,
        new_id=new_id,
        metadata=msgspec.structs.replace(metadata, causation_id=loaded.first.event_id),
        dedupe_key=sha256(wish.job_id.bytes + loaded.id.bytes).digest() if wish.job_id else None,
    )
    is_serial_item = is_item(loaded.state) and definition.behaviour.concurrency.mode == "serial"
    return msgspec.structs.replace(
        append,
        ordering_key=loaded.ordering_key if is_serial_item else append.ordering_key,
        carries=None if is_gone else loaded.first.position,
    )


def _with_payload(requested: RunRequested, payload: Json) -> RunRequested:
    """The request with another body; that of a loop's item with another item."""
    if requested.parent is not None and requested.parent.of_loop:
        return msgspec.structs.replace(requested, item=payload)
    body = msgspec.json.encode(payload).decode()
    request = msgspec.structs.replace(requested.request, body=body, encoding="utf-8")
    return msgspec.structs.replace(requested, request=request)


def _reused(loaded: LoadedRun, wish: Replay, definition: Definition) -> Reuse | None:
    """What a replay that begins with a loop takes over of it."""
    step = definition.step(wish.from_step) if wish.from_step is not None else None
    if not isinstance(step, ForEachStep):
        if wish.items is not None:
            raise Invalid("items goes with a from_step that is a for_each")
        return None
    sha256_ = loaded.state.lists.get(step.id)
    if wish.items == "all" or sha256_ is None:
        return None
    before = loaded.state.requested.reuses
    earlier = before.runs if before and (before.step_id, before.items_sha256) == (step.id, sha256_) else ()
    return Reuse(step_id=step.id, runs=(loaded.id, *earlier)[:MAX_RECOVERED], items_sha256=sha256_)


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
    requested, parent = run.requested, run.requested.parent
    if parent is not None and parent.of_loop and not definition.steps_in(parent.step_id):
        raise NotFound(f"the version to be run has no loop {parent.step_id}")
    taken_over = _before(run, definition, from_step) if from_step is not None else ActiveRun(requested=requested)
    return RunRequested(
        zap_id=requested.zap_id,
        zap_version=requested.zap_version,
        source="replay",
        request=requested.request,
        replay_of=run_id,
        outputs=taken_over.outputs,
        errors=taken_over.errors,
        decisions=taken_over.decisions,
        depth=requested.depth if parent else 0,
        via=requested.via if parent else (),
        parent=msgspec.structs.replace(parent, waits=False) if parent else None,
        item=requested.item,
    )


def _before(run: ActiveRun | EndedRun, definition: Definition, step_id: str) -> ActiveRun:
    """What is on record of the steps before one, so that the run goes on with it. Raises NotFound and WrongStatus."""
    ids = [step.id for _path, step in definition.all_steps()]
    target = definition.step(step_id)
    if target is None:
        raise NotFound(f"the version to be run has no step {step_id}")
    if not _does(run, definition, step_id):
        raise WrongStatus(f"this run does not do {step_id} itself: each item of a loop is a run of its own")
    before = set(ids[: ids.index(step_id)])
    begins = {step.id for _path, step, _depth in walk((target,), "")} if isinstance(target, TryStep) else {step_id}
    kept = ActiveRun(
        requested=run.requested,
        outputs={known: output for known, output in run.outputs.items() if known in before},
        errors={known: error for known, error in run.errors.items() if known in before},
        decisions={known: decision for known, decision in run.decisions.items() if known in before},
    )
    place = stands(kept, definition).place
    match place:
        case Next(step) if step.id in begins:
            return kept
        case Next(step) if step.id in before:
            raise WrongStatus(f"the step {step.id}, before {step_id}, has no outcome in this run to go on from")
        case Dropped(filter_id) | Broken(filter_id):
            raise WrongStatus(f"this run did not come to {step_id}: it went no further than {filter_id}")
        case Next() | Done() | Stopped():
            raise WrongStatus(f"this run went another way, on which there is no step {step_id}")
        case _:
            assert_never(place)


def _does(run: ActiveRun | EndedRun, definition: Definition, step_id: str) -> bool:
    """Whether a step is one of the run's own, and not of its items, or of the run that it is an item of."""
    parent = run.requested.parent
    steps = definition.steps_in(parent.step_id if parent and parent.of_loop else None)
    return any(step.id == step_id for step in of_one_run(steps))
