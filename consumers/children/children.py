"""Child runs: begun by a step of a run, and waking that run with their ends."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import assert_never
from uuid import UUID

import msgspec

from consumers.children.calls import Allowance, Calls, outcome, timed_out
from consumers.children.ends import item_ends
from consumers.children.loops import Loops
from consumers.children.surroundings import Surroundings
from consumers.children.work import Record, Work
from consumers.credentials.variables import LookUp, none
from consumers.definitions import CompiledVersion, Definitions
from consumers.kafka.patience import patiently
from consumers.rendering.rendering import Rendering
from domain.aggregates import RUN
from domain.connector.outcome import Failed, Outcome, Succeeded
from domain.flow.steps import ChildrenStep, ForEachStep, ZapStep
from domain.language.scope import Context
from domain.language.template import TemplateError
from domain.log.event import Metadata
from domain.log.ports import Clock, EventStore, NewId
from domain.log.stream import handle, load
from domain.run.children import Awaited, ChildIds, LoopStarted, Parent, ZapCalled, fingerprint, list_of, too_large
from domain.run.commands import CallZap, ResumeRun, StartLoop
from domain.run.decide import decide
from domain.run.events import RunEvent
from domain.run.state import ActiveRun, EndedRun, LoadedRun
from domain.values.json import Json
from domain.zap.definition import NO_STEPS

Cancel = Callable[[LoadedRun, str, str], Awaitable[None]]
ORPHANED = "parent_ended"
"""Why a child was cancelled whose parent has ended before it."""


class Children:
    """What a run and its children have to do with each other."""

    def __init__(
        self,
        store: EventStore,
        definitions: Definitions,
        rendering: Rendering,
        record: Record,
        cancel: Cancel,
        *,
        clock: Clock,
        new_id: NewId,
        allowance: Allowance,
        variables: LookUp = none,
    ) -> None:
        self.surroundings = Surroundings(store, definitions, rendering, variables)
        self.work = Work(store, self.surroundings, record, clock, new_id)
        self.loops = Loops(self.work, definitions)
        self._calls = Calls(store, rendering, clock, new_id, allowance)
        self._store = store
        self._rendering = rendering
        self._cancel = cancel
        self._clock = clock
        self._new_id = new_id

    async def begin(
        self, run: LoadedRun, step: ChildrenStep, version: CompiledVersion, context: Context
    ) -> StartLoop | CallZap | Outcome:
        """What is to be recorded before a child is begun, or why none is."""
        at = self._clock()
        try:
            rendered = await self._rendering.render(run.tenant_id, version.renderers[step.id], context, at)
        except TemplateError as error:
            field = "items" if isinstance(step, ForEachStep) else "input"
            return Failed(code=error.code, message=f"{field}{error.path}: {error.message}")
        match step:
            case ForEachStep():
                return await self._start_loop(run, step, context, rendered)
            case ZapStep():
                return await self._calls.begin(run, step, rendered)
            case _:
                assert_never(step)

    async def _start_loop(
        self, run: LoadedRun, step: ForEachStep, context: Context, rendered: Json
    ) -> StartLoop | Outcome:
        items = list_of(rendered, step)
        if isinstance(items, Failed):
            return items
        size, sha256 = await asyncio.to_thread(lambda: (len(msgspec.json.encode(items)), fingerprint(items)))
        if refused := too_large(size):
            return refused
        started = LoopStarted(
            step_id=step.id, count=len(items), items_sha256=sha256, at=self._clock(), version=run.folded
        )
        self.surroundings.keep(run.id, started, context, items, size)
        return StartLoop(started)

    async def go_on(
        self, run: LoadedRun, awaited: Awaited, version: CompiledVersion, *, is_new: bool
    ) -> LoadedRun | Outcome | None:
        """Begin the children whose turn it is. None while the run has to wait for them.

        Otherwise the run with the outcome of its loop, or the outcome of its call. `is_new`: the step has just begun.
        """
        match awaited:
            case LoopStarted():
                return await self.loops.go_on(run, awaited, version, is_new=is_new)
            case ZapCalled():
                return await self._call(run, awaited, version)
            case _:
                assert_never(awaited)

    async def _call(self, run: LoadedRun, called: ZapCalled, version: CompiledVersion) -> Outcome | None:
        child = await self._calls.child(called)
        if child is None:
            seen = await self.surroundings.seen_by(run, version)
            given = await self._rendering.render(run.tenant_id, version.renderers[called.step_id], seen, called.at)
            await self._calls.start(run, called, given)
        if not called.waits:
            return Succeeded({"run_id": str(called.run_id)})
        if child is None:
            return None
        if isinstance(child.state, EndedRun):
            return outcome(called, child.state)
        if called.until is None or self._clock() < called.until:
            return None
        await self._cancel(child, "timeout", "the run that called it waits no longer")
        return timed_out(called)

    async def ended(self, run: LoadedRun) -> LoadedRun | None:
        """Tell the runs above and below of the end of a run. Gives the run above where it is to be carried on here."""
        assert isinstance(run.state, EndedRun)
        if run.state.awaits is not None:
            await self._abandon(run, run.state.awaits)
        parent = run.state.requested.parent
        if parent is None or not parent.waits:
            return None
        if not parent.of_loop:
            await self._wake(parent, run.id)
            return None
        return await self.loops.ended(run, parent)

    async def _wake(self, parent: Parent, child_id: UUID) -> None:
        """Record that the called run has ended, where the one above waits for it."""
        above = await patiently(lambda: load(self._store, RUN, parent.run_id))
        awaited = above.state.awaits if above and isinstance(above.state, ActiveRun) else None
        if above is None or awaited is None or awaited.step_id != parent.step_id:
            return
        metadata = Metadata(actor="runner", correlation_id=above.id)

        def woken(state: ActiveRun | EndedRun) -> list[RunEvent]:
            return decide(ResumeRun(child_id), state, NO_STEPS)

        await patiently(lambda: handle(self._store, self._new_id, above, woken, metadata))

    async def _abandon(self, run: LoadedRun, awaited: Awaited) -> None:
        """Cancel the children of a run that has ended."""
        if isinstance(awaited, ZapCalled):
            await self._cancel_all([awaited.run_id] if awaited.waits else [])
            return
        await self.loops.close(run.id, awaited.step_id)
        ids = ChildIds(run.id, awaited.step_id)
        ends = item_ends(self._store, ids.of, awaited.count, ())
        await self._cancel_all([item.run_id async for item in ends if item.status is None])

    async def _cancel_all(self, run_ids: list[UUID]) -> None:
        for run_id in run_ids:
            child = await patiently(lambda run_id=run_id: load(self._store, RUN, run_id))  # type: ignore[misc]
            if child is not None:
                await self._cancel(child, ORPHANED, "the run that it belongs to has ended")
