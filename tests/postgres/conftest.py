"""A log whose zaps fail, for all tests of what looks after that; each test has zaps of its own."""

from collections.abc import AsyncIterator

import pytest

from consumers.notifier.notifier import Notifier
from tests.support import postgres
from tests.support.failing import FailingHouse, failing_house


@pytest.fixture(scope="session")
async def shared_house(postgres_server: str) -> AsyncIterator[FailingHouse]:
    """One database, with read models, a webhook and a mail server."""
    async with postgres.cloned_database(postgres_server) as dsn, failing_house(dsn) as house:
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
