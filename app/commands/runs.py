"""Commands on runs: cancel one, and run one again. A run that has ended is never changed."""

from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID

import msgspec

from app.commands.loaded_zap import load_existing
from domain.job.job import ReplayVersion
from domain.log.errors import NotFound, NothingToDo
from domain.log.event import (
    Append,
    Appended,
    Conflict,
    Duplicate,
    Metadata,
    NewEvent,
    StoredEvent,
    StreamKind,
)
from domain.log.ports import EventStore, NewId, StoreUnavailable
from domain.run.decide import CancelRun, RequestRun, decide
from domain.run.events import RunEvent
from domain.run.replay import replay
from domain.run.request import request_append
from domain.run.state import ActiveRun, EndedRun, NoRun, fold
from domain.values.json import Json
from domain.zap.definition import NO_STEPS
from domain.zap.settings import ZapSettings
from domain.zap.zap import Zap

ATTEMPTS = 5
"""How often a cancellation is decided anew when the runner was quicker."""


class WentOn(StoreUnavailable):
    """The run went on at every attempt to stop it: try again."""


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


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """How to run again: all steps, or those from one on; on the version it had, or today's; with another body."""

    from_step: str | None = None
    version: ReplayVersion = "original"
    payload: Json | msgspec.UnsetType = msgspec.UNSET
    job_id: UUID | None = None
    """The job that replays many runs: it replays each of them once, however often this is asked for."""


class PreparedReplay(msgspec.Struct, frozen=True):
    """A replay that is decided, but not committed."""

    tenant_id: UUID
    command: RequestRun
    settings: ZapSettings
    metadata: Metadata
    dedupe_key: bytes | None


class Runs:
    """Runs of all tenants; every method takes whose it must be, and raises NotFound for anybody else's.

    The metadata says who wants it.
    """

    def __init__(self, store: EventStore, new_id: NewId) -> None:
        self._store = store
        self._new_id = new_id

    async def load(self, tenant_id: UUID, run_id: UUID) -> LoadedRun:
        """The run as it is now. Raises NotFound."""
        loaded = _fold(tenant_id, await self._store.read_stream(StreamKind.RUN, run_id))
        if loaded is None:
            raise NotFound("no such run")
        return loaded

    async def load_many(self, tenant_id: UUID, run_ids: Sequence[UUID]) -> dict[UUID, LoadedRun]:
        """Those of them that there are."""
        streams = await self._store.read_streams(StreamKind.RUN, run_ids)
        runs = [_fold(tenant_id, events) for events in streams.values()]
        return {loaded.id: loaded for loaded in runs if loaded is not None}

    async def cancel(self, tenant_id: UUID, run_id: UUID, metadata: Metadata) -> LoadedRun:
        """Stop a run. Raises NotFound, NothingToDo when it has ended in another way, and WentOn."""
        for _ in range(ATTEMPTS):
            loaded = await self.load(tenant_id, run_id)
            if isinstance(loaded.state, EndedRun) and loaded.state.status == "cancelled":
                return loaded
            await self.stop(loaded, metadata)
        raise WentOn("the run went on at every attempt to stop it")

    async def stop(self, loaded: LoadedRun, metadata: Metadata) -> bool:
        """Stop a run as it was loaded; false when it has gone on since. Raises NothingToDo when it has ended."""
        if isinstance(loaded.state, EndedRun):
            raise NothingToDo(f"the run has ended already: it is {loaded.state.status}")
        return await self._append(loaded, decide(CancelRun(), loaded.state, NO_STEPS), metadata)

    async def replay(self, tenant_id: UUID, run_id: UUID, wish: Replay, metadata: Metadata) -> tuple[UUID, int]:
        """A new run of the same request, linked to the old one. Gives its id and position.

        Raises NotFound and WrongStatus.
        """
        loaded = await self.load(tenant_id, run_id)
        zap = await load_existing(self._store, tenant_id, loaded.state.requested.zap_id)
        return await self.start(prepare(loaded, zap.zap, wish, metadata))

    async def start(self, replay: PreparedReplay) -> tuple[UUID, int]:
        """Commit it: replays that are started one after the other, without waiting, are stored in that order."""
        append = request_append(
            replay.command,
            replay.settings,
            tenant_id=replay.tenant_id,
            new_id=self._new_id,
            metadata=replay.metadata,
            dedupe_key=replay.dedupe_key,
        )
        match await self._store.append(append):
            case Appended(_version, position):
                return append.stream_id, position
            case Duplicate(run_id, position):
                return run_id, position
            case Conflict():
                raise StoreUnavailable("the new run's id was taken")

    async def _append(self, loaded: LoadedRun, events: Sequence[RunEvent], metadata: Metadata) -> bool:
        """Append, and clear the timer that the run waits for, so that none fires into a run that has ended.

        Where the run went on meanwhile nothing is stored, and no timer cleared.
        """
        result = await self._store.append(
            Append(
                kind=StreamKind.RUN,
                stream_id=loaded.id,
                expected=len(loaded.events),
                tenant_id=loaded.events[0].tenant_id,
                ordering_key=loaded.events[0].ordering_key,
                events=tuple(NewEvent(self._new_id(), event) for event in events),
                metadata=msgspec.structs.replace(metadata, correlation_id=loaded.id),
                timer_id=loaded.timer_id,
            )
        )
        return isinstance(result, Appended)


def prepare(loaded: LoadedRun, zap: Zap, wish: Replay, metadata: Metadata) -> PreparedReplay:
    """What a replay will be. Raises NotFound and WrongStatus."""
    if wish.job_id is not None:
        _require_target(loaded.state, wish.job_id)
    number = zap.live if wish.version == "latest" else loaded.state.requested.zap_version
    definition = zap.version(number).definition
    command = replay(loaded.state, loaded.id, definition, wish.from_step)
    request = command.request
    if wish.payload is not msgspec.UNSET:
        body = msgspec.json.encode(wish.payload).decode()
        request = msgspec.structs.replace(request, body=body, encoding="utf-8")
    return PreparedReplay(
        loaded.events[0].tenant_id,
        msgspec.structs.replace(command, zap_version=number, request=request, job_id=wish.job_id),
        definition.behaviour,
        msgspec.structs.replace(metadata, causation_id=loaded.events[0].event_id),
        sha256(wish.job_id.bytes + loaded.id.bytes).digest() if wish.job_id else None,
    )


def _fold(tenant_id: UUID, events: Sequence[StoredEvent]) -> LoadedRun | None:
    """A tenant's run from its stream; None for what is none, or not the tenant's."""
    state = fold(events)
    if isinstance(state, NoRun) or events[0].tenant_id != tenant_id:
        return None
    return LoadedRun(events[0].stream_id, state, events)


def _require_target(state: ActiveRun | EndedRun, job_id: UUID) -> None:
    """A job replays what has ended, and never what it has started itself, whatever clocks say."""
    if isinstance(state, ActiveRun):
        raise NothingToDo("the run has not ended")
    if state.requested.job_id == job_id:
        raise NothingToDo("the run is a replay by this very job")
