"""A worker that carries out jobs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from consumers.connectors import catalog
from consumers.jobs.worker import JobWorker
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id
from tests.support.meanwhile import until_stopped


@asynccontextmanager
async def job_worker(dsn: str, store: PgEventStore, archive: str = "") -> AsyncIterator[None]:
    """One, which is asked to stop at the end."""
    async with until_stopped(JobWorker(store, dsn, new_id, catalog(), archive=archive).run):
        yield
