"""The demo: what stands in its way is said in one line. What it shows is tested with the guide."""

import socket

import pytest

from app.cli.demo import run
from app.config.errors import OperatorError
from app.config.settings import Settings
from tests.support.deployment import one_of_each


async def test_an_address_that_is_refused_comes_with_the_remedy(dsn: str) -> None:
    async with one_of_each(dsn, TRIGGERHUB_OUTBOUND_ALLOW="") as system:
        code, shown = await system.command("demo")
        assert code == 1
        assert "TRIGGERHUB_OUTBOUND_ALLOW=127.0.0.0/8" in shown
        assert "Traceback" not in shown


async def test_where_nothing_answers_it_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(OperatorError, match="triggerhub up"):
        await run(Settings(public_url=f"http://127.0.0.1:{port}"))
