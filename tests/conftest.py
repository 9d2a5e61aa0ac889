"""Fixtures that every layer of tests may use, and the order in which tests run."""

import gc
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support import postgres

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

    from tests.support.rig import Rig
    from tests.support.system import System

PARTS = {
    "tests/kafka/": "waiting",
    "tests/kafka/test_canary.py": "deployed",
    "tests/kafka/test_deployment.py": "deployed",
    "tests/kafka/test_memory.py": "deployed",
    "tests/kafka/test_security.py": "deployed",
    "tests/kafka/test_tokens.py": "deployed",
    "tests/kafka/test_topics.py": "deployed",
    "tests/kafka/test_relay.py::test_a_standby_takes_over_within_five_seconds_of_a_kill": "alone",
    "tests/contract/test_generated_clients.py": "long",
    "tests/http/test_fuzz.py": "long",
    "tests/e2e/": "long",
    "tests/e2e/test_cli.py": "",
    "tests/e2e/test_intake.py": "alone",
    "tests/e2e/test_spine.py": "crowded",
    "tests/e2e/test_supervisor.py": "waiting",
    "tests/browser/": "browser",
    "tests/faults/": "broken",
    "tests/faults/test_fair_shares.py": "alone",
    "tests/soak/": "alone",
}
"""Which tests belong together; the longest name counts, and no part is none.

waiting: they mostly wait for servers and processes, so one process works through them while others do the rest.
deployed: they wait, too, for processes of a deployment or for a scheduler; a second one works through them.
long: each runs other programs for seconds, whatever goes on beside it; another process works through them.
broken: one system that is broken again and again; a third process works through them, as others can be busy meanwhile.
browser: one system and one browser for all pages.
crowded: a system of its own that takes all it can get, while those that wait leave it some.
alone: a whole system under load, or how long something takes. They come last, with nothing beside them.
"""

ORDER = {"waiting": 0, "deployed": 0, "long": 1, "broken": 1, "browser": 1, "crowded": 1, "alone": 3}
"""Any other test is 2."""

STARTED = {"browser": "system", "broken": "rig", "long": "shared_system"}
"""The fixture with the processes of a part. They end with it: idle ones take time from what comes after."""

# How fast this machine is says nothing about the code.
settings.register_profile("triggerhub", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("triggerhub")

# What is loaded here stays to the end: the collector need not look through it again and again.
gc.disable()


def pytest_collection_finish() -> None:
    """All modules are loaded, and what they made is not looked at again."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After pytest-randomly has shuffled them."""
    items.sort(key=lambda item: ORDER.get(_part(item.nodeid), 2))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Behind the last test of a part its processes end."""
    part = _part(item.nodeid)
    if isinstance(item, pytest.Function) and nextitem and _part(nextitem.nodeid) != part and part in STARTED:
        for started in item.session._fixturemanager.getfixturedefs(STARTED[part], item) or ():
            started.finish(item._request)  # type: ignore[arg-type]  # for hooks, which look at its node


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "LoadScopeScheduling":
    """With `-n`: a part is done by one process, any other test by whichever is free."""
    from xdist.scheduler import LoadScopeScheduling

    class InParts(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _part(nodeid)

    config.option.loadscopereorder = False
    return InParts(config, log)


def _part(nodeid: str) -> str:
    names = [name for name in PARTS if nodeid.startswith(name)]
    return (PARTS[max(names, key=len)] if names else "") or nodeid


@pytest.fixture(scope="session")
async def postgres_server() -> AsyncIterator[str]:
    """A Postgres server for the whole session."""
    async with postgres.server() as dsn:
        yield dsn


@pytest.fixture
async def dsn(postgres_server: str, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A migrated, empty database for one test, with read models where the test asks for those."""
    async with postgres.cloned_database(postgres_server, built="read_models" in request.fixturenames) as dsn:
        yield dsn


@pytest.fixture
def read_models() -> None:
    """Whoever asks for this finds the read models built in `dsn`: a second template has them."""


@pytest.fixture(scope="session")
async def shared_system() -> AsyncIterator["System"]:
    """A running `up` for tests that look only at what their own users have: each signs up anew."""
    from tests.support.system import running_system

    async with running_system() as system:
        yield system


@pytest.fixture(scope="session")
async def rig() -> AsyncIterator["Rig"]:
    """A whole system to do harm to; one for all, as it takes seconds to start. It is whole again after each test."""
    from tests.support.rig import running_rig

    async with running_rig() as rig:
        yield rig


def pytest_addoption(parser: pytest.Parser) -> None:
    """For tests that compare with files of the repository."""
    parser.addoption("--write-golden", action="store_true", help="write such files anew instead of comparing")
