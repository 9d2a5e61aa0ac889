"""Carries out the steps of a run that call nobody: delays, decisions, values, and what ends a run."""

from datetime import timedelta
from uuid import UUID

import msgspec

from consumers.definitions import CompiledVersion
from consumers.rendering.rendering import Rendering
from domain.connector.outcome import Failed, Outcome, Succeeded
from domain.flow.contents import templated
from domain.flow.decisions import Decision, filtered, taken
from domain.flow.delays import end_of_delay
from domain.flow.steps import ControlStep, DelayStep, FilterStep, PathsStep, ReturnStep, SetStep, StopStep
from domain.language import condition
from domain.language.scope import Context
from domain.language.template import TemplateError
from domain.log.ports import Clock
from domain.run.commands import DelayRun, RecordDecision
from domain.run.state import ActiveRun
from domain.values.json import Json

MAX_OUTPUT = 4 * 2**20
"""Bytes of what one step may work out."""


class Control:
    """Works out one such step on the data of a run."""

    def __init__(self, rendering: Rendering, clock: Clock) -> None:
        self._rendering = rendering
        self._clock = clock

    async def of(
        self, step: ControlStep, tenant_id: UUID, run: ActiveRun, version: CompiledVersion, context: Context
    ) -> RecordDecision | DelayRun | Outcome:
        """What to record of the step: a decision, the beginning of a delay, or its outcome."""
        try:
            match step:
                case FilterStep() | PathsStep():
                    return RecordDecision(step.id, await self._decision(step, tenant_id, version, context))
                case DelayStep():
                    return await self._delay(step, tenant_id, run, version, context)
                case SetStep() | ReturnStep():
                    return _bounded(await self._rendered(step, tenant_id, version, context))
                case StopStep():
                    return Succeeded(
                        {"as": step.as_, "message": await self._rendered(step, tenant_id, version, context) or ""}
                    )
        except TemplateError as error:
            return Failed(code=error.code, message=f"{templated(step)[0] or 'condition'}{error.path}: {error.message}")

    async def _decision(
        self, step: FilterStep | PathsStep, tenant_id: UUID, version: CompiledVersion, context: Context
    ) -> Decision:
        if isinstance(step, FilterStep):
            return filtered(await self._settled(step.id, 0, tenant_id, version, context))
        decided: list[condition.Decision] = []
        for index in range(len(step.paths)):
            decided.append(await self._settled(step.id, index, tenant_id, version, context))
            if decided[-1].holds and step.mode == "first":
                break
        return taken(step, decided)

    async def _settled(
        self, step_id: str, index: int, tenant_id: UUID, version: CompiledVersion, context: Context
    ) -> condition.Decision:
        known = version.conditions[step_id][index]
        return await self._rendering.settle(tenant_id, known.condition, known.source, context)

    async def _delay(
        self, step: DelayStep, tenant_id: UUID, run: ActiveRun, version: CompiledVersion, context: Context
    ) -> DelayRun | Outcome:
        now = self._clock()
        if run.delayed_until is not None:
            return Succeeded({"until": run.delayed_until.isoformat()})
        if step.for_s:
            return DelayRun(step.id, now + timedelta(seconds=step.for_s))
        end = end_of_delay(step, await self._rendered(step, tenant_id, version, context), now)
        return end if isinstance(end, Failed) else DelayRun(step.id, end)

    async def _rendered(self, step: ControlStep, tenant_id: UUID, version: CompiledVersion, context: Context) -> Json:
        return await self._rendering.render(tenant_id, version.renderers[step.id], context, self._clock())


def _bounded(value: Json) -> Outcome:
    size = len(msgspec.json.encode(value))
    if size > MAX_OUTPUT:
        return Failed(code="too_large", message=f"the value has {size:,} bytes; a step may work out {MAX_OUTPUT:,}")
    return Succeeded(value)
