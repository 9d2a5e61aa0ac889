"""Carries one run forward, step by step in process, until it ends or has to wait. The log is its only memory."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

from consumers.children.calls import Allowance
from consumers.children.children import Children
from consumers.children.surroundings import Given, ParentGone
from consumers.credentials.credentials import Credentials
from consumers.credentials.variables import Known, LookUp, none
from consumers.definitions import CompiledVersion, Definitions
from consumers.dialogues.dialogues import Dialogues
from consumers.files.run_files import FilesOf
from consumers.kafka.patience import patiently
from consumers.outbound.targets import Targets
from consumers.rendering.rendering import Rendering
from consumers.runner.attempts import Attempts
from consumers.runner.control import Begun, Control
from consumers.runner.here import Here, end_of
from consumers.runner.recording import Recording
from consumers.runner.shares.share import Busy
from consumers.runner.shares.slots import Slots
from consumers.runner.tries import Tries
from domain.connector.catalog import Catalogs
from domain.connector.outcome import Postponed
from domain.flow.course import Next
from domain.flow.steps import (
    ActionStep,
    ChildrenStep,
    ControlStep,
    ForEachStep,
    SetStep,
    UnknownStep,
    WaitForStep,
    ZapStep,
)
from domain.hook.hops import NO_HOPS, Hops
from domain.language.template import TemplateError
from domain.log.errors import NotFound
from domain.log.ports import Clock, EventStore, NewId
from domain.log.stream import Loaded
from domain.memory.memory import Memories, scratch
from domain.run.commands import CallZap, CancelRun, FailRun, RecordAttempt, RunCommand, StartLoop, TimeOutRun
from domain.run.decide import decide
from domain.run.ends import is_item
from domain.run.events import RunEvent
from domain.run.links import NO_LINKS, Links
from domain.run.state import ActiveRun, LoadedRun, stands
from domain.zap.definition import NO_STEPS
from sql.postgres.pool import CONNECTION_ERRORS

NEWER_S = 300.0
"""How long a run waits until it asks again whether its next step is understood."""


def _rests(run: ActiveRun) -> bool:
    """Whether the run waits for a timer only. A called zap may have to be begun, also where the wait for it ends."""
    return run.waits_until is not None and run.awaits is None


def _never(_run: LoadedRun) -> bool:
    return False


async def _unlimited(_zap_id: UUID) -> bool:
    return True


class Executor:
    """Runs the actions of runs and records their outcomes."""

    def __init__(
        self,
        store: EventStore,
        catalogs: Catalogs,
        targets: Targets,
        *,
        clock: Clock,
        new_id: NewId,
        slots: Slots,
        rendering: Rendering,
        hops: Hops = NO_HOPS,
        links: Links = NO_LINKS,
        memories: Memories | None = None,
        credentials: Credentials | None = None,
        dialogues: Dialogues | None = None,
        files: FilesOf | None = None,
        allowance: Allowance = _unlimited,
        variables: LookUp = none,
    ) -> None:
        self._variables = variables
        self._links = links
        self._clock = clock
        self._attempts = Attempts(
            targets,
            clock,
            hops=hops,
            rendering=rendering,
            memories=memories or scratch(clock),
            credentials=credentials,
            dialogues=dialogues,
            files=files,
        )
        self._control = Control(rendering, clock, links)
        self._definitions = Definitions(store, catalogs)
        self.recording = Recording(store, clock, new_id)
        self._tries = Tries(self._attempts, self.recording, slots, clock)
        self._postponing = asyncio.Lock()
        self._rendering = rendering
        self.children = Children(
            store,
            self._definitions,
            rendering,
            self.recording.keep,
            self.cancel,
            clock=clock,
            new_id=new_id,
            allowance=allowance,
            variables=self._known,
        )

    async def advance(self, run: LoadedRun, enough: Callable[[LoadedRun], bool] = _never) -> LoadedRun:
        """Carry a run on until it ends, or waits for a timer or for its children, or is far `enough`.

        Outages of the log are waited out. A run of which the log does not tell is let go.
        """
        given: Given | None = None
        begun = None
        while isinstance(run.state, ActiveRun) and not _rests(run.state) and not enough(run):
            state = run.state
            if state.awaits is not None:
                moved = await self._go_on(run, state, is_new=state.awaits is begun)
                if moved is None:
                    return run
                run = moved
                continue
            given = given or Given(state.requested, self.children.surroundings)
            try:
                stepped = await self._step(run, state, given)
            except ParentGone as gone:
                stepped = await self.recording.carry_out(run, FailRun("", "parent_gone", str(gone)), NO_STEPS)
            now = stepped or await self.recording.now(run)
            if now is None:
                return run
            run = now
            begun = stepped.state.awaits if stepped else None
        return run

    async def cancel(self, run: LoadedRun, code: str, message: str) -> None:
        """End a run, also one that another process is carrying on."""
        now: LoadedRun | None = run
        while now is not None and isinstance(now.state, ActiveRun):
            command = CancelRun(code, message)
            now = await self.recording.carry_out(now, command, NO_STEPS) or await self.recording.now(now)
        self.interrupt(run.id)

    async def postpone(self, run_id: UUID, busy: Busy) -> bool:
        """Have a run wait in the log before its next step. False where it is not before one.

        One after the other, as a run is read for that.
        """
        async with self._postponing:
            run = await self.recording.load(run_id)
            state = run.state
            if not isinstance(state, ActiveRun) or state.waits_until or state.awaits or state.started:
                return False
            version = await self.version_of(state)
            place = stands(state, version.definition).place if version else None
            if version is None or not isinstance(place, Next):
                return False
            later = self.recording.attempt(state, place.step, busy.postponed, self._clock())
            await self.recording.carry_out(run, later, version.definition)
            return True

    def interrupt(self, run_id: UUID) -> None:
        """Stop the action of a run that has ended meanwhile, if one is under way here or waits for its turn."""
        self._tries.stop(run_id)

    async def version_of(self, state: ActiveRun) -> CompiledVersion | None:
        """The version that a run pins, None where it is missing or cannot be read."""
        try:
            return await self._version(state)
        except (NotFound, TemplateError):
            return None

    async def _version(self, state: ActiveRun) -> CompiledVersion:
        zap_id, number = state.requested.zap_id, state.requested.zap_version
        if known := self._definitions.known(zap_id, number):
            return known
        return await patiently(lambda: self._definitions.get(zap_id, number))

    async def _go_on(self, run: LoadedRun, state: ActiveRun, *, is_new: bool) -> LoadedRun | None:
        """Have the children go on; None while the run waits for them."""
        assert state.awaits is not None, "it waits for them"
        try:
            version = await self._version(state)
        except (NotFound, TemplateError) as error:
            return await self.recording.carry_out(run, _undefined(error), NO_STEPS)
        found = await self.children.go_on(run, state.awaits, version, is_new=is_new)
        if found is None or isinstance(found, Loaded):
            return found
        step = version.definition.step(state.awaits.step_id)
        assert step is not None, "it was begun"
        recorded = self.recording.attempt(state, step, found, state.awaits.at)
        return await self.recording.carry_out(run, recorded, version.definition) or await self.recording.follow(run)

    async def _step(self, run: LoadedRun, state: ActiveRun, given: Given) -> LoadedRun | None:
        """Do what is next; None where another process was quicker."""
        try:
            version = await self._version(state)
        except (NotFound, TemplateError) as error:
            return await self.recording.carry_out(run, _undefined(error), NO_STEPS)
        deadline = state.requested.deadline
        if deadline is not None and self._clock() >= deadline:
            return await self.recording.carry_out(run, TimeOutRun(), version.definition)
        variables = partial(self._known, run.tenant_id)
        here = Here(state, version, given, stands(state, version.definition), self._links, variables)
        if not isinstance(here.stand.place, Next):
            end = await end_of(run, here, self._rendering, self._clock())
            return await self.recording.carry_out(run, end, version.definition)
        step = here.stand.place.step
        match step:
            case ActionStep() if state.started:
                return await self.recording.carry_out(run, self._tries.unknown(step, here), version.definition)
            case ActionStep():
                tried = await self._tries.of(run, step, here)
                return None if tried is None else await self._record(*tried, here)
            case ForEachStep() | ZapStep():
                return await self.recording.keep(run, await self._begun(run, step, here))
            case UnknownStep():
                later = self.recording.attempt(state, step, _needs_newer(step), self._clock())
                return await self.recording.carry_out(run, later, version.definition)
            case _:
                return await self.recording.keep(run, await self._decided(run, step, here))

    async def _begun(self, run: LoadedRun, step: ChildrenStep, here: Here) -> list[RunEvent]:
        """What comes of a step that has children: it begins, or has its outcome at once."""
        found = await self.children.begin(run, step, here.version, await here.context(run.id))
        if isinstance(found, StartLoop | CallZap):
            return await self._following(run, found, here)
        return await self._following(run, self.recording.attempt(here.state, step, found, self._clock()), here)

    async def _decided(self, run: LoadedRun, step: ControlStep, here: Here) -> list[RunEvent]:
        """What comes of this step and of those behind it that call nobody: all goes into one append.

        It is recorded before anybody is called. What a step works out may be large, so nothing is put behind that.
        """
        events: list[RunEvent] = []
        while True:
            found = decide(await self._settle(run, step, here), here.state, here.version.definition)
            events += found
            ahead = here.ahead(found)
            if ahead is None or isinstance(step, SetStep | WaitForStep):
                return events + await self._result(run, here, found)
            here, step = ahead

    async def _settle(self, run: LoadedRun, step: ControlStep, here: Here) -> RunCommand:
        started_at = self._clock()
        found = await self._control.of(step, run, here.state, here.version, await here.context(run.id))
        return found if isinstance(found, Begun) else self.recording.attempt(here.state, step, found, started_at)

    async def _following(self, run: LoadedRun, command: RunCommand, here: Here) -> list[RunEvent]:
        """What follows from a command. Where a loop's item ends with its last step, that goes into the same append."""
        events = decide(command, run.state, here.version.definition)
        return events + await self._result(run, here, events) if is_item(here.state) else events

    async def _result(self, run: LoadedRun, here: Here, events: Sequence[RunEvent]) -> list[RunEvent]:
        """The end of a loop's item whose last step has this outcome: it says what the loop keeps of the item."""
        after = here.after(events) if is_item(here.state) else None
        if after is None or isinstance(after.stand.place, Next):
            return []
        return decide(await end_of(run, after, self._rendering, self._clock()), after.state, after.version.definition)

    async def _record(self, run: LoadedRun, recorded: RecordAttempt, here: Here) -> LoadedRun | None:
        """Record an attempt that was made, also where a callback was recorded meanwhile: that changes nothing about it.

        None where the attempt was recorded by another process.
        """
        while (done := await self.recording.keep(run, await self._following(run, recorded, here))) is None:
            now = await self.recording.follow(run)
            if now.version == run.version:
                return None
            run = now
        return done

    async def _known(self, tenant_id: UUID) -> Known:
        """The variables of a workspace; outages are waited out."""
        return await patiently(lambda: self._variables(tenant_id), CONNECTION_ERRORS)


def _undefined(error: NotFound | TemplateError) -> FailRun:
    return FailRun("", "definition_missing", error.message)


def _needs_newer(step: UnknownStep) -> Postponed:
    """The run waits for a runner that can do more: during an upgrade one comes soon."""
    message = f"step {step.id!r} is of kind {step.of!r}, which needs a newer release of TriggerHub"
    return Postponed(code="newer_release", message=message, after_s=NEWER_S)
