"""The demo: it shows a real run, its commands can be repeated, and what stands in its way is said in one line."""

import asyncio
import re
import shlex
import socket
from typing import Any

import msgspec
import pytest

from app.cli.demo import run
from app.config.errors import OperatorError
from app.config.settings import Settings
from tests.support.system import running_system


async def test_it_shows_a_run_and_commands_to_repeat_it() -> None:
    async with running_system() as system:
        code, shown = await system.command("demo")
        assert code == 0, shown
        assert "\x1b" not in shown
        for stage in ("published", "accepted", "delivered", "completed", "succeeded"):
            assert re.search(rf"^  {stage} ", shown, re.MULTILINE), shown
        assert '"commits": 2' in shown
        assert '"forced": false' in shown
        read, post = [line for line in shown.splitlines() if line.startswith("curl ")]
        assert (await _curl(read))["status"] == "completed"
        assert (await _curl(post))["status"] == "accepted"


async def test_an_address_that_is_refused_comes_with_the_remedy() -> None:
    async with running_system(TRIGGERHUB_OUTBOUND_ALLOW="") as system:
        code, shown = await system.command("demo")
        assert code == 1
        assert "TRIGGERHUB_OUTBOUND_ALLOW=127.0.0.0/8" in shown
        assert "Traceback" not in shown


async def test_where_nothing_answers_it_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(OperatorError, match="triggerhub up"):
        await run(Settings(public_url=f"http://127.0.0.1:{port}"))


async def _curl(command: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(*shlex.split(command), stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return msgspec.json.decode(output, type=dict[str, Any])
