"""Carries one run forward, step by step in process, until it ends or has to wait. The log is its only memory."""

import random
import time
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from consumers.kafka.patience import patiently
from consumers.outbound.targets import Targets
from consumers.runner.attempts import Attempts, delay_end
from consumers.runner.definitions import CompiledVersion, Definitions
from consumers.runner.slots import Busy, Slots
from domain.connector.descriptor import Failed, Outcome, Postponed, Succeeded
from domain.language.template import TemplateError
from domain.log.errors import NotFound
from domain.log.event import Append, Appended, Conflict, Duplicate, Metadata, NewEvent, StoredEvent, StreamKind
from domain.log.ports import AppendRefused, Clock, EventStore, NewId
from domain.run.decide import (
    BeginAttempt,
    CancelRun,
    DelayRun,
    FailRun,
    FinishRun,
    RecordAttempt,
    RunCommand,
    SettleUnknown,
    TimeOutRun,
    decide,
)
from domain.run.events import RunEvent, due_at
from domain.run.state import ActiveRun, RunState, evolve, next_step
from domain.run.state import fold as fold_run
from domain.values.json import Json
from domain.zap.definition import NO_STEPS, ActionStep, Catalog, Definition, DelayStep, Step
from sql.process.crash_points import reached

log = structlog.get_logger()
_RUNNER = "runner"


class Progress(msgspec.Struct):
    """A run as far as it is known here: its state, and where its stream stands. `position` is that of its request."""

    run_id: UUID
    position: int
    tenant_id: UUID
    ordering_key: UUID
    state: RunState
    version: int
    last_event_id: UUID


def fold(events: Sequence[StoredEvent]) -> Progress:
    """The progress of a run from its whole stream (at least one event)."""
    first, last = events[0], events[-1]
    return Progress(
        first.stream_id,
        first.position,
        first.tenant_id,
        first.ordering_key,
        fold_run(events),
        last.version,
        last.event_id,
    )


