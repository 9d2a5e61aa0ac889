"""Tries the next action of a run, once it has a slot: announces it where it must, makes it, and says what to record."""

import time
from datetime import datetime
from uuid import UUID

import msgspec

from consumers.runner.attempts import Attempts
from consumers.runner.here import Here
from consumers.runner.recording import Recording, jitter
from consumers.runner.shares.share import Busy
from consumers.runner.shares.slots import Slots
from domain.connection.blot import NOTHING
from domain.connector.outcome import Failed, blotted
from domain.flow.steps import ActionStep
from domain.log.ports import Clock
from domain.run.commands import BeginAttempt, RecordAttempt, SettleUnknown
from domain.run.inputs import NO_INPUT, Input
from domain.run.state import ActiveRun, LoadedRun
from sql.process.crash_points import reached


class Tries:
    """Tries actions, as many at once as there are slots."""

    def __init__(self, attempts: Attempts, recording: Recording, slots: Slots, clock: Clock) -> None:
        self._attempts = attempts
        self._recording = recording
        self._slots = slots
        self._clock = clock
        self._stopped: dict[UUID, bool] = {}

    async def of(self, run: LoadedRun, step: ActionStep, here: Here) -> tuple[LoadedRun, RecordAttempt] | None:
        """The outcome of an attempt, and the run with its announcement; None where another process was quicker.

        Where too many wait for a slot, the step is postponed.
        """
        state, limit = here.state, here.version.definition.behaviour.concurrency.limit
        self._stopped[run.id] = False
        try:
            async with self._slots.of(run.tenant_id, state.requested.zap_id, limit):
                return await self._attempt(run, step, here)
        except Busy as busy:
            return run, self._recording.attempt(state, step, busy.postponed, self._clock())
        finally:
            del self._stopped[run.id]

    def stop(self, run_id: UUID) -> None:
        """End the attempt of a run that has ended meanwhile; one that still waits for a slot calls nobody."""
        if run_id in self._stopped:
            self._stopped[run_id] = True
            self._attempts.interrupt(run_id)

    def unknown(self, step: ActionStep, here: Here) -> SettleUnknown:
        """What settles an attempt that was announced, and of which nothing was heard since."""
        doubt = self._attempts.on_unknown(step, here.version)
        return SettleUnknown(at=self._clock(), jitter=jitter(), on_unknown=doubt)

    async def _attempt(self, run: LoadedRun, step: ActionStep, here: Here) -> tuple[LoadedRun, RecordAttempt] | None:
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
            announced = await self._announce(run, step, here, started_at, given)
            if announced is None:
                return None
            run = announced
        if config is None:
            config = await self._attempts.render(run.tenant_id, step, version, context)
            if not isinstance(config, Failed):
                given = await self._attempts.kept(state, config, context, blot)
        if isinstance(config, Failed):
            return run, self._recording.attempt(state, step, blotted(config, blot), started_at)
        if self._stopped[run.id]:
            return None
        reached("runner.before_action")
        outcome = blotted(await self._attempts.make(run, step, version, config, blot=blot), blot)
        reached("runner.after_action")
        duration_ms = round((time.perf_counter() - began) * 1000, 3)
        recorded = self._recording.attempt(state, step, outcome, started_at, given=given, duration_ms=duration_ms)
        return run, msgspec.structs.replace(recorded, on_unknown=self._attempts.on_unknown(step, version))

    async def _announce(
        self, run: LoadedRun, step: ActionStep, here: Here, started_at: datetime, given: Input
    ) -> LoadedRun | None:
        """The run once the log says that the attempt begins: one that a crash cuts short is noticed by that."""
        attempt = here.state.attempts + 1
        announced = BeginAttempt(step_id=step.id, attempt=attempt, started_at=started_at, input=given)
        begun = await self._recording.carry_out(run, announced, here.version.definition)
        return begun if begun and isinstance(begun.state, ActiveRun) and begun.state.started else None
