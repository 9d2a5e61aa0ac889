"""A broker for all tests here: the embedded one, or Apache Kafka (see tests/support/broker.py)."""

from collections.abc import AsyncIterator

import pytest

from tests.support.broker import Broker, running_broker


@pytest.fixture(scope="session")
async def broker() -> AsyncIterator[Broker]:
    """A running broker."""
    async with running_broker() as broker:
        yield broker
