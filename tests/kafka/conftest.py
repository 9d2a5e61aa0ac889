"""A broker for all tests here: the embedded one, or Apache Kafka (see tests/support/broker.py)."""

from collections.abc import AsyncIterator

import pytest

from tests.support.bench import Bench, at_work
from tests.support.broker import Broker, running_broker
from tests.support.postgres import cloned_database
from tests.support.sink import Sink, running_sink


@pytest.fixture(scope="session")
async def broker() -> AsyncIterator[Broker]:
    """A running broker."""
    async with running_broker() as broker:
        yield broker


@pytest.fixture(scope="module")
async def bench(postgres_server: str, broker: Broker) -> AsyncIterator[Bench]:
    """One for all tests of a file, as it takes seconds to join a group; each test has its own zaps and sink."""
    async with cloned_database(postgres_server) as dsn, at_work(dsn, broker) as bench:
        yield bench


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    """A target of a test's own."""
    async with running_sink() as sink:
        yield sink
