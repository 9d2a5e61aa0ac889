"""Commands on runs: cancel one, and run one again. A run that has ended is never changed."""

from hashlib import sha256
from uuid import UUID

import msgspec

from app.commands.zaps import load_existing
from domain.aggregates import RUN
from domain.job.job import ReplayVersion
from domain.log.errors import NotFound, NothingToDo
from domain.log.event import Appended, Conflict, Duplicate, Metadata
from domain.log.ports import EventStore, NewId, StoreUnavailable
from domain.log.stream import handle, load_of
from domain.run.decide import RequestRun, stop
from domain.run.replay import replay
from domain.run.request import request_append
from domain.run.state import ActiveRun, EndedRun, LoadedRun
from domain.values.json import Json
from domain.zap.settings import ZapSettings
from domain.zap.zap import Zap
from projections import run_detail
from projections.run_detail import RunDetail


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
        return await load_of(self._store, RUN, run_id, tenant_id)

    async def detail(self, tenant_id: UUID, run_id: UUID) -> RunDetail:
        """All that is known of the run now. Raises NotFound."""
        detail = await run_detail.get(self._store, tenant_id, run_id)
        if detail is None:
            raise NotFound("no such run")
        return detail

    async def cancel(self, tenant_id: UUID, run_id: UUID, metadata: Metadata) -> None:
        """Stop a run. Raises NotFound, NothingToDo when it has ended in another way, and Contended."""
        await self.cancel_loaded(await self.load(tenant_id, run_id), metadata)

    async def cancel_loaded(self, run: LoadedRun, metadata: Metadata) -> None:
        """Stop a run as it was loaded. The timer that it waits for is cleared, so that none fires into its end."""
        metadata = msgspec.structs.replace(metadata, correlation_id=run.id)
        await handle(self._store, self._new_id, run, stop, metadata)

    async def replay(self, tenant_id: UUID, run_id: UUID, wish: Replay, metadata: Metadata) -> tuple[UUID, int]:
        """A new run of the same request, linked to the old one. Gives its id and position.

        Raises NotFound and WrongStatus.
        """
        loaded = await self.load(tenant_id, run_id)
        zap = await load_existing(self._store, tenant_id, loaded.state.requested.zap_id)
        return await self.start(prepare(loaded, zap.state, wish, metadata))

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
        loaded.tenant_id,
        msgspec.structs.replace(command, zap_version=number, request=request, job_id=wish.job_id),
        definition.behaviour,
        msgspec.structs.replace(metadata, causation_id=loaded.first.event_id),
        sha256(wish.job_id.bytes + loaded.id.bytes).digest() if wish.job_id else None,
    )


def _require_target(state: ActiveRun | EndedRun, job_id: UUID) -> None:
    """A job replays what has ended, and never what it has started itself, whatever clocks say."""
    if isinstance(state, ActiveRun):
        raise NothingToDo("the run has not ended")
    if state.requested.job_id == job_id:
        raise NothingToDo("the run is a replay by this very job")
