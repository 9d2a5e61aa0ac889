"""What jobs do to their runs and requests, batch by batch: commands on single ones, many at a time."""

import asyncio
from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias, TypeVar
from uuid import UUID

import msgspec

from domain.aggregates import REQUESTS, RUN, ZAP
from domain.intake.admission import LoadedRequest, Started, admit, arrival_of, discard, record_admitted, require_held
from domain.intake.arrival import Arrival, LiveZap, live_zap
from domain.job import job
from domain.job.job import JobKind, LoadedJob, RunJobKind
from domain.log.errors import DomainError, NotFound, NothingToDo, WrongStatus
from domain.log.event import Conflict, Metadata, StoredEvent, StreamKind, decode_metadata
from domain.log.ports import AppendRefused, NewId
from domain.log.stream import Contended, fold, handle, load, load_of
from domain.registry import UnknownEvent
from domain.run.decide import stop
from domain.run.replay import ERASED, Replay, replay_append
from domain.run.state import EndedRun, LoadedRun
from domain.zap.zap import LoadedZap, existing
from projections.request_list import oldest_held
from projections.run_keys import reread
from projections.run_selected import oldest_selected
from sql.files.store import hand_over
from sql.log.event_store import PgEventStore
from sql.log.forgetting import forgotten_among

T = TypeVar("T")


class Refused(msgspec.Struct, frozen=True):
    """Why a run or request was skipped, or could not be dealt with."""

    counts_as: Literal["skipped", "failed"]
    problem: str


Outcome: TypeAlias = Refused | None
"""The outcome for one run or request; None where the command was carried out."""
_GONE = Refused("failed", "no such run")


class Bulk(Protocol):
    """One kind of job. A command that is carried out twice has its effect once.

    After a crash of its worker a job goes on from the last recorded progress. Replays made since then are counted when
    they are met again. Runs and requests that were cancelled, released or discarded may not be met again, so they are
    counted by the events that they left.
    """

    read_models: Sequence[str]
    """The read models that tell what is next."""
    stream_kinds: Collection[StreamKind]
    """The kinds of the streams whose ids it lists."""

    leaves: str | None
    """The type of the event that the command leaves in each stream; None where all are met again after a crash."""
    in_order: bool
    """Whether what it starts has to stand in the log in the order of the ids."""

    async def next(self, loaded: LoadedJob, after: UUID | None, limit: int) -> list[UUID]:
        """The ids that follow one, in order."""

    async def do(self, loaded: LoadedJob, batch: Sequence[UUID]) -> list[Outcome]:
        """Carry out the command on each."""


class _OfRuns:
    """Takes the runs that the run list shows, oldest first."""

    read_models: Sequence[str] = ("run_list", "recoveries")
    stream_kinds: Collection[StreamKind] = (StreamKind.RUN,)
    in_order: bool = False

    def __init__(self, kind: RunJobKind, store: PgEventStore, new_id: NewId) -> None:
        self._kind = kind
        self._store = store
        self._new_id = new_id

    async def _load(self, loaded: LoadedJob, batch: Sequence[UUID]) -> list[LoadedRun | Refused]:
        """Each of them. One that cannot be read is refused by itself: the others of its batch are not to blame."""
        streams = await self._store.read_streams(RUN.kind, batch)
        return [_run_of(loaded, streams.get(run_id, ())) for run_id in batch]

    async def next(self, loaded: LoadedJob, after: UUID | None, limit: int) -> list[UUID]:
        selection = loaded.state.requested.filter
        return await oldest_selected(
            self._store,
            loaded.tenant_id,
            selection,
            job.statuses(self._kind, selection),
            after=after,
            before=loaded.id,
            limit=limit,
        )


