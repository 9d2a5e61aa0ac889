"""What jobs do to their runs and requests, batch by batch: the commands on single ones, many at a time."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Literal, Protocol, TypeAlias, TypeVar
from uuid import UUID

import msgspec

from app.intake_runs import Arrival, Started
from app.jobs import LoadedJob
from app.requests import Requests
from app.runs import PreparedReplay, Replay, Runs, WentOn
from domain import job
from domain.errors import DomainError, NothingToDo
from domain.event import Metadata
from domain.job import JobKind, RunJobKind
from domain.ports import AppendRefused
from domain.registry import UnknownEvent
from projections.request_list import oldest_held
from projections.run_list import oldest_runs
from sql.pool import Pool

T = TypeVar("T")


class Refused(msgspec.Struct, frozen=True):
    """What could not be done to one of them, or need not be, and why."""

    counts_as: Literal["skipped", "failed"]
    problem: str


Outcome: TypeAlias = Refused | None
"""What became of one of them; None where it is done."""


class Bulk(Protocol):
    """One kind of job. Whatever is done twice has its effect once."""

    read_model: str
    """What tells which are next."""

    async def next(self, loaded: LoadedJob, after: UUID | None, limit: int) -> list[UUID]:
        """The ids of those that follow one, in order."""

    async def do(self, loaded: LoadedJob, batch: Sequence[UUID]) -> list[Outcome]:
        """Do it to each."""


class _OfRuns:
    """Takes the runs that the run list shows, oldest first."""

    read_model = "run_list"

    def __init__(self, kind: RunJobKind, pool: Pool, runs: Runs) -> None:
        self._kind = kind
        self._pool = pool
        self._runs = runs

    async def next(self, loaded: LoadedJob, after: UUID | None, limit: int) -> list[UUID]:
        selection = loaded.state.requested.filter
        return await oldest_runs(
            self._pool,
            loaded.tenant_id,
            selection,
            job.statuses(self._kind, selection),
            after=after,
            before=loaded.id,
            limit=limit,
        )


class ReplayRuns(_OfRuns):
    """Runs again what has ended."""

    def __init__(self, pool: Pool, runs: Runs) -> None:
        super().__init__("replay", pool, runs)

    async def do(self, loaded: LoadedJob, batch: Sequence[UUID]) -> list[Outcome]:
        """In two goes, so that the new runs are stored in the order of the old ones."""
        requested = loaded.state.requested
        wish = Replay(from_step=requested.from_step, version=requested.version, job_id=loaded.id)
        prepared = await asyncio.gather(
            *[_tried(self._runs.prepare(loaded.tenant_id, run_id, wish, _metadata(loaded))) for run_id in batch]
        )
        return _outcomes(await asyncio.gather(*[self._start(replay) for replay in prepared]))

    async def _start(self, replay: PreparedReplay | Refused) -> object:
        return replay if isinstance(replay, Refused) else await _tried(self._runs.start(replay))


class CancelRuns(_OfRuns):
    """Ends what has not ended."""

    def __init__(self, pool: Pool, runs: Runs) -> None:
        super().__init__("cancel", pool, runs)

    async def do(self, loaded: LoadedJob, batch: Sequence[UUID]) -> list[Outcome]:
        metadata = _metadata(loaded)
        return _outcomes(
            await asyncio.gather(*[_tried(self._runs.cancel(loaded.tenant_id, run_id, metadata)) for run_id in batch])
        )


class _OfHeldRequests:
    """Takes the held requests of a zap in the order of their arrival."""

    read_model = "request_list"

    def __init__(self, pool: Pool, requests: Requests) -> None:
        self._pool = pool
        self._requests = requests

    async def next(self, loaded: LoadedJob, after: UUID | None, limit: int) -> list[UUID]:
        return await oldest_held(
            self._pool, loaded.tenant_id, _zap_of(loaded), after=after, before=loaded.id, limit=limit
        )


class ReleaseRequests(_OfHeldRequests):
    """Starts their runs."""

    async def do(self, loaded: LoadedJob, batch: Sequence[UUID]) -> list[Outcome]:
        metadata, zap_id = _metadata(loaded), _zap_of(loaded)
        zap = await _tried(self._requests.live_zap(loaded.tenant_id, zap_id))
        if isinstance(zap, Refused):
            return [zap] * len(batch)
        arrivals = await asyncio.gather(
            *[_tried(self._requests.held(zap, zap_id, request_id, metadata)) for request_id in batch]
        )
        if zap.hook.split is None:
            started = await asyncio.gather(*[self._start(arrival) for arrival in arrivals])
        else:
            # The items of a request are many: those of the next one come after them.
            started = [await self._start(arrival) for arrival in arrivals]
        await asyncio.gather(
            *[
                self._requests.record(arrival, run, metadata)
                for arrival, run in zip(arrivals, started, strict=True)
                if isinstance(arrival, Arrival) and isinstance(run, Started)
            ]
        )
        return _outcomes(started)

    async def _start(self, arrival: Arrival | Refused) -> Started | Refused:
        return arrival if isinstance(arrival, Refused) else await _tried(self._requests.start(arrival))


class DiscardRequests(_OfHeldRequests):
    """Gives them up."""

    async def do(self, loaded: LoadedJob, batch: Sequence[UUID]) -> list[Outcome]:
        metadata, zap_id = _metadata(loaded), _zap_of(loaded)
        return _outcomes(
            await asyncio.gather(
                *[
                    _tried(self._requests.discard(loaded.tenant_id, zap_id, request_id, metadata))
                    for request_id in batch
                ]
            )
        )


def bulks(pool: Pool, runs: Runs, requests: Requests) -> dict[JobKind, Bulk]:
    """All kinds of jobs."""
    return {
        "replay": ReplayRuns(pool, runs),
        "cancel": CancelRuns(pool, runs),
        "release": ReleaseRequests(pool, requests),
        "discard": DiscardRequests(pool, requests),
    }


def _metadata(loaded: LoadedJob) -> Metadata:
    """Who wanted it, and the job that does it."""
    return Metadata(actor=loaded.actor, causation_id=loaded.request_id)


def _zap_of(loaded: LoadedJob) -> UUID:
    zap_id = loaded.state.requested.filter.zap_id
    assert zap_id is not None, "held requests are always those of one zap"
    return zap_id


async def _tried(work: Awaitable[T]) -> T | Refused:
    """The result; a refusal that is one's own affair does not stop the job."""
    try:
        return await work
    except NothingToDo as error:
        return Refused("skipped", error.message)
    except DomainError as error:
        return Refused("failed", error.message)
    except (WentOn, AppendRefused, UnknownEvent, msgspec.DecodeError) as error:
        return Refused("failed", str(error))


def _outcomes(results: Sequence[object]) -> list[Outcome]:
    return [result if isinstance(result, Refused) else None for result in results]
