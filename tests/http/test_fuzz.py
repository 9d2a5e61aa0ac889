"""The API as its document says it is: Schemathesis makes requests of all kinds, and holds every answer against it."""

import sys
from pathlib import Path

import httpx
import pytest

from tests.support.api import sign_up
from tests.support.served_api import run, served_api

SETTINGS = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_no_request_gets_an_answer_that_the_document_does_not_promise(dsn: str, tmp_path: Path) -> None:
    async with served_api(dsn) as url, httpx.AsyncClient(base_url=url) as api:
        # Not a session: one of the requests signs out.
        made = await (await sign_up(api))("POST", "/api-keys", json={"name": "x", "scopes": ["read", "write", "keys"]})
        code, written = await run(
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(SETTINGS), "--no-color", "run",
            f"{url}/schema/openapi.json", "--checks", "all", "--header", f"Authorization: Bearer {made.json()['key']}",
            "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "10", "--max-time", "50", "--seed", "1",
            "--continue-on-failure",
            cwd=tmp_path,
        )  # fmt: skip
    assert code == 0, written
