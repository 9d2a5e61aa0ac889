"""Tests of drafts: what a run would do, with answers that are stubs, or with what targets really answer."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from app.commands.samples import Sample
from app.intake.refusals import LoopDetected
from consumers.rehearsal.rehearsal import Rehearsal, Rehearsed
from consumers.rehearsal.wish import Wish
from consumers.runner.shares.room import Room
from domain.aggregates import ZAP
from domain.connector.outcome import Outcome
from domain.flow.contents import walk
from domain.flow.decisions import Decision
from domain.flow.steps import ForEachStep
from domain.hook.hops import MAX_DEPTH, Hops
from domain.log.errors import DomainError, Invalid
from domain.log.event import Metadata, NewEvent, StoredEvent
from domain.log.ports import EventStore, NewId
from domain.log.stream import facts, load_of
from domain.run.state import RunStatus, idempotency_key
from domain.values.json import Json
from domain.zap.definition import Definition
from domain.zap.events import DraftTested
from domain.zap.zap import LoadedZap, existing
from projections.run_detail import RunDetail, bounded, fold
from projections.run_list import RunError
from projections.run_tree import place
from projections.step_detail import StepDetail, TestedItem

LIMIT_S = 30.0
"""How long a test takes at most. What was not done by then is shown as pending."""
AT_ONCE = 2
"""Tests of one tenant at a time."""
ROOM = 32 * 2**20
"""Bytes of samples in memory at a time, of all tests of this process."""

Effects = Literal["stub", "real"]


class TooManyTests(DomainError, code="rate_limited"):
    """Other tests of the same account are under way."""

    retry_after_s = 5


class TestWish(msgspec.Struct, frozen=True, kw_only=True):
    """How to test. `steps`: only these. `given` and `decided`: what is not to be found out, by step id.

    `items`: which items of a loop, by its id.
    """

    effects: Effects = "stub"
    steps: tuple[str, ...] = ()
    given: Mapping[str, Outcome] = {}
    decided: Mapping[str, Decision] = {}
    items: Mapping[str, Sequence[int]] = {}
    depth_header: str = ""


class TestOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the run would have come to. `partial`: only some steps were asked for, or the time was up (`timed_out`).

    `waiting`: it would wait now, for a retry or for somebody. The other fields are those of a run.
    """

    status: RunStatus | Literal["partial"]
    timed_out: bool = False
    error: RunError | None = None
    reason: str | None = None
    answer: Json | UnsetType = UNSET


class TestedDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A test of the draft as it was at a `position` of the log, with a sample of `sample_position`.

    `id` stands for the run that it is not: `run.id` in templates, and the beginning of idempotency keys.
    """

    id: UUID
    position: int
    sample_position: int | None
    steps: list[StepDetail]
    outcome: TestOutcome


class DraftTests:
    """Tests the drafts of all tenants. Every method takes the tenant, and raises NotFound for what is another one's."""

    def __init__(self, store: EventStore, rehearsal: Rehearsal, new_id: NewId, hops: Hops) -> None:
        self._store = store
        self._rehearsal = rehearsal
        self._new_id = new_id
        self._hops = hops
        self._under_way: Counter[UUID] = Counter()
        self._room = Room(ROOM)

    async def draft(self, tenant_id: UUID, zap_id: UUID) -> LoadedZap:
        """The zap whose draft it is. Raises NotFound."""
        return existing(await load_of(self._store, ZAP, zap_id, tenant_id))

    async def test(self, zap: LoadedZap, sample: Sample, wish: TestWish, metadata: Metadata) -> TestedDraft:
        """Carry a test out. One with real effects is recorded first. Raises Invalid, LoopDetected and TooManyTests."""
        definition, test_id = zap.state.draft, self._new_id()
        hop = self._hops.read(wish.depth_header)
        if hop is not None and hop.depth > MAX_DEPTH:
            raise LoopDetected(f"{MAX_DEPTH} runs have started one another before this test, so it is refused")
        only = _within(definition, wish.steps)
        _require_loops(definition, wish.items)
        async with self._turn(zap.tenant_id, len(sample.request.body)):
            if wish.effects == "real":
                await self._record(zap, test_id, wish.steps, metadata)
            rehearsed = await self._rehearsal.of(
                Wish(
                    run_id=test_id,
                    tenant_id=zap.tenant_id,
                    zap_id=zap.id,
                    number=zap.state.next_number,
                    definition=definition,
                    request=sample.request,
                    source=sample.source,
                    depth=hop.depth if hop else 0,
                    given=wish.given,
                    decided=wish.decided,
                    recorded=sample.recorded(definition),
                    past=sample.past(self._store, test_id, definition),
                    sample_run=sample.run_id,
                    only=only,
                    real=wish.effects == "real",
                    loops=True,
                    items=wish.items,
                    limit_s=LIMIT_S,
                )
            )
            steps, outcome = await asyncio.to_thread(_shown, rehearsed, definition)
        return TestedDraft(
            id=test_id, position=zap.last.position, sample_position=sample.position, steps=steps, outcome=outcome
        )

    @asynccontextmanager
    async def _turn(self, tenant_id: UUID, size: int) -> AsyncIterator[None]:
        """Hold one of the tenant's turns, and room for the sample. Raises TooManyTests."""
        if self._under_way[tenant_id] >= AT_ONCE:
            raise TooManyTests(f"{AT_ONCE} tests of this account are under way: wait for one of them")
        self._under_way[tenant_id] += 1
        try:
            async with self._room.of(tenant_id, size):
                yield
        finally:
            self._under_way[tenant_id] -= 1
            self._under_way += Counter()  # forgets who has none

    async def _record(self, zap: LoadedZap, test_id: UUID, steps: tuple[str, ...], metadata: Metadata) -> None:
        """Put on record who tests what. A stream of its own leaves the zap's ETag as it is."""
        event = DraftTested(zap_id=zap.id, draft=zap.version, steps=steps)
        new = NewEvent(self._new_id(), event)
        await self._store.append(facts(zap.id, zap.tenant_id, new, metadata=metadata, stream_id=test_id))


