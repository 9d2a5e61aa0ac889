"""A broker for all tests here; one that a test kills comes back empty."""

from collections.abc import AsyncIterator

import pytest

from tests.support.broker import Broker, running_broker


@pytest.fixture(scope="session")
async def broker() -> AsyncIterator[Broker]:
    """A running broker."""
    async with running_broker() as broker:
        yield broker
