"""Where a run is, and how it ends once its steps are done."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from consumers.children.surroundings import Given
from consumers.credentials.variables import Known
from consumers.definitions import CompiledVersion
from consumers.rendering.rendering import Rendering
from domain.flow.contents import result
from domain.flow.course import Course, Done, Next
from domain.flow.steps import ActionStep, ControlStep, ForEachStep, UnknownStep, ZapStep
from domain.language.template import TemplateError
from domain.run.children import last_result, result_too_large
from domain.run.commands import FailRun, FinishRun
from domain.run.events import RunEvent
from domain.run.links import Links
from domain.run.state import ActiveRun, LoadedRun, RunState, evolve, stands, template_context
from domain.values.json import Json


class Here(msgspec.Struct, frozen=True):
    """Where a run is: its state, its version, and what came of its steps so far."""

    state: ActiveRun
    version: CompiledVersion
    given: Given
    stand: Course
    links: Links
    variables: Callable[[], Awaitable[Known]]

    async def context(self, run_id: UUID) -> dict[str, Json]:
        """What templates see. It may be large, so it is made when it is needed, and not before."""
        context = template_context(run_id, self.state, await self.given.data(), self.stand)
        if self.version.callbacks:
            urls = {step_id: self.links.callback_url(run_id, step_id) for step_id in self.version.callbacks}
            context["callback"] = {step_id: {"url": url} for step_id, url in urls.items()}
        if self.version.variables:
            context["vars"] = (await self.variables()).plain
        return context

    def after(self, events: Sequence[RunEvent]) -> "Here | None":
        """Where the run is after these events, None where it does not go on."""
        state: RunState = self.state
        for event in events:
            state = evolve(state, event)
        if not events or not isinstance(state, ActiveRun) or state.waits_until is not None or state.awaits is not None:
            return None
        return Here(state, self.version, self.given, stands(state, self.version.definition), self.links, self.variables)

    def ahead(self, events: Sequence[RunEvent]) -> "tuple[Here, ControlStep] | None":
        """The same, where its next step calls nobody."""
        here = self.after(events)
        step = here.stand.place.step if here and isinstance(here.stand.place, Next) else None
        if here is None or step is None or isinstance(step, ActionStep | ForEachStep | ZapStep | UnknownStep):
            return None
        return here, step


async def end_of(run: LoadedRun, here: Here, rendering: Rendering, now: datetime) -> FinishRun | FailRun:
    """How a run ends whose steps are done: an item of a loop with what the loop keeps of it."""
    place, parent = here.stand.place, here.state.requested.parent
    if parent is None or not parent.of_loop or not isinstance(place, Done):
        return FinishRun()
    loop = here.version.definition.step(parent.step_id)
    if loop is None or result(loop) is None:
        return FinishRun(last_result(place.output))
    try:
        renderer = here.version.results[parent.step_id]
        kept = await rendering.render(run.tenant_id, renderer, await here.context(run.id), now)
    except TemplateError as error:
        return FailRun(parent.step_id, error.code, f"result{error.path}: {error.message}")
    refused = result_too_large(kept)
    return FailRun(parent.step_id, refused.code, refused.message) if refused else FinishRun(kept)
