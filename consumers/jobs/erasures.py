"""Erasure: payloads of a run, or of all runs that carry one person's data, are taken out of log and read models."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import msgspec

from domain.aggregates import RUN, ZAP
from domain.erasure.forgetting import same, subject_of
from domain.log.errors import LimitReached, NotFound, WrongStatus
from domain.log.event import Metadata, StoredEvent, StreamKind
from domain.log.ports import NewId
from domain.log.stream import fold, load
from domain.registry import decode
from domain.run.events import RunRequested
from domain.run.state import EndedRun
from projections.request_list import request_of
from projections.run_list import family, runs_after
from sql.files.store import FileStore
from sql.log.event_store import PgEventStore
from sql.log.forgetting import forget, is_forgotten
from sql.process.clock import now

EXAMINED = 1_000
"""Runs that one request looks at for a subject."""
MOST_RUNS = 10_000
"""Runs that one erasure takes together: a run with its items and replays."""


class Erased(msgspec.Struct, frozen=True):
    """How many runs were forgotten now, and the position that says so of the last one; 0 where all were before."""

    runs: int
    position: int


class SubjectErased(msgspec.Struct, frozen=True):
    """`examined` runs were looked at, and those of the subject forgotten. `under_way`: some that have not ended.

    With a `next_after` there are more to look at.
    """

    examined: int
    runs: int
    under_way: list[UUID]
    next_after: UUID | None


class Erasures:
    """Every method takes the tenant, and raises NotFound for what is another one's."""

    def __init__(self, store: PgEventStore, new_id: NewId, files: FileStore | None = None) -> None:
        self._store = store
        self._new_id = new_id
        self._files = files or FileStore(store.pool, now, new_id)

    async def erase_run(self, tenant_id: UUID, run_id: UUID, metadata: Metadata) -> Erased:
        """Forget a run, with the items of its loops, the runs that it called and its replays.

        Raises NotFound, LimitReached, and WrongStatus where one of them has not ended: nothing is forgotten then.
        """
        runs = await family(self._store.pool, tenant_id, run_id, MOST_RUNS + 1)
        if len(runs) > MOST_RUNS:
            raise LimitReached(f"more than {MOST_RUNS:,} runs come of this one: erase its items and replays first")
        await self._require_ended_parent(run_id)
        async for _ in self._ended(tenant_id, runs):
            pass  # all or none, as far as can be foreseen
        await self._files.forget_of(runs)  # first, so that whoever repeats what failed finds none left
        erased = Erased(0, 0)
        async for events in self._ended(tenant_id, runs):
            if not await is_forgotten(self._store.pool, events[0].position):
                erased = Erased(erased.runs + 1, await self._forget(events, metadata))
        return erased

    async def erase_subject(
        self, tenant_id: UUID, subject: str, after: UUID | None, metadata: Metadata, *, only_count: bool = False
    ) -> SubjectErased:
        """Forget the next runs that carry the data of a subject, in zaps whose settings say where that stands.

        `only_count`: look for them, and leave them as they are.
        """
        examined = await runs_after(self._store.pool, tenant_id, after or UUID(int=0), EXAMINED)
        paths = {zap_id: await self._path(tenant_id, zap_id) for zap_id in {zap_id for _, zap_id in examined}}
        erased, under_way = 0, []
        for run_id, zap_id in examined:
            path = paths[zap_id]
            if path is None or not await self._is_of(run_id, path, same(subject)):
                continue
            try:
                erased += 1 if only_count else (await self.erase_run(tenant_id, run_id, metadata)).runs
            except WrongStatus:
                under_way.append(run_id)
        more = len(examined) == EXAMINED
        return SubjectErased(len(examined), erased, under_way, examined[-1][0] if more else None)

    async def _path(self, tenant_id: UUID, zap_id: UUID) -> str | None:
        zap = await load(self._store, ZAP, zap_id)
        return zap.state.behaviour.subject if zap and zap.tenant_id == tenant_id else None

    async def _is_of(self, run_id: UUID, path: str, subject: str) -> bool:
        first, _more = await self._store.stream_page(StreamKind.RUN, run_id, 0, 1)
        if not first:
            return False
        requested = decode(first[0].type, first[0].schema_version, first[0].data)
        assert isinstance(requested, RunRequested)
        return await asyncio.to_thread(subject_of, requested.request, path) == subject

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
        return await forget(self._store.pool, self._new_id, events, zap_id, metadata, request=request)

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
