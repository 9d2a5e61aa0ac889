"""Commands on runs, and whole runs to read. A run that has ended never changes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec

from domain.aggregates import RUN, ZAP
from domain.log.errors import DomainError, NotFound
from domain.log.event import Appended, Metadata
from domain.log.ports import NewId, StoreUnavailable
from domain.log.stream import handle, load_of
from domain.run.decide import stop
from domain.run.replay import Replay, replay_append
from domain.run.state import LoadedRun
from domain.zap.zap import existing
from projections import run_reading
from projections.run_detail import RunDetail
from projections.run_tree import Versions, place
from sql.log.event_store import PgEventStore
from sql.log.forgetting import is_forgotten
from sql.process.sharing import Crowded, Shared

READERS, MOST_WAITING = 2, 50
"""Whole runs that are read at once, as each may take a tenth of a second; of a tenant so many reads wait."""


class TooManyReads(DomainError, code="busy"):
    """A tenant reads more runs at once than can wait."""

    retry_after_s = 1


class Runs:
    """Runs of all tenants. Every method takes the tenant, and raises NotFound for a run of another one.

    The metadata names the actor.
    """

    def __init__(self, store: PgEventStore, new_id: NewId) -> None:
        self._store = store
        self._new_id = new_id
        self._versions = Versions(store)
        self._readers = Shared(range(READERS), MOST_WAITING)

    @asynccontextmanager
    async def turn(self, tenant_id: UUID) -> AsyncIterator[None]:
        """For who reads a whole run, which may be of tens of megabytes. Raises TooManyReads."""
        try:
            async with self._readers.one(tenant_id):
                yield
        except Crowded:
            raise TooManyReads("this account reads too many runs at once: try again in a second") from None

    async def load(self, tenant_id: UUID, run_id: UUID) -> LoadedRun:
        """The run as it is now. Raises NotFound."""
        return await load_of(self._store, RUN, run_id, tenant_id)

    async def detail(self, tenant_id: UUID, run_id: UUID) -> RunDetail:
        """The run detail as people see it now: with all steps of its version, without secrets.

        Raises NotFound and TooManyReads.
        """
        async with self.turn(tenant_id):
            detail = await run_reading.get(self._store, tenant_id, run_id)
            if detail is None:
                raise NotFound("no such run")
            definition = await self._versions.get(detail.zap_id, detail.zap_version)
            if definition is not None:
                place(detail, definition)
            return run_reading.redacted(detail)

    async def cancel(self, tenant_id: UUID, run_id: UUID, metadata: Metadata) -> None:
        """Stop a run. Raises NotFound, NothingToDo when it has ended in another way, and Contended."""
        run = await self.load(tenant_id, run_id)
        await handle(self._store, self._new_id, run, stop, msgspec.structs.replace(metadata, correlation_id=run.id))

    async def replay(self, tenant_id: UUID, run_id: UUID, wish: Replay, metadata: Metadata) -> tuple[UUID, int]:
        """A new run of the same request, linked to the old one. Gives its id and position.

        Raises NotFound and WrongStatus.
        """
        run = await self.load(tenant_id, run_id)
        zap = existing(await load_of(self._store, ZAP, run.state.requested.zap_id, tenant_id))
        is_gone = await is_forgotten(self._store.pool, run.first.position)
        if is_gone:
            run = await self.load(tenant_id, run_id)  # without what it still had when it was loaded first
        append = replay_append(run, zap.state, wish, is_gone=is_gone, new_id=self._new_id, metadata=metadata)
        result = await self._store.append(append)
        if not isinstance(result, Appended):
            raise StoreUnavailable("the run was erased meanwhile: ask again")
        return append.stream_id, result.position
