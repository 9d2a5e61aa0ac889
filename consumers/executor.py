"""Carries one run forward, step by step in process, until it ends or has to wait. The log is its only memory."""

import asyncio
import random
import time
from collections.abc import Sequence
from uuid import UUID

import msgspec
import structlog

from consumers.definitions import CompiledVersion, Definitions, compile_definition
from consumers.slots import Slots
from domain.connector import ActionContext, Failed, HttpClient, Outcome, Retry
from domain.definition import Catalog, Definition, Step, Trigger
from domain.errors import NotFound
from domain.event import (
    Append,
    Appended,
    AppendResult,
    Conflict,
    Duplicate,
    Metadata,
    NewEvent,
    StoredEvent,
    StreamKind,
)
from domain.json import Json
from domain.ports import AppendRefused, Clock, EventStore, NewId, StoreUnavailable
from domain.registry import decode
from domain.run import (
    INITIAL,
    ActiveRun,
    FailRun,
    FinishRun,
    RecordAttempt,
    RunCommand,
    RunEvent,
    RunFailed,
    RunState,
    StepAttemptFailed,
    decide,
    evolve,
    idempotency_key,
    next_step,
    template_context,
)
from domain.template import TemplateError
from sql.crash_points import reached

log = structlog.get_logger()
_RUNNER = "runner"
_MAX_BACK_OFF_S = 2.0


class Progress(msgspec.Struct):
    """A run as far as it is known here: its state, and where its stream stands."""

    run_id: UUID
    tenant_id: UUID
    ordering_key: UUID
    state: RunState
    version: int
    last_event_id: UUID


def fold(events: Sequence[StoredEvent]) -> Progress:
    """The progress of a run from its whole stream (at least one event)."""
    state: RunState = INITIAL
    for stored in events:
        state = _evolved(state, stored)
    last = events[-1]
    return Progress(last.stream_id, last.tenant_id, last.ordering_key, state, last.version, last.event_id)


def _evolved(state: RunState, stored: StoredEvent) -> RunState:
    event = decode(stored.type, stored.schema_version, stored.data)
    return evolve(state, event) if isinstance(event, RunEvent) else state


