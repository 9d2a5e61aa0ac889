"""Fixtures that every layer of tests may use, and the order in which tests run."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support import postgres

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

ALONE = (
    "tests/kafka/",
    "tests/e2e/",
    "tests/faults/",
    "tests/soak/",
    "tests/http/test_deliveries.py::test_fifty_bodies_at_the_limit_do_not_blow_memory",
    "tests/postgres/test_append_chaos.py",
    "tests/postgres/test_embedded.py",
    "tests/postgres/test_event_store_outages.py",
)
"""Tests that start or kill processes, or measure how long something takes: they run last, with nothing beside them."""

# How fast this machine is says nothing about the code.
settings.register_profile("triggerhub", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("triggerhub")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After pytest-randomly has shuffled them."""
    items.sort(key=lambda item: item.nodeid.startswith(ALONE))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> "LoadScopeScheduling":
    """With `-n`: each test to whichever process is free; in the end those of ALONE, all in one process."""
    from xdist.scheduler import LoadScopeScheduling

    class AloneLast(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "alone" if nodeid.startswith(ALONE) else nodeid

    config.option.loadscopereorder = False
    return AloneLast(config)


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
