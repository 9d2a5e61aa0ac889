"""The application and a person who uses it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.api import Person, running_api, sign_up


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, on a database of its own."""
    async with running_api(dsn) as client:
        yield client


@pytest.fixture
async def ada(api: httpx.AsyncClient) -> Person:
    """Somebody with an account."""
    return await sign_up(api, "ada@example.org", "Ada")


@pytest.fixture
async def bob(api: httpx.AsyncClient) -> Person:
    """Somebody else."""
    return await sign_up(api, "bob@example.org", "Bob")