class Executor:
    """Runs the actions of runs and records their outcomes."""

    def __init__(
        self,
        store: EventStore,
        catalog: Catalog,
        http: HttpClient,
        *,
        clock: Clock,
        new_id: NewId,
        slots: Slots,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._http = http
        self._clock = clock
        self._new_id = new_id
        self._definitions = Definitions(store)
        self._slots = slots

    async def advance(self, run: Progress) -> None:
        """Carry a run on until it ends or waits for a timer. Outages of the log are waited out."""
        while isinstance(run.state, ActiveRun) and run.state.retry_at is None:
            command, definition = await self._next_command(run, run.state)
            events = decide(command, run.state, definition.definition)
            if not events or not await self._record_or_fail(run, events):
                await self._reload(run)

    async def _next_command(self, run: Progress, state: ActiveRun) -> tuple[RunCommand, CompiledVersion]:
        try:
            version = await self._patiently_get(state)
        except (NotFound, TemplateError) as error:
            command = FailRun("", "definition_missing", error.message)
            return command, _NO_STEPS
        step = next_step(state, version.definition)
        if step is None:
            return FinishRun(), version
        return await self._attempt(run, state, step, version), version

    async def _attempt(self, run: Progress, state: ActiveRun, step: Step, version: CompiledVersion) -> RecordAttempt:
        async with self._slots.of(state.requested.zap_id):
            started_at, began = self._clock(), time.perf_counter()
            config: Json = None
            try:
                config = version.renderers[step.id](template_context(run.run_id, state))
                outcome = await self._act(run, step, config)
                reached("runner.after_action")
            except TemplateError as error:
                outcome = Failed(code="template", message=f"config{error.path}: {error.message}")
            duration_ms = round((time.perf_counter() - began) * 1000, 3)
        return RecordAttempt(
            step_id=step.id,
            attempt=state.attempts + 1,
            started_at=started_at,
            duration_ms=duration_ms,
            finished_at=self._clock(),
            input=config,
            outcome=outcome,
            jitter=random.random(),  # noqa: S311 - spreads retries, guards nothing
        )

    async def _act(self, run: Progress, step: Step, config: Json) -> Outcome:
        action = self._catalog.actions.get(step.type)
        if action is None:
            return Failed(code="unknown_action", message=f"no connector offers {step.type}")
        if not isinstance(config, dict):
            return Failed(code="template", message="the config is not an object")
        context = ActionContext(self._http, idempotency_key(run.run_id, step.id), run.run_id, self._clock)
        reached("runner.before_action")
        try:
            return await action.run(config, context)
        except Exception as error:  # a connector's bug must become the run's visible failure, never a stuck run
            log.exception("action.crashed", run_id=str(run.run_id), step_id=step.id, action=step.type)
            return Retry(code="crashed", message=f"the action crashed: {type(error).__name__}")

    async def _record_or_fail(self, run: Progress, events: Sequence[RunEvent]) -> bool:
        """As _record; an outcome that the log will never take ends the run, instead of being offered for ever."""
        try:
            return await self._record(run, events)
        except AppendRefused as error:
            log.error("run.unrecordable", run_id=str(run.run_id), error=str(error))  # noqa: TRY400 - it is the store's to trace
            failed = RunFailed(step_id="", code="unrecordable", message="the outcome of a step could not be stored")
            return await self._record(run, [failed])

    async def _record(self, run: Progress, events: Sequence[RunEvent]) -> bool:
        """Append events to the run's stream; False when somebody else was there first. Raises AppendRefused."""
        new_events = tuple(
            NewEvent(self._new_id(), event, event.retry_at if isinstance(event, StepAttemptFailed) else None)
            for event in events
        )
        result = await self._patiently_append(
            Append(
                kind=StreamKind.RUN,
                stream_id=run.run_id,
                expected=run.version,
                tenant_id=run.tenant_id,
                ordering_key=run.ordering_key,
                events=new_events,
                metadata=Metadata(actor=_RUNNER, correlation_id=run.run_id, causation_id=run.last_event_id),
            )
        )
        match result:
            case Appended(version, _position):
                reached("runner.after_record")
                for event in events:
                    run.state = evolve(run.state, event)
                run.version, run.last_event_id = version, new_events[-1].event_id
                return True
            case Conflict() | Duplicate():
                log.info("run.outrun", run_id=str(run.run_id))
                return False

    async def _reload(self, run: Progress) -> None:
        fresh = fold(await self._patiently_read(run.run_id))
        run.state, run.version, run.last_event_id = fresh.state, fresh.version, fresh.last_event_id

    async def _patiently_append(self, command: Append) -> AppendResult:
        """The action has been done, so its outcome is offered until the log takes it: same events, same ids."""
        failures = 0
        while True:
            try:
                return await self._store.append(command)
            except StoreUnavailable as error:
                failures = await _back_off(failures, error)

    async def _patiently_read(self, run_id: UUID) -> list[StoredEvent]:
        failures = 0
        while True:
            try:
                return await self._store.read_stream(StreamKind.RUN, run_id)
            except StoreUnavailable as error:
                failures = await _back_off(failures, error)

    async def _patiently_get(self, state: ActiveRun) -> CompiledVersion:
        failures = 0
        while True:
            try:
                return await self._definitions.get(state.requested.zap_id, state.requested.zap_version)
            except StoreUnavailable as error:
                failures = await _back_off(failures, error)


async def _back_off(failures: int, error: StoreUnavailable) -> int:
    log.warning("runner.store_unavailable", error=str(error), failures=failures)
    await asyncio.sleep(min(0.1 * 2**failures, _MAX_BACK_OFF_S))
    return failures + 1


_NO_STEPS = compile_definition(Definition(Trigger("")))
