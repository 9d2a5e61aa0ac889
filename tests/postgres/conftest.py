"""What tests of the database share: a store, a connection and read models of their own, and a log whose zaps fail."""

from collections.abc import AsyncIterator

import pytest

from consumers.notifier.notifier import Notifier
from projections.engine.engine import Engine
from projections.engine.registry import PROJECTIONS
from sql.log.event_store import PgEventStore
from sql.postgres.pool import Connection, connect
from tests.support import postgres
from tests.support.failing import FailingHouse, failing_house
from tests.support.projected import PARTITIONS
from tests.support.stores import patient_store


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[PgEventStore]:
    """The test's own log."""
    async with patient_store(dsn) as opened:
        yield opened


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Connection]:
    """To look into the test's own database, and to break it."""
    opened = await connect(dsn, "test")
    yield opened
    await opened.close()


@pytest.fixture
async def engine(dsn: str, read_models: None) -> AsyncIterator[Engine]:
    """An engine whose read models are built, while the log is still empty."""
    async with Engine(dsn, PROJECTIONS, PARTITIONS) as started:
        await started.start()
        yield started


@pytest.fixture(scope="session")
async def shared_house(postgres_server: str) -> AsyncIterator[FailingHouse]:
    """One database, with read models, a webhook and a mail server."""
    async with postgres.cloned_database(postgres_server, built=True) as dsn, failing_house(dsn) as house:
        yield house


@pytest.fixture
async def house(shared_house: FailingHouse) -> AsyncIterator[FailingHouse]:
    """The same, with nothing left in it that another test would have to do with."""
    yield shared_house
    await shared_house.clear()


@pytest.fixture
def notifier(house: FailingHouse) -> Notifier:
    """A notifier that has seen nothing yet."""
    return house.notifier()