class Executor:
    """Runs the actions of runs and records their outcomes."""

    def __init__(
        self,
        store: EventStore,
        catalog: Catalog,
        targets: Targets,
        *,
        clock: Clock,
        new_id: NewId,
        slots: Slots,
    ) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._attempts = Attempts(catalog, targets, clock)
        self._definitions = Definitions(store)
        self._slots = slots

    async def advance(self, run: Progress) -> None:
        """Carry a run on until it ends or waits for a timer. Outages of the log are waited out."""
        while isinstance(run.state, ActiveRun) and run.state.waits_until is None:
            command, definition = await self._next_command(run, run.state)
            if command is None or not await self._carry_out(run, command, definition):
                await self.reload(run)

    async def cancel(self, run: Progress, code: str, message: str) -> None:
        """End a run, also one that somebody else is carrying on."""
        while isinstance(run.state, ActiveRun):
            if not await self._carry_out(run, CancelRun(code, message), NO_STEPS):
                await self.reload(run)
        self.interrupt(run.run_id)

    def interrupt(self, run_id: UUID) -> None:
        """Stop the action of a run that has ended meanwhile, if one is under way here."""
        self._attempts.interrupt(run_id)

    async def version_of(self, state: ActiveRun) -> CompiledVersion | None:
        """The version that a run pins, None where it is missing or not understood."""
        try:
            return await self._version(state)
        except (NotFound, TemplateError):
            return None

    async def reload(self, run: Progress) -> None:
        """Read the run again: somebody else carried it on."""
        fresh = fold(await patiently(lambda: self._store.read_stream(StreamKind.RUN, run.run_id)))
        run.state, run.version, run.last_event_id = fresh.state, fresh.version, fresh.last_event_id

    async def _version(self, state: ActiveRun) -> CompiledVersion:
        requested = state.requested
        return await patiently(lambda: self._definitions.get(requested.zap_id, requested.zap_version))

    async def _next_command(self, run: Progress, state: ActiveRun) -> tuple[RunCommand | None, Definition]:
        """What is to be done next, None where somebody else was quicker."""
        try:
            version = await self._version(state)
        except (NotFound, TemplateError) as error:
            return FailRun("", "definition_missing", error.message), NO_STEPS
        deadline = state.requested.deadline
        if deadline is not None and self._clock() >= deadline:
            return TimeOutRun(), version.definition
        match next_step(state, version.definition):
            case None:
                return FinishRun(), version.definition
            case DelayStep() as step:
                return self._delay(run, state, step, version), version.definition
            case ActionStep() as step if state.started:
                doubt = self._attempts.on_unknown(step)
                return SettleUnknown(at=self._clock(), jitter=_jitter(), on_unknown=doubt), version.definition
            case ActionStep() as step:
                return await self._attempt(run, state, step, version), version.definition

    def _delay(self, run: Progress, state: ActiveRun, step: DelayStep, version: CompiledVersion) -> RunCommand:
        now = self._clock()
        if state.delayed_until is not None:
            waited = Succeeded({"until": state.delayed_until.isoformat()})
            return self._recorded(state, step, waited, now)
        try:
            return DelayRun(step.id, delay_end(run.run_id, state, step, version, now))
        except TemplateError as error:
            failed = Failed(code="template", message=f"{error.path[1:]}: {error.message}")
            return self._recorded(state, step, failed, now)

    async def _attempt(
        self, run: Progress, state: ActiveRun, step: ActionStep, version: CompiledVersion
    ) -> RecordAttempt | None:
        limit = version.definition.behaviour.concurrency.limit
        try:
            async with self._slots.of(state.requested.zap_id, limit):
                return await self._try(run, state, step, version)
        except Busy as busy:
            # It waits in the log, where it takes no memory, and no room from other zaps.
            message = "the zap has more to do than it gets done"
            return self._recorded(
                state, step, Postponed(code="busy", message=message, after_s=busy.after_s), self._clock()
            )

    async def _try(
        self, run: Progress, state: ActiveRun, step: ActionStep, version: CompiledVersion
    ) -> RecordAttempt | None:
        started_at, began = self._clock(), time.perf_counter()
        config = self._attempts.render(run.run_id, state, step, version)
        if isinstance(config, Failed):
            return self._recorded(state, step, config, started_at)
        if self._attempts.is_announced(step):
            attempt = state.attempts + 1
            announced = BeginAttempt(step_id=step.id, attempt=attempt, started_at=started_at, input=config)
            await self._carry_out(run, announced, version.definition)
            if not isinstance(run.state, ActiveRun) or run.state.started is None:
                return None
        reached("runner.before_action")
        outcome = await self._attempts.make(run.run_id, run.tenant_id, state, step, config)
        reached("runner.after_action")
        duration_ms = round((time.perf_counter() - began) * 1000, 3)
        recorded = self._recorded(state, step, outcome, started_at, config=config, duration_ms=duration_ms)
        return msgspec.structs.replace(recorded, on_unknown=self._attempts.on_unknown(step))

    def _recorded(
        self,
        state: ActiveRun,
        step: Step,
        outcome: Outcome,
        started_at: datetime,
        *,
        config: Json = None,
        duration_ms: float = 0.0,
    ) -> RecordAttempt:
        return RecordAttempt(
            step_id=step.id,
            attempt=state.attempts + 1,
            started_at=started_at,
            duration_ms=duration_ms,
            finished_at=self._clock(),
            input=config,
            outcome=outcome,
            jitter=_jitter(),
        )

    async def _carry_out(self, run: Progress, command: RunCommand, definition: Definition) -> bool:
        """Decide and record; False when there is nothing to record, or somebody else was there first.

        An outcome that the log will never take ends the run, instead of being offered for ever.
        """
        events = decide(command, run.state, definition)
        if not events:
            return False
        try:
            return await self._record(run, events)
        except AppendRefused as error:
            log.error("run.unrecordable", run_id=str(run.run_id), error=str(error))  # noqa: TRY400 - it is the store's to trace
            unrecordable = FailRun("", "unrecordable", "the outcome of a step could not be stored")
            return await self._record(run, decide(unrecordable, run.state, definition))

    async def _record(self, run: Progress, events: Sequence[RunEvent]) -> bool:
        """Append events to the run's stream; False when somebody else was there first. Raises AppendRefused."""
        append = Append(
            kind=StreamKind.RUN,
            stream_id=run.run_id,
            expected=run.version,
            tenant_id=run.tenant_id,
            ordering_key=run.ordering_key,
            events=tuple([NewEvent(self._new_id(), event, due_at(event)) for event in events]),
            metadata=Metadata(actor=_RUNNER, correlation_id=run.run_id, causation_id=run.last_event_id),
        )
        # What was done is done: the same events, under the same ids, until the log takes them.
        match await patiently(lambda: self._store.append(append)):
            case Appended(version, _position):
                reached("runner.after_record")
                for event in events:
                    run.state = evolve(run.state, event)
                run.version, run.last_event_id = version, append.events[-1].event_id
                return True
            case Conflict() | Duplicate():
                log.info("run.outrun", run_id=str(run.run_id))
                return False


def _jitter() -> float:
    return random.random()  # noqa: S311 - spreads retries, guards nothing
