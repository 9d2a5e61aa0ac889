"""The guide works, and the demo: pages are pasted into a shell beside a running TriggerHub, and answer as they show."""

import asyncio
import re
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.config.data_dir import free_ports
from app.http.docs.guides import ORDER
from tests.support.guide import answers, blocks, differs, script, wrong
from tests.support.system import System

README = Path(__file__).parents[2] / "README.md"
SETUP = next(block for block in blocks("first-zap") if block.note == "setup")
NOT_RUN = {"operating": 1}
"""How many blocks of a page no test can run; each says why."""


@pytest.fixture
def system(shared_system: System) -> System:
    return shared_system


@pytest.mark.parametrize("page", ORDER)
async def test_a_page_answers_as_it_shows(system: System, page: str) -> None:
    parts = [SETUP, *(block for block in blocks(page) if block.runs and block != SETUP)]
    printed = await _pasted(system, script(parts, system.base, next(free_ports())))
    assert len(printed) == len(parts)
    found = {part.text: wrong(part, answer) for part, answer in zip(parts, printed, strict=True)}
    assert {text: what for text, what in found.items() if what} == {}


def test_nearly_all_blocks_run_and_the_others_say_why_not() -> None:
    not_run = {page: [block for block in blocks(page) if not block.runs] for page in ORDER}
    assert {page: len(found) for page, found in not_run.items() if found} == NOT_RUN
    assert all(block.note.startswith("not-run: ") for found in not_run.values() for block in found)
    assert sum(len(blocks(page)) for page in ORDER) >= 25


async def test_the_first_zap_of_the_readme_works(system: System) -> None:
    (part,) = blocks(README)
    printed = await _pasted(system, script([part], system.base, next(free_ports())))
    assert '"status": "completed"' in printed[0]
    assert '"to": "grace@example.com"' in printed[0]


async def test_the_demo_shows_a_run_and_commands_to_repeat_it(system: System) -> None:
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


def test_an_answer_that_lacks_what_is_shown_is_noticed() -> None:
    assert differs({"a": [1, {"b": "…"}]}, {"a": [1, {"b": 2, "c": 3}], "d": 4}) == ""
    for other in ({"a": [1]}, {"a": [1, {}]}, {"a": [2, {"b": 2}]}, {}, None):
        assert differs({"a": [1, {"b": "…"}]}, other)


async def _pasted(system: System, text: str) -> list[str]:
    """What a shell prints, by block."""
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", text, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=system.data
    )
    async with asyncio.timeout(150):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode() + output.decode()[-2_000:]
    return answers(output.decode())


async def _curl(command: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(*shlex.split(command), stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return msgspec.json.decode(output, type=dict[str, Any])
