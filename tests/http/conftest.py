"""The application and people who use it. A test that asks for `dsn` gets them on a database of its own."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from app.intake import live_zaps
from consumers.connectors import catalog
from consumers.outbound.addresses import parse_networks
from sql.log.event_store import PgEventStore
from tests.support.api import Person, running_api, sign_up
from tests.support.eventually import PATIENCE_S
from tests.support.world import World, running_world


@pytest.fixture(scope="session", autouse=True)
def patient() -> Iterator[None]:
    """Several tests share two cores, so to read a zap may take longer than a sender would be kept waiting."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(live_zaps, "LOAD_S", PATIENCE_S)
        yield


@pytest.fixture(scope="session")
async def shared_world(postgres_server: str) -> AsyncIterator[World]:
    """One application for all tests that look only at what their own users have."""
    async with running_world(postgres_server) as world:
        yield world


@pytest.fixture(scope="session")
async def calling_world(postgres_server: str) -> AsyncIterator[World]:
    """Another one, with all shipped connectors, whose requests reach servers of tests on this machine."""
    async with running_world(postgres_server, catalog=catalog(), outbound_allow=parse_networks("127.0.0.0/8")) as world:
        yield world


@pytest.fixture
def shared_dsn(shared_world: World) -> str:
    """Its database, for those who look there only for what their own users have."""
    return shared_world.dsn


@pytest.fixture
def shared_store(shared_world: World) -> PgEventStore:
    """The log of the same."""
    return shared_world.store


@pytest.fixture
def own_dsn(request: pytest.FixtureRequest) -> str | None:
    """The database of a test that asks for one."""
    return request.getfixturevalue("dsn") if "dsn" in request.fixturenames else None


@pytest.fixture
async def api(own_dsn: str | None, shared_world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application."""
    if own_dsn is None:
        yield shared_world.api
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