def _within(definition: Definition, steps: tuple[str, ...]) -> frozenset[str]:
    """The ids of these steps, and of those inside of them. Raises Invalid."""
    found: set[str] = set()
    for index, step_id in enumerate(steps):
        step = definition.step(step_id)
        if step is None:
            at, reason = f"steps.{index}", "the draft has no such step"
            raise Invalid(f"{at}: {reason}", errors=[{"path": at, "reason": reason}])
        found |= {inner.id for _path, inner, _depth in walk((step,), "")}
    return frozenset(found)


def _require_loops(definition: Definition, items: Mapping[str, Sequence[int]]) -> None:
    """Raises Invalid where items are chosen of something else."""
    for step_id in items:
        if not isinstance(definition.step(step_id), ForEachStep):
            at, reason = f"items.{step_id}", "the draft has no such loop"
            raise Invalid(f"{at}: {reason}", errors=[{"path": at, "reason": reason}])


def _shown(rehearsed: Rehearsed, definition: Definition) -> tuple[list[StepDetail], TestOutcome]:
    detail = _detail(rehearsed, rehearsed.events, definition)
    known = {detail.id: detail}
    for events in rehearsed.items:
        item = _detail(rehearsed, events, definition)
        known[item.id] = item
        _put(known, item)
    waits = any(step.waits_until for one in known.values() for step in one.steps)
    outcome = TestOutcome(
        status="waiting" if waits and detail.status == "waiting" else _status(detail),
        timed_out=rehearsed.timed_out,
        error=detail.error,
        reason=detail.reason,
        answer=detail.answer,
    )
    return bounded(detail).steps, outcome


def _detail(rehearsed: Rehearsed, events: Sequence[StoredEvent], definition: Definition) -> RunDetail:
    """The run of the draft, or of an item of a loop."""
    detail = fold(events)
    place(detail, definition)
    for step in detail.steps:
        if rehearsed.timed_out and step.replayable and step.status == "pending":
            step.status = "running"
        step.replayable = False
        if step.status != "skipped":
            step.answered_by = rehearsed.answered.get(idempotency_key(detail.id, step.id), UNSET)
    return detail


def _put(known: Mapping[UUID, RunDetail], item: RunDetail) -> None:
    """Show an item under its loop."""
    parent = item.parent
    assert parent is not None, "items have parents"
    loop = next(step for step in known[parent.run_id].steps if step.id == parent.step_id)
    shown = TestedItem(
        index=parent.index,
        item=None if item.item is UNSET else item.item,
        status=_status(item),
        error=item.error,
        reason=item.reason,
        steps=item.steps,
    )
    loop.items = [*(loop.items or ()), shown]


def _status(detail: RunDetail) -> RunStatus | Literal["partial"]:
    """How it ended. What has not ended was left where it was, unless a step of its own waits."""
    if detail.finished_at is not None or any(step.waits_until for step in detail.steps):
        return detail.status
    return "partial"
