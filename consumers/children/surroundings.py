"""What a run begins with: the request; for an item of a loop, what its parent saw, read once for all its items."""

import asyncio
from collections.abc import Mapping
from uuid import UUID

import msgspec

from consumers.children.held import Held
from consumers.credentials.variables import LookUp
from consumers.definitions import CompiledVersion, Definitions
from consumers.kafka.patience import patiently
from consumers.rendering.rendering import Rendering
from consumers.rendering.trigger import Trigger
from domain.aggregates import RUN
from domain.language.scope import Context
from domain.log.event import StreamKind
from domain.log.ports import EventStore
from domain.log.stream import fold
from domain.run.children import LoopStarted, fingerprint
from domain.run.events import RunRequested
from domain.run.state import LoadedRun, item_sees, stands, template_context
from domain.values.json import Json

ROOM = 32 * 2**20
"""Bytes of what parents of items have seen, and as much again of their lists."""


class ItemsChanged(Exception):
    """The list of a loop is not what it was when the loop started."""


class ParentGone(Exception):
    """The run that an item belongs to has left the log: nobody can tell any more what its templates see."""


class Given:
    """What one run begins with, made when the first template needs it, and once."""

    def __init__(self, requested: RunRequested, surroundings: "Surroundings") -> None:
        self._requested = requested
        self._surroundings = surroundings
        self._data: Mapping[str, Json] | None = None

    async def data(self) -> Mapping[str, Json]:
        """What its templates see besides its own steps."""
        if self._data is None:
            self._data = await self._surroundings.of(self._requested)
        return self._data


class Surroundings:
    """Looks up what items see of their parents."""

    def __init__(self, store: EventStore, definitions: Definitions, rendering: Rendering, variables: LookUp) -> None:
        self._variables = variables
        self._store = store
        self._definitions = definitions
        self._rendering = rendering
        self._seen: Held[Mapping[str, Json]] = Held(ROOM)
        self._lists: Held[list[Json]] = Held(ROOM)

    async def of(self, requested: RunRequested) -> Mapping[str, Json]:
        """What a run's templates see besides its own steps."""
        parent = requested.parent
        if parent is None or not parent.of_loop:
            return {"trigger": await Trigger(requested.request).data()}
        return item_sees(requested, await self._at(parent.run_id, parent.version))

    async def items(self, run: LoadedRun, started: LoopStarted, version: CompiledVersion) -> list[Json]:
        """The items of a loop, as they were when it started. Raises TemplateError and ItemsChanged."""

        async def render() -> tuple[list[Json], int]:
            seen = await self._at(run.id, started.version)
            items = await self._rendering.render(run.tenant_id, version.renderers[started.step_id], seen, started.at)
            if not isinstance(items, list) or await asyncio.to_thread(fingerprint, items) != started.items_sha256:
                raise ItemsChanged(started.step_id)
            return items, len(msgspec.json.encode(items))

        return await self._lists.get((run.id, started.step_id), render)

    def keep(self, run_id: UUID, started: LoopStarted, seen: Context, items: list[Json], size: int) -> None:
        """Remember what a loop has just started with; its list has so many bytes, which count for the rest, too."""
        self._seen.put((run_id, started.version), seen, size)
        self._lists.put((run_id, started.step_id), items, size)

    def forget(self, run_id: UUID, started: LoopStarted) -> None:
        """A loop is over: its list, and what its items saw, need no room any more."""
        self._seen.drop((run_id, started.version))
        self._lists.drop((run_id, started.step_id))

    async def seen_by(self, run: LoadedRun, version: CompiledVersion) -> Mapping[str, Json]:
        """What the templates of a run's next step see."""
        stand = stands(run.state, version.definition)
        context = template_context(run.id, run.state, await self.of(run.state.requested), stand)
        return {**context, "vars": (await self._variables(run.tenant_id)).plain} if version.variables else context

    async def _at(self, run_id: UUID, version: int) -> Mapping[str, Json]:
        """What the templates of a run saw after so many of its events."""

        async def read() -> tuple[Mapping[str, Json], int]:
            events = await patiently(lambda: self._store.read_stream(StreamKind.RUN, run_id))
            run = fold(RUN, events[:version])
            if run is None:
                raise ParentGone(f"the run {run_id}, which this item belongs to, has left the log")
            requested = run.state.requested
            compiled = await patiently(lambda: self._definitions.get(requested.zap_id, requested.zap_version))
            return await self.seen_by(run, compiled), sum(len(event.data) for event in events)

        return await self._seen.get((run_id, version), read)
