"""Carries one run forward, step by step in process, until it ends or has to wait. The log is its only memory."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

import msgspec
import structlog

from consumers.children.calls import Allowance
from consumers.children.children import Children
from consumers.children.surroundings import Given
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
from consumers.runner.shares.share import Busy
from consumers.runner.shares.slots import Slots
from domain.aggregates import RUN
from domain.connection.blot import NOTHING
from domain.connector.catalog import Catalogs
from domain.connector.outcome import Failed, Outcome, Postponed, blotted
from domain.flow.course import Next
from domain.flow.steps import ActionStep, ControlStep, ForEachStep, SetStep, Step, UnknownStep, WaitForStep, ZapStep
from domain.hook.hops import NO_HOPS, Hops
from domain.language.template import TemplateError
from domain.log.errors import NotFound
from domain.log.event import Appended, Conflict, Duplicate, Metadata
from domain.log.ports import AppendRefused, Clock, EventStore, NewId
from domain.log.stream import Loaded, follow, load
from domain.memory.memory import Memories, scratch
from domain.run.commands import (
    BeginAttempt,
    CallZap,
    CancelRun,
    FailRun,
    RecordAttempt,
    RunCommand,
    SettleUnknown,
    StartLoop,
    TimeOutRun,
)
from domain.run.decide import decide
from domain.run.ends import is_item
from domain.run.events import RunEvent
from domain.run.inputs import NO_INPUT, Input
from domain.run.links import NO_LINKS, Links
from domain.run.state import ActiveRun, LoadedRun, stands
from domain.zap.definition import NO_STEPS, Definition
from sql.postgres.pool import CONNECTION_ERRORS
from sql.process.crash_points import reached

log = structlog.get_logger()
_RUNNER = "runner"
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
        self._store = store
        self._links = links
        self._clock = clock
        self._new_id = new_id
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
        self._slots = slots
        self._postponing = asyncio.Lock()
        self._rendering = rendering
        self.children = Children(
            store,
            self._definitions,
            rendering,
            self._keep,
            self.cancel,
            clock=clock,
            new_id=new_id,
            allowance=allowance,
            variables=self._known,
        )

    async def advance(self, run: LoadedRun, enough: Callable[[LoadedRun], bool] = _never) -> LoadedRun:
        """Carry a run on until it ends, or waits for a timer or for its children, or is far `enough`.

        Outages of the log are waited out.
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
            stepped = await self._step(run, state, given)
            if stepped is None and await self._is_unknown(run):
                return run
            run = stepped or await self.follow(run)
            begun = stepped.state.awaits if stepped else None
        return run

    async def _is_unknown(self, run: LoadedRun) -> bool:
        """Whether the log does not tell of a run that a message told of: the database was put back behind the topic.

        Nothing can be recorded of it, so it would be carried on for ever.
        """
        if run.unstored:
            return False
        told = await patiently(lambda: load(self._store, RUN, run.id))
        if told is not None:
            return False
        log.error("run.unknown", run_id=str(run.id))
        return True

    async def cancel(self, run: LoadedRun, code: str, message: str) -> None:
        """End a run, also one that another process is carrying on."""
        while isinstance(run.state, ActiveRun):
            run = await self._carry_out(run, CancelRun(code, message), NO_STEPS) or await self.follow(run)
        self.interrupt(run.id)

    async def postpone(self, run_id: UUID, busy: Busy) -> bool:
        """Have a run wait in the log before its next step. False where it is not before one.

        One after the other, as a run is read for that.
        """
        async with self._postponing:
            run = await self.load(run_id)
            state = run.state
            if not isinstance(state, ActiveRun) or state.waits_until or state.awaits or state.started:
                return False
            version = await self.version_of(state)
            place = stands(state, version.definition).place if version else None
            if version is None or not isinstance(place, Next):
                return False
            later = self._recorded(state, place.step, _postponed(busy), self._clock())
            await self._carry_out(run, later, version.definition)
            return True

    def interrupt(self, run_id: UUID) -> None:
        """Stop the action of a run that has ended meanwhile, if one is under way here."""
        self._attempts.interrupt(run_id)

    async def version_of(self, state: ActiveRun) -> CompiledVersion | None:
        """The version that a run pins, None where it is missing or cannot be read."""
        try:
            return await self._version(state)
        except (NotFound, TemplateError):
            return None

    async def follow(self, run: LoadedRun) -> LoadedRun:
        """The run as it is now, after another process carried it on."""
        return await patiently(lambda: follow(self._store, run))

    async def load(self, run_id: UUID) -> LoadedRun:
        """A run of which the log tells."""
        run = await patiently(lambda: load(self._store, RUN, run_id))
        assert run is not None, "it was requested"
        return run

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
            return await self._carry_out(run, FailRun("", "definition_missing", error.message), NO_STEPS)
        found = await self.children.go_on(run, state.awaits, version, is_new=is_new)
        if found is None or isinstance(found, Loaded):
            return found
        step = version.definition.step(state.awaits.step_id)
        assert step is not None, "it was begun"
        recorded = self._recorded(state, step, found, state.awaits.at)
        return await self._carry_out(run, recorded, version.definition) or await self.follow(run)

    async def _step(self, run: LoadedRun, state: ActiveRun, given: Given) -> LoadedRun | None:
        """Do what is next; None where another process was quicker."""
        try:
            version = await self._version(state)
        except (NotFound, TemplateError) as error:
            return await self._carry_out(run, FailRun("", "definition_missing", error.message), NO_STEPS)
        deadline = state.requested.deadline
        if deadline is not None and self._clock() >= deadline:
            return await self._carry_out(run, TimeOutRun(), version.definition)
        variables = partial(self._known, run.tenant_id)
        here = Here(state, version, given, stands(state, version.definition), self._links, variables)
        if not isinstance(here.stand.place, Next):
            return await self._carry_out(
                run, await end_of(run, here, self._rendering, self._clock()), version.definition
            )
        step = here.stand.place.step
        if isinstance(step, ActionStep) and state.started:
            doubt = self._attempts.on_unknown(step, version)
            command: RunCommand = SettleUnknown(at=self._clock(), jitter=_jitter(), on_unknown=doubt)
            return await self._carry_out(run, command, version.definition)
        if isinstance(step, UnknownStep):
            later = self._recorded(state, step, _needs_newer(step), self._clock())
            return await self._carry_out(run, later, version.definition)
        if isinstance(step, ActionStep):
            return await self._attempt(run, step, here)
        if isinstance(step, ForEachStep | ZapStep):
            found = await self.children.begin(run, step, version, await here.context(run.id))
            begun = (
                found if isinstance(found, StartLoop | CallZap) else self._recorded(state, step, found, self._clock())
            )
            return await self._carry_out(run, begun, version.definition, here)
        return await self._keep(run, await self._decided(run, step, here), version.definition)

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

    async def _result(self, run: LoadedRun, here: Here, events: Sequence[RunEvent]) -> list[RunEvent]:
        """The end of a loop's item whose last step has this outcome: it says what the loop keeps of the item."""
        after = here.after(events) if is_item(here.state) else None
        if after is None or isinstance(after.stand.place, Next):
            return []
        return decide(await end_of(run, after, self._rendering, self._clock()), after.state, after.version.definition)

    async def _settle(self, run: LoadedRun, step: ControlStep, here: Here) -> RunCommand:
        started_at = self._clock()
        found = await self._control.of(step, run, here.state, here.version, await here.context(run.id))
        return found if isinstance(found, Begun) else self._recorded(here.state, step, found, started_at)

    async def _attempt(self, run: LoadedRun, step: ActionStep, here: Here) -> LoadedRun | None:
        state, definition = here.state, here.version.definition
        try:
            async with self._slots.of(run.tenant_id, state.requested.zap_id, definition.behaviour.concurrency.limit):
                tried = await self._try(run, step, here)
        except Busy as busy:
            tried = run, self._recorded(state, step, _postponed(busy), self._clock())
        if tried is None:
            return None
        return await self._carry_out_beside(*tried, here)

    async def _try(self, run: LoadedRun, step: ActionStep, here: Here) -> tuple[LoadedRun, RecordAttempt] | None:
        """The outcome of the attempt, and the run with the announcement; None where another process was quicker."""
        started_at, began = self._clock(), time.perf_counter()
        state, version, context, blot = here.state, here.version, await here.context(run.id), NOTHING
        if version.variables and self._attempts.calls_out(step, version):
            known = await here.variables()
            context["vars"], blot = known.all, known.blot
        config = self._attempts.render_quick(step, version, context)
        given = NO_INPUT
        if not (config is None or isinstance(config, Failed)):
            given = await self._attempts.kept(state, config, context, blot)
        if config is None or (self._attempts.is_announced(step, version) and not isinstance(config, Failed)):
            attempt = state.attempts + 1
            announced = BeginAttempt(step_id=step.id, attempt=attempt, started_at=started_at, input=given)
            begun = await self._carry_out(run, announced, version.definition)
            if begun is None or not isinstance(begun.state, ActiveRun) or begun.state.started is None:
                return None
            run = begun
        if config is None:
            config = await self._attempts.render(run.tenant_id, step, version, context)
            if not isinstance(config, Failed):
                given = await self._attempts.kept(state, config, context, blot)
        if isinstance(config, Failed):
            return run, self._recorded(state, step, blotted(config, blot), started_at)
        reached("runner.before_action")
        outcome = blotted(await self._attempts.make(run, step, version, config, blot=blot), blot)
        reached("runner.after_action")
        duration_ms = round((time.perf_counter() - began) * 1000, 3)
        recorded = self._recorded(state, step, outcome, started_at, given=given, duration_ms=duration_ms)
        return run, msgspec.structs.replace(recorded, on_unknown=self._attempts.on_unknown(step, version))

    async def _known(self, tenant_id: UUID) -> Known:
        """The variables of a workspace; outages are waited out."""
        return await patiently(lambda: self._variables(tenant_id), CONNECTION_ERRORS)

    def _recorded(
        self,
        state: ActiveRun,
        step: Step,
        outcome: Outcome,
        started_at: datetime,
        *,
        given: Input = NO_INPUT,
        duration_ms: float = 0.0,
    ) -> RecordAttempt:
        return RecordAttempt(
            step_id=step.id,
            attempt=state.attempts + 1,
            started_at=started_at,
            duration_ms=duration_ms,
            finished_at=self._clock(),
            input=given,
            outcome=outcome,
            jitter=_jitter(),
        )

    async def _carry_out_beside(self, run: LoadedRun, recorded: RecordAttempt, here: Here) -> LoadedRun | None:
        """Record an attempt that was made, also where a callback was recorded meanwhile: that changes nothing about it.

        None where the attempt was recorded by another process.
        """
        while (done := await self._carry_out(run, recorded, here.version.definition, here)) is None:
            now = await self.follow(run)
            if now.version == run.version:
                return None
            run = now
        return done

    async def _carry_out(
        self, run: LoadedRun, command: RunCommand, definition: Definition, here: Here | None = None
    ) -> LoadedRun | None:
        """Decide and record; None when there is nothing to record, or somebody else was there first.

        An outcome that the log will never take ends the run, instead of being offered for ever.
        """
        events = decide(command, run.state, definition)
        if here is not None and is_item(here.state):
            events += await self._result(run, here, events)
        return await self._keep(run, events, definition)

    async def _keep(self, run: LoadedRun, events: Sequence[RunEvent], definition: Definition) -> LoadedRun | None:
        """The same for events that were decided."""
        if not events:
            return None
        try:
            return await self._record(run, events)
        except AppendRefused as error:
            log.error("run.unrecordable", run_id=str(run.id), error=str(error))  # noqa: TRY400 - it is the store's to trace
            unrecordable = FailRun("", "unrecordable", "the outcome of a step could not be stored")
            return await self._record(run, decide(unrecordable, run.state, definition))

    async def _record(self, run: LoadedRun, events: Sequence[RunEvent]) -> LoadedRun | None:
        """Append events to the run's stream; None when another process was first. Raises AppendRefused."""
        metadata = Metadata(actor=_RUNNER, correlation_id=run.id, causation_id=run.last.event_id)
        append = run.append(self._new_id, events, metadata)
        # The action was made, so the same events are appended, under the same ids, until the log takes them.
        match await patiently(lambda: self._store.append(append)):
            case Appended() as appended:
                reached("runner.after_record")
                return run.after(append, appended, self._clock())
            case Conflict() | Duplicate():
                log.info("run.outrun", run_id=str(run.id))
                return None


def _needs_newer(step: UnknownStep) -> Postponed:
    """The run waits for a runner that can do more: during an upgrade one comes soon."""
    message = f"step {step.id!r} is of kind {step.of!r}, which needs a newer release of TriggerHub"
    return Postponed(code="newer_release", message=message, after_s=NEWER_S)


def _postponed(busy: Busy) -> Postponed:
    """The run waits in the log, where it takes no memory and no room from others."""
    return Postponed(code="busy", message="too many runs wait; the step waits for its turn", after_s=busy.after_s)


def _jitter() -> float:
    return random.random()  # noqa: S311 - spreads retries, guards nothing
