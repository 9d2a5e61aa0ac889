"""Fixtures that every layer of tests may use."""

from collections.abc import AsyncIterator

import pytest

from tests.support import postgres


@pytest.fixture(scope="session")
async def postgres_server() -> AsyncIterator[str]:
    """A Postgres server for the whole session."""
    async with postgres.server() as dsn:
        yield dsn


@pytest.fixture
async def dsn(postgres_server: str) -> AsyncIterator[str]:
    """A migrated, empty database for one test."""
    async with postgres.cloned_database(postgres_server) as dsn:
        yield dsn
