"""Erasure: payloads of a run, or of all runs that carry one person's data, are taken out of log and read models."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from uuid import UUID

import msgspec

from domain.aggregates import REQUESTS, RUN
from domain.erasure.forgetting import subject_key, subject_of
from domain.intake.admission import discard
from domain.intake.events import RequestRejected
from domain.log.errors import LimitReached, NotFound, NothingToDo, WrongStatus
from domain.log.event import Metadata, StoredEvent, StreamKind
from domain.log.ports import NewId
from domain.log.stream import fold, load
from domain.registry import decode
from domain.run.state import EndedRun
from projections.engine.freshness import held_up_to
from projections.request_list import kept_whole, request_of
from projections.run_keys import of_subject, settings_of, subject_secret
from projections.run_list import family, with_items
from projections.zap_list import zaps_of
from sql.files.store import FileStore
from sql.log.event_store import PgEventStore
from sql.log.forgetting import AlreadyForgotten, Of, forget, forget_request, is_forgotten
from sql.process.clock import now
from sql.tables.backtests import Backtests

AT_ONCE = 500
"""Runs that are looked up at once."""
MOST_RUNS = 10_000
"""Runs that one erasure takes together: a run with its items and replays."""


class _Parent(msgspec.Struct):
    run_id: UUID


class _Origin(msgspec.Struct):
    """The run that a run comes of, if any."""

    replay_of: UUID | None = None
    parent: _Parent | None = None


_origin = msgspec.json.Decoder(_Origin)


class Erased(msgspec.Struct, frozen=True):
    """How many runs were forgotten now, and the position that says so of the last one; 0 where all were before."""

    runs: int
    position: int


class SubjectErased(msgspec.Struct, frozen=True):
    """The runs of a subject, `count` with all that came of them, and those that have not ended."""

    runs: list[UUID]
    under_way: list[UUID]
    count: int


class RequestsErased(msgspec.Struct, frozen=True):
    """How many requests were forgotten, and those that were released meanwhile: a repeat finds their runs."""

    count: int
    released: list[UUID]


class Erasures:
    """Every method takes the tenant, and raises NotFound for what is another one's."""

    def __init__(self, store: PgEventStore, new_id: NewId, files: FileStore | None = None) -> None:
        self._store = store
        self._new_id = new_id
        self._files = files or FileStore(store.pool, now, new_id)
        self._backtests = Backtests(store.pool)

    async def erase_run(self, tenant_id: UUID, run_id: UUID, metadata: Metadata) -> Erased:
        """Forget a run, with the items of its loops, the runs that it called and its replays.

        Raises NotFound, LimitReached, and WrongStatus where one of them has not ended: nothing is forgotten then,
        unless that one has only just begun.
        """
        listed = await held_up_to(self._store.pool, "run_list")
        runs = await family(self._store.pool, tenant_id, run_id, MOST_RUNS + 1)
        erased, late = Erased(0, 0), [*runs, *await self._begun_since(listed, tenant_id, runs)]
        while late:  # what is forgotten is carried on by none, but some may have begun since these were looked up
            if len(late) > MOST_RUNS:
                raise LimitReached(f"more than {MOST_RUNS:,} runs come of this one: erase its items and replays first")
            now_erased = await self._erase(tenant_id, run_id, late, metadata)
            erased = Erased(erased.runs + now_erased.runs, now_erased.position or erased.position)
            runs += late
            late = await self._begun_since(listed, tenant_id, runs)
        return erased

    async def _begun_since(self, position: int, tenant_id: UUID, runs: Sequence[UUID]) -> list[UUID]:
        """Others that hold something of these runs, and of which the log tells after a position."""
        known, found = set(runs), list[UUID]()
        async for page in self._store.iterate_log(position, await self._store.head()):
            for event in page:
                if (event.type, event.tenant_id) != (RUN.first, tenant_id) or event.stream_id in known:
                    continue
                origin = _origin.decode(event.data)
                if not known.isdisjoint((origin.replay_of, origin.parent and origin.parent.run_id)):
                    known.add(event.stream_id)
                    found.append(event.stream_id)
        return found

    async def erase_payloads(self, tenant_id: UUID, run_id: UUID, metadata: Metadata) -> int:
        """Forget a run and the items of its loops only, as their time is over. Gives how many runs that were.

        Raises likewise.
        """
        runs = await with_items(self._store.pool, tenant_id, run_id)
        return (await self._erase(tenant_id, run_id, runs, metadata)).runs

    async def _erase(self, tenant_id: UUID, run_id: UUID, runs: list[UUID], metadata: Metadata) -> Erased:
        await self._require_ended_parent(run_id)
        async for _ in self._ended(tenant_id, runs):
            pass  # all or none, as far as can be foreseen
        await self._files.forget_of(runs)  # first, so that whoever repeats what failed finds none left
        erased = Erased(0, 0)
        async for events in self._ended(tenant_id, runs):
            while not await is_forgotten(self._store.pool, events[0].position):
                with suppress(AlreadyForgotten):
                    erased = Erased(erased.runs + 1, await self._forget(events, metadata))
        return erased

    async def erase_subject(
        self, tenant_id: UUID, hashed: bytes, metadata: Metadata, *, only_count: bool = False
    ) -> SubjectErased:
        """Forget the runs that carry the data of a subject, in zaps whose settings say where that stands.

        `hashed`: the subject's keyed hash. `only_count`: leave them as they are. What archives have is left to
        `ArchivedRuns`.
        """
        runs: list[UUID] = []
        under_way: list[UUID] = []
        count = 0
        after, until = None, self._new_id()
        while found := await of_subject(self._store.pool, tenant_id, hashed, after=after, before=until, limit=AT_ONCE):
            for run_id in found:
                try:
                    count += 1 if only_count else (await self.erase_run(tenant_id, run_id, metadata)).runs
                    runs.append(run_id)
                except WrongStatus:
                    under_way.append(run_id)
            after = found[-1]
        return SubjectErased(runs, under_way, count)

    async def erase_requests(self, tenant_id: UUID, hashed: bytes, metadata: Metadata) -> RequestsErased:
        """Forget requests that were held or refused, became no run, and carry the data of a subject.

        No index knows whose they are: those of zaps whose settings say where that stands are looked through. What is
        held is discarded.
        """
        secret, count, released = await subject_secret(self._store.pool), 0, list[UUID]()
        for zap_id, path in (await self._subjects(tenant_id)).items():
            async for event, rejected in self._kept_whole(tenant_id, zap_id):
                assert rejected.request is not None, "it is kept whole"
                subject = await asyncio.to_thread(subject_of, rejected.request, path)
                if not subject or subject_key(secret, tenant_id, subject) != hashed:
                    continue
                try:
                    await self._forget_request(event, rejected, metadata)
                    count += 1
                except WrongStatus:
                    released.append(event.event_id)
        return RequestsErased(count, released)

    async def _subjects(self, tenant_id: UUID) -> dict[UUID, str]:
        """Where requests of a tenant's zaps say whose data they carry, of those that say so."""
        found: dict[UUID, str] = {}
        zap_ids = await zaps_of(self._store.pool, tenant_id)
        for start in range(0, len(zap_ids), AT_ONCE):
            async with self._store.pool.acquire() as connection:
                settings = await settings_of(connection, zap_ids[start : start + AT_ONCE])
            found |= {zap_id: one.subject for zap_id, one in settings.items() if one.subject}
        return found

    async def _kept_whole(self, tenant_id: UUID, zap_id: UUID) -> AsyncIterator[tuple[StoredEvent, RequestRejected]]:
        """One after the other, as each may have megabytes."""
        after = UUID(int=0)
        while rows := await kept_whole(self._store.pool, tenant_id, zap_id, after=after, limit=AT_ONCE):
            for request_id, position in rows:
                after = request_id
                for event in await self._store.read_log(position - 1, 1):
                    rejected = decode(event.type, event.schema_version, event.data)
                    if event.event_id == request_id and isinstance(rejected, RequestRejected) and rejected.request:
                        yield event, rejected

    async def _forget_request(self, event: StoredEvent, rejected: RequestRejected, metadata: Metadata) -> None:
        await self._settle(event, rejected, metadata)
        await self._files.forget_of([event.stream_id])
        of = Of(event.event_id, rejected.zap_id, event.tenant_id, event.ordering_key)
        with suppress(AlreadyForgotten):  # it is one event only
            await forget_request(self._store.pool, self._new_id, of, event, metadata, of_request=True)

    async def _settle(self, event: StoredEvent, rejected: RequestRejected, metadata: Metadata) -> None:
        """Nobody lets it in any more. Raises WrongStatus where somebody has meanwhile: then it has a run."""
        aggregate = REQUESTS[StreamKind(event.kind)]
        stream = await self._store.read_stream(aggregate.kind, event.event_id)
        kept = fold(aggregate, stream) if stream else None
        try:
            if stream and stream[-1].type == "zap.request.admitted":
                raise NothingToDo("it has a run")
            if kept and rejected.reason == "held" and not kept.state.settled:
                await discard(self._store, self._new_id, kept, metadata)
        except NothingToDo:
            raise WrongStatus(f"the request {event.event_id} was released meanwhile: ask again") from None

    async def _forget(self, events: list[StoredEvent], metadata: Metadata) -> int:
        run = fold(RUN, events)
        assert run is not None, "it was folded before"
        zap_id = run.state.requested.zap_id
        position = await request_of(self._store.pool, run.tenant_id, zap_id, run.id)
        request = (await self._store.read_log(position - 1, 1))[0] if position else None
        if request:
            await self._files.forget_of([request.stream_id])
        if request and await is_forgotten(self._store.pool, request.position):
            request = None
        position = await forget(self._store.pool, self._new_id, events, zap_id, metadata, request=request)
        await self._backtests.drop_erased([run.id])  # one under way may have put a result there meanwhile
        return position

    async def _require_ended_parent(self, run_id: UUID) -> None:
        """Raises WrongStatus where the run above still needs what this one came to."""
        run = await load(self._store, RUN, run_id)
        parent = run.state.requested.parent if run else None
        above = await load(self._store, RUN, parent.run_id) if parent else None
        if parent and above and not isinstance(above.state, EndedRun):
            raise WrongStatus(f"the run {parent.run_id}, which asked for this one, has not ended")

    async def _ended(self, tenant_id: UUID, runs: list[UUID]) -> AsyncIterator[list[StoredEvent]]:
        """The events of each run. Raises NotFound and WrongStatus."""
        for run_id in runs:
            events = await self._store.read_stream(StreamKind.RUN, run_id)
            run = fold(RUN, events)
            if run is None or run.tenant_id != tenant_id:
                raise NotFound("no such run")
            if not isinstance(run.state, EndedRun):
                raise WrongStatus(f"the run {run_id} has not ended: cancel it first, or wait for its end")
            yield events
