"""The application and people who use it. A test that asks for `dsn` gets them on a database of its own."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support import postgres
from tests.support.api import Person, running_api, sign_up


@pytest.fixture(scope="session")
async def shared_api(postgres_server: str) -> AsyncIterator[httpx.AsyncClient]:
    """One application for all tests that look only at what their own users have."""
    async with postgres.cloned_database(postgres_server) as dsn, running_api(dsn) as client:
        yield client


@pytest.fixture
def own_dsn(request: pytest.FixtureRequest) -> str | None:
    """The database of a test that asks for one."""
    return request.getfixturevalue("dsn") if "dsn" in request.fixturenames else None


@pytest.fixture
async def api(own_dsn: str | None, shared_api: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application."""
    if own_dsn is None:
        yield shared_api
        return
    async with running_api(own_dsn) as client:
        yield client


@pytest.fixture
async def ada(api: httpx.AsyncClient) -> Person:
    """Somebody with an account."""
    return await sign_up(api, name="Ada")


@pytest.fixture
async def bob(api: httpx.AsyncClient) -> Person:
    """Somebody else."""
    return await sign_up(api, name="Bob")
