"""An application whose read models follow the log when a test says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import httpx

from domain.log.event import StreamKind
from domain.run.events import RunFailed
from projections.engine.engine import Engine, GateMoved
from projections.engine.registry import PROJECTIONS
from sql.log.event_store import PgEventStore
from sql.postgres.pool import Connection, connect
from sql.process.clock import new_id
from tests.support import postgres
from tests.support.api import Person, running_api
from tests.support.meanwhile import meanwhile
from tests.support.projected import PARTITIONS, append, batch_of, note_sent, requested
from tests.support.stores import patient_store


class World:
    """An application whose read models follow when they are told to."""

    def __init__(self, api: httpx.AsyncClient, store: PgEventStore, engine: Engine, connection: Connection) -> None:
        self.api = api
        self.store = store
        self._engine = engine
        self._connection = connection
        self._taken = 0

    @property
    def dsn(self) -> str:
        """Its database."""
        return self.store.dsn

    async def project(self) -> None:
        """Bring the read models up to the log."""
        while events := await self.store.read_log(self._taken, 5_000):
            await note_sent(self._connection, events)
            try:
                await self._engine.apply(batch_of(events))
            except GateMoved:  # whoever followed was cut off, and did not learn that a batch was stored
                await self._engine.gates(range(PARTITIONS))
                continue
            self._taken = events[-1].position

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Meanwhile the read models follow by themselves."""

        async def follow() -> None:
            while True:
                await self.project()
                await asyncio.sleep(0.01)

        async with meanwhile(follow()):
            yield

    async def fail(self, person: Person, zap_id: str, count: int = 1, code: str = "http_503") -> None:
        """Runs of a zap fail."""
        zap, tenant = UUID(zap_id), UUID(person.id)
        for _ in range(count):
            run_id = new_id()
            failed = RunFailed(zap_id=zap, step_id="echo", code=code, message="no answer")
            await append(self.store, run_id, requested(zap), failed, tenant_id=tenant, key=run_id)
        await self.project()

    async def record(
        self, person: Person, stream_id: UUID, key: str, *events: Any, kind: StreamKind = StreamKind.CORE
    ) -> None:
        """Something happens to a thing of somebody's."""
        await append(self.store, stream_id, *events, tenant_id=UUID(person.id), key=UUID(key), kind=kind)
        await self.project()


@asynccontextmanager
async def running_world(postgres_server: str, **changes: Any) -> AsyncIterator[World]:
    """One on a database of its own; `changes` of its services."""
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(postgres.cloned_database(postgres_server, built=True))
        engine = await stack.enter_async_context(Engine(dsn, PROJECTIONS, PARTITIONS))
        await engine.start()
        store = await stack.enter_async_context(patient_store(dsn))
        connection = await connect(dsn, "test")
        stack.push_async_callback(connection.close)
        yield World(await stack.enter_async_context(running_api(dsn, **changes)), store, engine, connection)
