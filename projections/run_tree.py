"""The steps of a run as a tree: each with its place among the others, also those that the run did not come to."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from domain.aggregates import ZAP
from domain.flow.contents import walk
from domain.flow.course import Broken, Course, Next, course
from domain.flow.decisions import Decision
from domain.flow.steps import TryStep
from domain.flow.tree import Node, tree
from domain.log.errors import NotFound
from domain.log.ports import EventStore
from domain.log.stream import load
from domain.run.events import Failure
from domain.run.state import RunStatus
from domain.values.json import Json
from domain.zap.definition import Definition
from projections.run_detail import RunDetail
from projections.step_detail import StepDetail, StepStatus
from sql.process.recent import Recent

CACHED = 200
"""Versions of zaps that are remembered: they never change."""
_SAID: Mapping[RunStatus, str] = {
    "completed": "the run had completed",
    "filtered": "the run was filtered",
    "failed": "the run had failed",
    "cancelled": "the run was cancelled",
    "timed_out": "the run was timed out",
}


class Versions:
    """The published versions of zaps, the most recently used ones from memory."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._known = Recent[tuple[UUID, int], Definition](CACHED)

    async def get(self, zap_id: UUID, number: int) -> Definition | None:
        """The definition of a version, None where there is none."""
        key = zap_id, number
        known = self._known.get(key)
        if known is not None:
            return known
        loaded = await load(self._store, ZAP, zap_id)
        try:
            found = loaded.state.version(number).definition if loaded else None
        except NotFound:
            found = None
        if found is not None:
            self._known.put(key, found)
        return found


class _Results(msgspec.Struct, frozen=True):
    """What a run detail knows of its steps, as the course asks for it."""

    outputs: Mapping[str, Json]
    errors: Mapping[str, Failure]
    decisions: Mapping[str, Decision]


def place(detail: RunDetail, definition: Definition) -> None:
    """Give each step its place, and put those beside them that were passed by or are still to come."""
    known = {step.id: step for step in detail.steps}
    results = _Results(
        outputs={step.id: step.output for step in detail.steps if step.status == "succeeded" and not step.decision},
        errors={step.id: step.error for step in detail.steps if step.status == "failed" and step.error},
        decisions={step.id: step.decision for step in detail.steps if step.decision},
    )
    steps = definition.steps_in(detail.parent.step_id if detail.parent and detail.parent.of_loop else None)
    stand = course(steps, results)
    nodes = list(tree(steps, results, _SAID.get(detail.status, "")))
    names = {node.step.id for node in nodes}
    others = [step for step in detail.steps if step.id not in names]
    detail.steps = [
        _placed(node, known, stand, results, ended=detail.finished_at is not None) for node in nodes
    ] + others


def _placed(
    node: Node, known: Mapping[str, StepDetail], stand: Course, results: _Results, *, ended: bool
) -> StepDetail:
    step = known.get(node.step.id)
    inside = {inner.id for _at, inner, _depth in walk((node.step,), "")} if isinstance(node.step, TryStep) else set()
    begun = isinstance(node.step, TryStep) and not inside.isdisjoint(known)
    if step is not None and (not node.why or _was_tried(step)):
        found = step
    elif isinstance(node.step, TryStep) and begun:
        found = StepDetail(id=node.step.id, status=_of_try(node.step, results, ended=ended))
    else:
        found = StepDetail(id=node.step.id, status="skipped" if node.why else "pending")
    found.kind = str(node.step.__struct_config__.tag)
    found.at, found.parent, found.branch, found.why = node.at, node.parent, node.branch, node.why
    is_next = isinstance(stand.place, Next) and stand.place.step.id in {node.step.id, *inside}
    found.replayable = found is step or begun or is_next
    if node.step.id in stand.joined:
        found.output = stand.joined[node.step.id]
    if node.step.id in stand.failed:
        found.error = results.errors[stand.failed[node.step.id]]
        found.status = found.status if isinstance(node.step, TryStep) else "failed"
    return found


def _was_tried(step: StepDetail) -> bool:
    """Whether the run itself came to the step, rather than taking its outcome over."""
    return bool(step.started_at or step.postponed or step.waits_until)


def _of_try(step: TryStep, results: _Results, *, ended: bool) -> StepStatus:
    """A `try` leaves no events of its own: what it came to follows from the steps in it, once one has begun."""
    match course((step,), results).place:
        case Next():
            return "cancelled" if ended else "running"
        case Broken():
            return "failed"
        case _:
            return "succeeded"