class ReplayRuns(_OfRuns):
    """Replays runs that have ended."""

    leaves: str | None = None
    in_order: bool = True

    def __init__(self, store: PgEventStore, new_id: NewId) -> None:
        super().__init__("replay", store, new_id)

    async def do(self, loaded: LoadedJob, batch: Sequence[UUID]) -> list[Outcome]:
        """All are appended together, so that the new runs are stored in the order of the old ones."""
        runs = await self._load(loaded, batch)
        found = [run for run in runs if not isinstance(run, Refused)]
        ids = {run.state.requested.zap_id for run in found}
        zaps = {zap_id: await tried(self._zap(loaded, zap_id)) for zap_id in ids}
        gone = await forgotten_among(self._store.pool, [run.first.position for run in found])
        return _outcomes(await asyncio.gather(*[self._replay(loaded, run, zaps, gone) for run in runs]))

    async def _zap(self, loaded: LoadedJob, zap_id: UUID) -> LoadedZap:
        return existing(await load_of(self._store, ZAP, zap_id, loaded.tenant_id))

    async def _replay(
        self,
        loaded: LoadedJob,
        run: LoadedRun | Refused,
        zaps: Mapping[UUID, LoadedZap | Refused],
        gone: Collection[int],
    ) -> object:
        if isinstance(run, Refused):
            return run
        zap = zaps[run.state.requested.zap_id]
        if isinstance(zap, Refused):
            return zap
        return await tried(self._start(loaded, run, zap, gone))

    async def _start(self, loaded: LoadedJob, run: LoadedRun, zap: LoadedZap, gone: Collection[int]) -> None:
        requested = loaded.state.requested
        wish = Replay(from_step=requested.from_step, version=requested.version, job_id=loaded.id)
        metadata = metadata_of(loaded)
        is_gone = run.first.position in gone
        append = replay_append(run, zap.state, wish, is_gone=is_gone, new_id=self._new_id, metadata=metadata)
        if isinstance(await self._store.append(append), Conflict):
            raise WrongStatus(ERASED)


class CancelRuns(_OfRuns):
    """Cancels runs that have not ended."""

    leaves: str | None = "zap.run.cancelled"

    def __init__(self, store: PgEventStore, new_id: NewId) -> None:
        super().__init__("cancel", store, new_id)

    async def do(self, loaded: LoadedJob, batch: Sequence[UUID]) -> list[Outcome]:
        runs = await self._load(loaded, batch)
        return _outcomes(await asyncio.gather(*[self._cancel(loaded, run) for run in runs]))

    async def _cancel(self, loaded: LoadedJob, run: LoadedRun | Refused) -> object:
        return run if isinstance(run, Refused) else await tried(self._stop(loaded, run))

    async def _stop(self, loaded: LoadedJob, run: LoadedRun) -> None:
        if isinstance(run.state, EndedRun):
            raise NothingToDo(f"the run has ended already: it is {run.state.status}")
        metadata = msgspec.structs.replace(metadata_of(loaded), correlation_id=run.id)
        await handle(self._store, self._new_id, run, stop, metadata)


class ReadSearchKeys:
    """Reads the search keys of all runs of a zap, as it declares them now."""

    read_models: Sequence[str] = ("run_list", "run_keys")
    stream_kinds: Collection[StreamKind] = (StreamKind.RUN,)
    leaves: str | None = None
    in_order: bool = False

    def __init__(self, store: PgEventStore) -> None:
        self._store = store

    async def next(self, loaded: LoadedJob, after: UUID | None, limit: int) -> list[UUID]:
        """The ids that follow one, in order."""
        every = msgspec.structs.replace(loaded.state.requested.filter, include_recovered=True)
        return await oldest_selected(
            self._store, loaded.tenant_id, every, (), after=after, before=loaded.id, limit=limit
        )

    async def do(self, loaded: LoadedJob, batch: Sequence[UUID]) -> list[Outcome]:
        """Read each anew; a repeat finds the same."""
        await reread(self._store.pool, loaded.tenant_id, batch)
        return [None] * len(batch)


class _OfHeldRequests:
    """Takes the held requests of a zap in the order of their arrival."""

    read_models: Sequence[str] = ("request_list",)
    stream_kinds: Collection[StreamKind] = tuple(REQUESTS)
    in_order: bool = False

    def __init__(self, store: PgEventStore, new_id: NewId) -> None:
        self._store = store
        self._new_id = new_id

    async def next(self, loaded: LoadedJob, after: UUID | None, limit: int) -> list[UUID]:
        return await oldest_held(
            self._store.pool, loaded.tenant_id, _zap_of(loaded), after=after, before=loaded.id, limit=limit
        )

    async def _held(self, loaded: LoadedJob, request_id: UUID) -> LoadedRequest:
        for aggregate in REQUESTS.values():
            kept = await load(self._store, aggregate, request_id)
            if kept is not None and kept.tenant_id == loaded.tenant_id:
                return require_held(kept, _zap_of(loaded))
        raise NotFound("no such request")


