"""Published versions of zaps as the runner needs them: immutable, so each is compiled once and kept."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

import msgspec

from domain.aggregates import ZAP
from domain.connector.catalog import Catalog, Catalogs
from domain.connector.descriptor import ActionContext, ActionDescriptor
from domain.connector.outcome import Outcome
from domain.flow.contents import action_types, conditions, result, sources, templated
from domain.flow.steps import ActionStep, Step, WaitForStep
from domain.language.condition import Condition, InvalidCondition
from domain.language.condition import load as load_condition
from domain.language.mistakes import SLOW
from domain.language.template import Compiled, TemplateError, compiled, templates
from domain.log.errors import NotFound
from domain.log.ports import EventStore
from domain.log.stream import load
from domain.values.json import Json, JsonObject
from domain.zap.check import template_text
from domain.zap.definition import Definition

CACHE_SIZE = 2_000
_VARS = re.compile(r"\bvars\b")
NO_ACTIONS = Catalog({}, {})
"""For whoever looks at definitions, and renders none of their configs."""


class Prepared(msgspec.Struct, frozen=True):
    """A condition of a step, ready to be settled, or its templates, which come first; its JSON and where it stands."""

    condition: Condition | Compiled
    source: JsonObject
    at: str


class Runnable(msgspec.Struct, frozen=True):
    """What a runner keeps of an action: all but its form and samples, which are most of it."""

    type: str
    run: Callable[[JsonObject, ActionContext], Awaitable[Outcome]]
    idempotent: bool
    takes_connection: bool


class CompiledVersion(msgspec.Struct, frozen=True):
    """A definition, and by step id a renderer of what its templates are in, and its conditions in their order.

    `callbacks`: the steps that wait for a callback. `results`: of loops that say what they keep of an item.
    `actions`: those that its steps name, by type.
    `variables`: whether it may name any.
    """

    definition: Definition
    renderers: Mapping[str, Compiled]
    conditions: Mapping[str, tuple[Prepared, ...]]
    callbacks: tuple[str, ...] = ()
    results: Mapping[str, Compiled] = {}
    actions: Mapping[str, Runnable] = {}
    variables: bool = False


class Definitions:
    """Looks up published versions, and keeps the most recently used."""

    def __init__(self, store: EventStore, catalogs: Catalogs = NO_ACTIONS) -> None:
        self._store = store
        self._catalogs = catalogs
        self._cache: OrderedDict[tuple[UUID, int], CompiledVersion] = OrderedDict()

    def known(self, zap_id: UUID, number: int) -> CompiledVersion | None:
        """The version of a zap, None where it has to be looked up."""
        version = self._cache.get((zap_id, number))
        if version is not None:
            self._cache.move_to_end((zap_id, number))
        return version

    async def get(self, zap_id: UUID, number: int) -> CompiledVersion:
        """The version of a zap. Raises NotFound, and what the store raises."""
        if version := self.known(zap_id, number):
            return version
        key = (zap_id, number)
        definition, catalog = await self._load(zap_id, number)
        if template_text(definition) > SLOW:
            version = await asyncio.to_thread(compile_definition, definition, catalog)
        else:
            version = compile_definition(definition, catalog)
        self._cache[key] = version
        if len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
        return version

    async def _load(self, zap_id: UUID, number: int) -> tuple[Definition, Catalog]:
        """The definition, and the catalog as it was when the version was published."""
        stored = await load(self._store, ZAP, zap_id)
        if stored is None:
            raise NotFound("this zap does not exist")
        version = stored.state.version(number)
        types = action_types(version.definition.steps)
        return version.definition, await self._catalogs.of(stored.tenant_id, types, version.published_at)


def compile_definition(definition: Definition, catalog: Catalog) -> CompiledVersion:
    """Parse every template and condition of a definition. Raises TemplateError."""
    steps = [step for _path, step in definition.all_steps()]
    return CompiledVersion(
        definition,
        {step.id: _renderer(step, catalog) for step in steps},
        {step.id: tuple([_prepared(raw, at) for at, raw in conditions(step)]) for step in steps},
        tuple([step.id for step in steps if isinstance(step, WaitForStep)]),
        {step.id: compiled(kept) for step in steps if (kept := result(step)) is not None},
        {type_: _runnable(found) for type_ in action_types(definition.steps) if (found := catalog.actions.get(type_))},
        any(_names_variables(step) for step in steps),
    )


def _runnable(action: ActionDescriptor) -> Runnable:
    return Runnable(action.type, action.run, action.idempotent, action.connection is not None)


def _names_variables(step: Step) -> bool:
    return any(_VARS.search(text) for text in sources(step))


def _prepared(raw: JsonObject, at: str) -> Prepared:
    return Prepared(compiled(raw) if any(templates(raw)) else prepared_condition(raw), raw, at)


def prepared_condition(raw: Json) -> Condition:
    """A condition whose values are what they are. Raises TemplateError."""
    try:
        return load_condition(raw)
    except InvalidCondition as error:
        path, reason = next(iter(error.problems.items()))
        raise TemplateError(reason, f".{path}" if path else "") from None


def _renderer(step: Step, catalog: Catalog) -> Compiled:
    if isinstance(step, ActionStep):
        action = catalog.actions.get(step.type)
        return compiled(action.prepared(step.config) if action else step.config)
    return compiled(templated(step)[1])
