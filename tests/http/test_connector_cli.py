"""`triggerhub connector add` and `import`, against an API in a process of its own."""

import asyncio
import json
import os
import subprocess
from pathlib import Path

import httpx

from tests.support.forked_cli import forked
from tests.support.served_api import served_api
from tests.support.system import PASSWORD

FILE = """
connector: shop
version: 1.0.0
name: Shop
base_url: https://shop.example.com
actions:
  ping: {name: Ping, request: {path: /ping}, output: {sample: {}}}
"""
OPERATION = {"operationId": "getItem", "responses": {"200": {"description": "it"}}}
DOCUMENT = {"openapi": "3.1.0", "info": {"title": "W", "version": "7"}, "paths": {"/items": {"get": OPERATION}}}


async def triggerhub(*arguments: str, key: str = "") -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("TRIGGERHUB_")}
    return await asyncio.to_thread(forked, ("connector", *arguments), env | {"TRIGGERHUB_API_KEY": key}, 30)


async def key_of(url: str) -> str:
    async with httpx.AsyncClient(base_url=f"{url}/api/v1") as http:
        person = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
        token = (await http.post("/auth/signup", json=person)).json()["access_token"]
        bearer = {"authorization": f"Bearer {token}"}
        made = await http.post("/api-keys", json={"name": "ci", "scopes": ["write", "read"]}, headers=bearer)
        return str(made.json()["key"])


async def test_files_and_documents_become_connectors_of_the_keys_workspace(dsn: str, tmp_path: Path) -> None:
    file, document, broken = tmp_path / "shop.yaml", tmp_path / "openapi.json", tmp_path / "broken.yaml"
    file.write_text(FILE)
    document.write_text(json.dumps(DOCUMENT))
    broken.write_text(FILE.replace("name: Shop", "nam: Shop").replace("1.0.0", "one"))
    async with served_api(dsn) as url:
        key = await key_of(url)
        added = await triggerhub("add", str(file), "--url", url, key=key)
        assert (added.returncode, added.stdout) == (0, "shop 1.0.0: 1 actions\n"), added.stderr
        wrong = await triggerhub("add", str(broken), "--url", url, key=key)
        assert wrong.returncode == 1
        assert all(pointer in wrong.stderr for pointer in ("/nam", "/name", "/version")), wrong.stderr
        file.write_text(FILE.replace("Ping", "Pong"))
        taken = await triggerhub("add", str(file), "--url", url, key=key)
        assert (taken.returncode, "new version" in taken.stderr) == (1, True), taken.stderr

        wish: tuple[str, ...] = ("import", str(document), "--name", "warehouse", "--url", url)
        unsaid = await triggerhub(*wish, key=key)
        assert (unsaid.returncode, "base_url" in unsaid.stderr) == (1, True), unsaid.stderr
        wish = (*wish, "--base-url", "https://w.example.com")
        told = await triggerhub(*wish, "--dry-run", key=key)
        assert told.stdout == "added    getItem\nwarehouse 1.0.0: 1 actions, nothing was kept\n", told.stderr
        made = await triggerhub(*wish, key=key)
        assert made.stdout == "added    getItem\nwarehouse 1.0.0: 1 actions\n", made.stderr
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {key}"}) as http:
            listed = (await http.get(f"{url}/api/v1/connectors")).json()["items"]
        assert {"shop", "warehouse"} <= {one["name"] for one in listed}


async def test_who_has_no_key_or_reaches_nothing_is_told_so_in_a_line(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(FILE)
    for key, says in (("", "TRIGGERHUB_API_KEY"), ("thk_x", "does not answer")):
        done = await triggerhub("add", str(file), "--url", "http://127.0.0.1:1", key=key)
        assert (done.returncode, done.stderr.count("\n"), says in done.stderr) == (2, 1, True), done.stderr