class ReleaseRequests(_OfHeldRequests):
    """Starts the runs of held requests."""

    leaves: str | None = "zap.request.admitted"
    in_order: bool = True

    async def do(self, loaded: LoadedJob, batch: Sequence[UUID]) -> list[Outcome]:
        zap = await tried(self._zap(loaded))
        if isinstance(zap, Refused):
            return [zap] * len(batch)
        arrivals = await asyncio.gather(*[tried(self._arrival(loaded, zap, request_id)) for request_id in batch])
        if zap.hook.split is None:
            started = await asyncio.gather(*[self._start(arrival) for arrival in arrivals])
        else:
            # One request has many items: those of the next request come after them.
            started = [await self._start(arrival) for arrival in arrivals]
        await asyncio.gather(
            *[
                record_admitted(self._store, self._new_id, arrival, run, metadata_of(loaded))
                for arrival, run in zip(arrivals, started, strict=True)
                if isinstance(arrival, Arrival) and isinstance(run, Started)
            ]
        )
        for arrival, run in zip(arrivals, started, strict=True):
            if isinstance(arrival, Arrival) and isinstance(run, Started) and arrival.request.kept is not None:
                await hand_over(self._store.pool, arrival.request_id, run.run_id)
        return _outcomes(started)

    async def _zap(self, loaded: LoadedJob) -> LiveZap:
        return live_zap(existing(await load_of(self._store, ZAP, _zap_of(loaded), loaded.tenant_id)))

    async def _arrival(self, loaded: LoadedJob, zap: LiveZap, request_id: UUID) -> Arrival:
        held = await self._held(loaded, request_id)
        return arrival_of(
            held, zap, traceparent=decode_metadata(held.meta).traceparent, actor=metadata_of(loaded).actor
        )

    async def _start(self, arrival: Arrival | Refused) -> Started | Refused:
        return arrival if isinstance(arrival, Refused) else await tried(admit(self._store, self._new_id, arrival))


class DiscardRequests(_OfHeldRequests):
    """Discards held requests."""

    leaves: str | None = "zap.request.discarded"

    async def do(self, loaded: LoadedJob, batch: Sequence[UUID]) -> list[Outcome]:
        return _outcomes(await asyncio.gather(*[tried(self._discard(loaded, request_id)) for request_id in batch]))

    async def _discard(self, loaded: LoadedJob, request_id: UUID) -> None:
        await discard(self._store, self._new_id, await self._held(loaded, request_id), metadata_of(loaded))


def commands(store: PgEventStore, new_id: NewId) -> dict[JobKind, Bulk]:
    """The kinds of jobs that carry out a command on each run or request."""
    return {
        "replay": ReplayRuns(store, new_id),
        "cancel": CancelRuns(store, new_id),
        "release": ReleaseRequests(store, new_id),
        "discard": DiscardRequests(store, new_id),
        "search_keys": ReadSearchKeys(store),
    }


def metadata_of(loaded: LoadedJob) -> Metadata:
    """The actor who requested the job, and the job as the cause."""
    return Metadata(actor=decode_metadata(loaded.meta).actor, causation_id=loaded.first.event_id)


def _run_of(loaded: LoadedJob, events: Sequence[StoredEvent]) -> LoadedRun | Refused:
    try:
        run = fold(RUN, events)
    except (UnknownEvent, msgspec.DecodeError) as error:
        return Refused("failed", str(error))
    return run if run is not None and run.tenant_id == loaded.tenant_id else _GONE


def _zap_of(loaded: LoadedJob) -> UUID:
    zap_id = loaded.state.requested.filter.zap_id
    assert zap_id is not None, "held requests are always those of one zap"
    return zap_id


async def tried(work: Awaitable[T]) -> T | Refused:
    """The result. A refusal that concerns one run or request does not stop the job."""
    try:
        return await work
    except NothingToDo as error:
        return Refused("skipped", error.message)
    except DomainError as error:
        return Refused("failed", error.message)
    except (Contended, AppendRefused, UnknownEvent, msgspec.DecodeError) as error:
        return Refused("failed", str(error))


def _outcomes(results: Sequence[object]) -> list[Outcome]:
    return [result if isinstance(result, Refused) else None for result in results]
