"""The worker behind jobs: finds running jobs, and carries them out at the requested speed.

Any number of workers may run. A session lock lets one worker at a time work on a job. Should two do so all the same,
the version of the job's stream lets only one of them record, and nothing is done twice.
"""

import asyncio
from collections.abc import Collection
from uuid import UUID

import structlog

from consumers.connectors import catalogs
from consumers.credentials.variables import LookUp, none
from consumers.jobs.archives import OfArchive
from consumers.jobs.backtest import Backtest
from consumers.jobs.erasing import EraseSubject
from consumers.jobs.erasures import Erasures
from consumers.jobs.kinds import Bulk, commands
from consumers.jobs.pace import Pace
from consumers.jobs.payloads import Payloads
from consumers.jobs.retaining import Retain
from consumers.jobs.work import POLL_S, Room, Work
from consumers.rehearsal.rehearsal import Rehearsal
from consumers.rendering.rendering import Rendering
from consumers.runner.shares.slots import Slots
from domain.aggregates import JOB
from domain.connector.catalog import Catalog
from domain.job.job import MAX_RATE_PER_S, JobKind
from domain.log.ports import NewId, StoreUnavailable
from domain.log.stream import load
from domain.run.links import NO_LINKS, Links
from projections.engine.projection import BEING_BUILT
from projections.job_list import running_jobs
from sql.files.store import FileStore
from sql.log.event_store import PgEventStore
from sql.postgres.pool import CONNECTION_ERRORS, Connection, connect
from sql.postgres.queries import Queries
from sql.process.clock import now
from sql.process.patience import rest
from sql.process.sharing import Shared
from sql.tables.connectors import ConnectorTables

log = structlog.get_logger()
_queries = Queries("queries/jobs.sql")

MAX_AT_ONCE = 200
"""Jobs that one worker carries out at a time. Of them a tenant has at most as many as there is room for more."""
BATCHES = 2
"""Batches of all jobs that are in memory at once. Tenants take turns, however many jobs one has."""
_ANSWER_S = 10.0
_OUTAGES = (*CONNECTION_ERRORS, StoreUnavailable, *BEING_BUILT)


class JobWorker:
    """Works on jobs of all tenants until it is stopped, through outages of the database."""

    def __init__(
        self,
        store: PgEventStore,
        dsn: str,
        new_id: NewId,
        catalog: Catalog,
        links: Links = NO_LINKS,
        *,
        variables: LookUp = none,
        archive: str = "",
        files: FileStore | None = None,
    ) -> None:
        self._store = store
        self._dsn = dsn
        self._new_id = new_id
        self._rendering = Rendering()
        slots = Slots(BATCHES, BATCHES)
        shelves = catalogs(catalog, ConnectorTables(store.pool))
        rehearsal = Rehearsal(
            shelves, self._rendering, clock=now, new_id=new_id, slots=slots, links=links, variables=variables
        )
        erasures = Erasures(store, new_id, files)
        self._bulks: dict[JobKind, Bulk] = {
            **commands(store, new_id),
            "backtest": Backtest(store, rehearsal),
            "import": OfArchive("import", store, archive),
            "check": OfArchive("check", store, archive),
            "erase": EraseSubject(store, new_id, erasures, archive),
            "retain": Retain(store, Payloads(store, erasures, now), archive, now),
        }
        self._room = Room(Shared(range(BATCHES)), Shared(range(1)), Shared([Pace(MAX_RATE_PER_S)]))

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`."""
        try:
            await self._work_through_outages(stop)
        finally:
            await self._rendering.aclose()

    async def _work_through_outages(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                connection = await connect(self._dsn, "jobs")
                try:
                    await self._work(connection, stop)
                finally:
                    connection.terminate()
            except BEING_BUILT:
                log.info("jobs.list_being_built")
                await rest(stop, POLL_S)
            except _OUTAGES as error:
                log.warning("jobs.store_unavailable", error=repr(error))
                await rest(stop, POLL_S)

    async def _work(self, connection: Connection, stop: asyncio.Event) -> None:
        """Carry out the jobs whose locks this connection holds, until the connection is lost."""
        working: dict[UUID, asyncio.Task[None]] = {}
        tenants: dict[UUID, UUID] = {}
        try:
            while not stop.is_set():
                for job_id in [job_id for job_id, task in working.items() if task.done()]:
                    del working[job_id], tenants[job_id]
                    await connection.execute(_queries["give_back"], job_id, timeout=_ANSWER_S)
                for job_id, tenant_id in await running_jobs(self._store.pool):
                    if job_id in working or not _has_room(tenants.values(), tenant_id):
                        continue
                    if await connection.fetchval(_queries["try_take"], job_id, timeout=_ANSWER_S):
                        working[job_id] = asyncio.create_task(self._carry_out(job_id, stop), name=f"job {job_id}")
                        tenants[job_id] = tenant_id
                await rest(stop, POLL_S)
            if working:
                await asyncio.wait(working.values())
        finally:
            for task in working.values():
                task.cancel()
            await asyncio.gather(*working.values(), return_exceptions=True)

    async def _carry_out(self, job_id: UUID, stop: asyncio.Event) -> None:
        """Work on a job. After an outage it goes on from the recorded progress."""
        try:
            loaded = await load(self._store, JOB, job_id)
            # The list of jobs lags behind the log a little: this one may have ended.
            if loaded is not None and loaded.state.status == "running":
                await Work(self._store, self._new_id, self._bulks, self._room, loaded).run(stop)
        except _OUTAGES as error:
            log.warning("job.interrupted", job_id=str(job_id), error=repr(error))
        except Exception:
            # A bug that stops one job must not stop the others.
            log.exception("job.broken", job_id=str(job_id))


def _has_room(tenants: Collection[UUID], tenant_id: UUID) -> bool:
    """Whether a tenant may have one more job at work beside those of these tenants, of which each stands for a job."""
    return sum(tenant == tenant_id for tenant in tenants) < MAX_AT_ONCE - len(tenants)
