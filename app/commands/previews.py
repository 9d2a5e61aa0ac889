"""Previews: what a template gives for a run that was, or for a body that could come."""

import asyncio
from collections.abc import Iterator
from uuid import UUID

import msgspec

from consumers.children.surroundings import Surroundings
from consumers.credentials.variables import LookUp
from consumers.definitions import Definitions
from consumers.rendering.rendering import Rendering
from consumers.rendering.trigger import trigger_of
from domain.aggregates import RUN, ZAP
from domain.flow.contents import of_one_run
from domain.flow.steps import WaitForStep
from domain.hook.request import json_request
from domain.language.mistakes import MAX_TEXT, SLOW
from domain.language.scope import Keys, written
from domain.language.template import TemplateError, compiled, templates
from domain.log.errors import Invalid
from domain.log.ports import Clock, EventStore
from domain.log.stream import load_of
from domain.run.links import Links
from domain.run.state import own_steps, stands, template_context
from domain.values.json import Json, JsonObject
from domain.zap.zap import existing

MAX_PATHS = 500
MAX_DEPTH = 8
MAX_ITEMS = 3
"""Items of a list whose paths are told: the others are alike."""


class RenderedTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """What a template gives, and its JSON type; or why it gives nothing. `paths`: some that there are in the sample."""

    value: Json = None
    type: str | None = None
    error: str | None = None
    paths: tuple[str, ...] = ()


class Previews:
    """Renders templates for a look, with the bounds of a run. `links`: URLs of callbacks are made up, as anybody who
    knows one can carry the run on.
    """

    def __init__(self, store: EventStore, rendering: Rendering, clock: Clock, links: Links, variables: LookUp) -> None:
        self._variables = variables
        self._store = store
        self._links = links
        self._rendering = rendering
        self._clock = clock
        self._definitions = Definitions(store)

    async def of_run(self, tenant_id: UUID, template: Json, run_id: UUID) -> RenderedTemplate:
        """As a step behind all steps of the run, or of an item of a loop, would see it. Raises NotFound and Invalid."""
        run = await load_of(self._store, RUN, run_id, tenant_id)
        requested = run.state.requested
        zap = existing(await load_of(self._store, ZAP, requested.zap_id, tenant_id))
        definition = zap.state.version(requested.zap_version).definition
        stand = stands(run.state, definition)
        given = await Surroundings(self._store, self._definitions, self._rendering, self._variables).of(requested)
        context = template_context(run.id, run.state, given, stand)
        waits = [step.id for step in of_one_run(own_steps(run.state, definition)) if isinstance(step, WaitForStep)]
        if waits:
            context["callback"] = {step_id: {"url": self._links.callback_url(run_id, step_id)} for step_id in waits}
        return await self._of(tenant_id, template, context)

    async def of_body(self, tenant_id: UUID, template: Json, body: Json) -> RenderedTemplate:
        """As the first step of a run would see it whose request has this JSON body. Raises Invalid."""
        context: JsonObject = {"trigger": await trigger_of(json_request(body)), "steps": {}, "run": {}, "zap": {}}
        return await self._of(tenant_id, template, context)

    async def _of(self, tenant_id: UUID, template: Json, context: JsonObject) -> RenderedTemplate:
        size = sum(len(text) for _place, text in templates(template))
        if size > MAX_TEXT:
            raise Invalid(f"the templates have more than {MAX_TEXT:,} characters together")
        context = {**context, "vars": (await self._variables(tenant_id)).shown}
        paths = tuple(written(keys) for keys, _index in zip(_paths(context, ()), range(MAX_PATHS), strict=False))
        try:
            prepared = compiled(template) if size <= SLOW else await asyncio.to_thread(compiled, template)
            value = await self._rendering.render(tenant_id, prepared, context, self._clock())
        except TemplateError as error:
            place = f"{error.path.removeprefix('.')}: " if error.path else ""
            return RenderedTemplate(error=f"{place}{error.message}", paths=paths)
        return RenderedTemplate(value=value, type=_type(value), paths=paths)


def _paths(value: Json, keys: Keys) -> Iterator[Keys]:
    """The paths of all values inside that hold no others, outer ones first."""
    if len(keys) < MAX_DEPTH and isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _paths(inner, (*keys, name))
    elif len(keys) < MAX_DEPTH and isinstance(value, list) and value:
        for index, inner in enumerate(value[:MAX_ITEMS]):
            yield from _paths(inner, (*keys, index))
    elif keys:
        yield keys


def _type(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"
