"""Carries out the steps of a run that call nobody: delays, decisions, values, waits, and what ends a run."""

import asyncio
from datetime import timedelta
from typing import TypeAlias, assert_never
from uuid import UUID

import msgspec

from consumers.definitions import CompiledVersion, prepared_condition
from consumers.rendering.rendering import Rendering
from consumers.rendering.trigger import QUICK_BODY
from domain.connector.outcome import Failed, Outcome, Succeeded
from domain.flow.contents import templated
from domain.flow.decisions import Decision, filtered, taken
from domain.flow.delays import end_of_delay
from domain.flow.steps import (
    ApprovalStep,
    ControlStep,
    DelayStep,
    FilterStep,
    PathsStep,
    ReturnStep,
    SetStep,
    StopStep,
    WaitForStep,
)
from domain.language import condition
from domain.language.scope import Context
from domain.language.template import Compiled, TemplateError
from domain.log.ports import Clock
from domain.run.answers import outcome_of_approval, outcome_of_callback
from domain.run.commands import AskApproval, AwaitCallback, DelayRun, RecordDecision
from domain.run.links import Links
from domain.run.state import ActiveRun, LoadedRun
from domain.run.waits import ApprovalAsked, Asked
from domain.values.json import Json

Begun: TypeAlias = RecordDecision | DelayRun | AskApproval | AwaitCallback
MAX_TITLE = 300
MAX_MESSAGE = 20_000
"""Characters of what people are asked; longer texts are cut."""
MAX_OUTPUT = 4 * 2**20
"""Bytes of what one step may work out."""


class Control:
    """Works out one such step on the data of a run."""

    def __init__(self, rendering: Rendering, clock: Clock, links: Links) -> None:
        self._rendering = rendering
        self._clock = clock
        self._links = links

    async def of(
        self, step: ControlStep, loaded: LoadedRun, run: ActiveRun, version: CompiledVersion, context: Context
    ) -> Begun | Outcome:
        """What to record of the step: a decision, the beginning of a delay or a wait, or its outcome."""
        tenant_id = loaded.tenant_id
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
                case ApprovalStep():
                    return await self._approval(step, loaded, run, version, context)
                case WaitForStep():
                    return await self._callback(step, run)
                case _:
                    assert_never(step)
        except TemplateError as error:
            place = f"{templated(step)[0]}{error.path}".removeprefix(".")
            return Failed(code=error.code, message=f"{place}: {error.message}")

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
        wanted: Json = known.source
        prepared = known.condition
        try:
            if isinstance(prepared, Compiled):
                wanted = await self._rendering.render(tenant_id, prepared, context, self._clock())
                prepared = prepared_condition(wanted)
            return await self._rendering.settle(tenant_id, prepared, wanted, context)
        except TemplateError as error:
            raise type(error)(error.message, f".{known.at}{error.path}") from None

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

    async def _approval(
        self, step: ApprovalStep, loaded: LoadedRun, run: ActiveRun, version: CompiledVersion, context: Context
    ) -> AskApproval | Outcome:
        if run.delayed_until is not None:
            return outcome_of_approval(step, run.approvals[step.id])
        texts = await self._rendered(step, loaded.tenant_id, version, context)
        assert isinstance(texts, dict)
        return AskApproval(
            ApprovalAsked(
                zap_id=run.requested.zap_id,
                step_id=step.id,
                title=_text(texts["title"], MAX_TITLE),
                message=_text(texts["message"], MAX_MESSAGE),
                to=tuple(
                    Asked(
                        email=recipient.email or "",
                        role=recipient.role or "",
                        token_sha256=self._links.new_token_hash(loaded.id, step.id, number),
                    )
                    for number, recipient in enumerate(step.to)
                ),
                required=step.required,
                form=step.form,
                until=self._clock() + timedelta(seconds=step.deadline_s),
            )
        )

    async def _callback(self, step: WaitForStep, run: ActiveRun) -> AwaitCallback | Outcome:
        received = run.callbacks.get(step.id)
        if received is None and run.delayed_until is None:
            return AwaitCallback(step.id, self._clock() + timedelta(seconds=step.deadline_s))
        if received is not None and len(received.request.body) > QUICK_BODY:
            return await asyncio.to_thread(outcome_of_callback, step, received, received.at)
        return outcome_of_callback(step, received, run.delayed_until or self._clock())

    async def _rendered(self, step: ControlStep, tenant_id: UUID, version: CompiledVersion, context: Context) -> Json:
        return await self._rendering.render(tenant_id, version.renderers[step.id], context, self._clock())


def _text(value: Json, limit: int) -> str:
    """What a template gave, for people to read."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _bounded(value: Json) -> Outcome:
    size = len(msgspec.json.encode(value))
    if size > MAX_OUTPUT:
        return Failed(code="too_large", message=f"the value has {size:,} bytes; a step may work out {MAX_OUTPUT:,}")
    return Succeeded(value)
