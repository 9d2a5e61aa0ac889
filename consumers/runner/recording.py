"""What the log is told of runs, and asked about them. Its outages are waited out."""

import random
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog

from consumers.kafka.patience import patiently
from domain.aggregates import RUN
from domain.connector.outcome import Outcome
from domain.flow.steps import Step
from domain.log.event import Appended, Conflict, Duplicate, Metadata
from domain.log.ports import AppendRefused, Clock, EventStore, NewId
from domain.log.stream import follow, load
from domain.run.commands import FailRun, RecordAttempt, RunCommand
from domain.run.decide import decide
from domain.run.events import RunEvent
from domain.run.inputs import NO_INPUT, Input
from domain.run.state import ActiveRun, LoadedRun
from domain.zap.definition import NO_STEPS, Definition
from sql.process.crash_points import reached

log = structlog.get_logger()
_RUNNER = "runner"


class Recording:
    """Appends to the streams of runs, and reads them."""

    def __init__(self, store: EventStore, clock: Clock, new_id: NewId) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def load(self, run_id: UUID) -> LoadedRun:
        """A run of which the log tells."""
        run = await self.find(run_id)
        assert run is not None, "it was requested"
        return run

    async def find(self, run_id: UUID) -> LoadedRun | None:
        """A run that may have left the log, as its time was over; None then."""
        return await patiently(lambda: load(self._store, RUN, run_id))

    async def follow(self, run: LoadedRun) -> LoadedRun:
        """The run as it is now, after another process carried it on."""
        return await patiently(lambda: follow(self._store, run))

    async def now(self, run: LoadedRun) -> LoadedRun | None:
        """The same, None where the log does not tell of it: the database was put back behind the topic, or the log took
        no more of it, as the run that it is an item of was erased.

        Nothing can be recorded of such a run, so it would be carried on for ever.
        """
        now = await self.follow(run)
        if now is not run:
            return now
        told = await patiently(lambda: load(self._store, RUN, run.id))
        if told is None:
            log.error("run.unknown", run_id=str(run.id))
        return told

    async def carry_out(self, run: LoadedRun, command: RunCommand, definition: Definition) -> LoadedRun | None:
        """Decide and record; None when there is nothing to record, or somebody else was there first.

        An outcome that the log will never take ends the run, instead of being offered for ever.
        """
        return await self.keep(run, decide(command, run.state, definition))

    async def keep(self, run: LoadedRun, events: Sequence[RunEvent]) -> LoadedRun | None:
        """The same for events that were decided."""
        if not events:
            return None
        try:
            return await self._append(run, events)
        except AppendRefused as error:
            log.error("run.unrecordable", run_id=str(run.id), error=str(error))  # noqa: TRY400 - it is the store's to trace
            unrecordable = FailRun("", "unrecordable", "the outcome of a step could not be stored")
            return await self._append(run, decide(unrecordable, run.state, NO_STEPS))

    async def _append(self, run: LoadedRun, events: Sequence[RunEvent]) -> LoadedRun | None:
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

    def attempt(
        self,
        state: ActiveRun,
        step: Step,
        outcome: Outcome,
        started_at: datetime,
        *,
        given: Input = NO_INPUT,
        duration_ms: float = 0.0,
    ) -> RecordAttempt:
        """What records the outcome of a step, which has just come."""
        return RecordAttempt(
            step_id=step.id,
            attempt=state.attempts + 1,
            started_at=started_at,
            duration_ms=duration_ms,
            finished_at=self._clock(),
            input=given,
            outcome=outcome,
            jitter=jitter(),
        )


def jitter() -> float:
    """What spreads retries."""
    return random.random()  # noqa: S311 - it guards nothing
