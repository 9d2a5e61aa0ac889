"""Commands on runs: cancel one, and run one again. A run that has ended is never changed."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

import msgspec

from app.auth import Principal
from app.zaps import Zaps
from domain import run, run_decider
from domain.definition import Definition, Trigger
from domain.errors import NotFound, WrongStatus
from domain.event import ANY_VERSION, Append, Appended, NewEvent, StoredEvent, StreamKind
from domain.json import Json
from domain.ports import EventStore, NewId, StoreUnavailable
from domain.replay import replay
from domain.run import ActiveRun, EndedRun, NoRun
from domain.run_decider import CancelRun
from domain.run_events import RunEvent
from domain.run_request import request_append

ATTEMPTS = 5
"""How often a cancellation is decided anew when the runner was quicker."""
_ANY_DEFINITION = Definition(Trigger(""))
"""Cancelling does not depend on what the zap does."""


class LoadedRun(msgspec.Struct, frozen=True):
    """A run as its stream says it is."""

    id: UUID
    state: ActiveRun | EndedRun
    events: Sequence[StoredEvent]

    @property
    def position(self) -> int:
        """Of the last event."""
        return self.events[-1].position

    @property
    def timer_id(self) -> UUID | None:
        """The timer that the run waits for: a timer has the id of the event that set it."""
        waiting = isinstance(self.state, ActiveRun) and self.state.waits_until is not None
        return self.events[-1].event_id if waiting else None


class Runs:
    """Runs of all tenants; every method takes whose it must be, and raises NotFound for anybody else's."""

    def __init__(self, store: EventStore, zaps: Zaps, new_id: NewId) -> None:
        self._store = store
        self._zaps = zaps
        self._new_id = new_id

    async def load(self, tenant_id: UUID, run_id: UUID) -> LoadedRun:
        """The run as it is now. Raises NotFound."""
        events = await self._store.read_stream(StreamKind.RUN, run_id)
        state = run.fold(events)
        if isinstance(state, NoRun) or events[0].tenant_id != tenant_id:
            raise NotFound("no such run")
        return LoadedRun(run_id, state, events)

    async def cancel(self, principal: Principal, run_id: UUID) -> LoadedRun:
        """Stop a run. Raises NotFound, and WrongStatus when it has ended in another way."""
        for _ in range(ATTEMPTS):
            loaded = await self.load(principal.tenant_id, run_id)
            if isinstance(loaded.state, EndedRun):
                if loaded.state.status == "cancelled":
                    return loaded
                raise WrongStatus(f"the run has ended already: it is {loaded.state.status}")
            events = run_decider.decide(CancelRun(), loaded.state, _ANY_DEFINITION)
            await self._append(principal, loaded, events)
        raise StoreUnavailable("the run went on at every attempt to stop it")

    async def replay(
        self,
        principal: Principal,
        run_id: UUID,
        *,
        from_step: str | None,
        version: Literal["original", "latest"],
        payload: Json | msgspec.UnsetType,
    ) -> tuple[UUID, int]:
        """A new run of the same request, linked to the old one. Gives its id and position.

        Raises NotFound and WrongStatus.
        """
        loaded = await self.load(principal.tenant_id, run_id)
        zap = (await self._zaps.load(principal.tenant_id, loaded.state.requested.zap_id)).zap
        number = zap.live if version == "latest" else loaded.state.requested.zap_version
        command = replay(loaded.state, run_id, zap.version(number).definition, from_step)
        changed = msgspec.structs.replace(command, zap_version=number)
        if payload is not msgspec.UNSET:
            body = msgspec.json.encode(payload).decode()
            request = msgspec.structs.replace(command.request, body=body, encoding="utf-8")
            changed = msgspec.structs.replace(changed, request=request)
        append = request_append(
            changed,
            zap.version(number).definition.behaviour,
            tenant_id=principal.tenant_id,
            new_id=self._new_id,
            metadata=msgspec.structs.replace(principal.metadata, causation_id=loaded.events[0].event_id),
        )
        result = await self._store.append(append)
        if not isinstance(result, Appended):
            raise StoreUnavailable("the new run's id was taken")
        return append.stream_id, result.position

    async def _append(self, principal: Principal, loaded: LoadedRun, events: Sequence[RunEvent]) -> None:
        """Append, and clear the timer that the run waits for, so that none fires into a run that has ended.

        While that timer is set nobody has carried the run on; so it stands for the expected version (the log clears a
        timer even where the version is refused).
        """
        await self._store.append(
            Append(
                kind=StreamKind.RUN,
                stream_id=loaded.id,
                expected=ANY_VERSION if loaded.timer_id else len(loaded.events),
                tenant_id=principal.tenant_id,
                ordering_key=loaded.events[0].ordering_key,
                events=tuple(NewEvent(self._new_id(), event) for event in events),
                metadata=msgspec.structs.replace(principal.metadata, correlation_id=loaded.id),
                timer_id=loaded.timer_id,
            )
        )
