"""Clients that generators make from the OpenAPI document compile under strict rules, and drive the first zap."""

import os
import shutil
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from tests.support.served_api import run, served_api

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CLIENTS = Path(__file__).parent / "clients"
SCRIPTS = Path(sys.executable).parent
TSC = ("--strict", "--noUncheckedIndexedAccess", "--target", "es2022", "--module", "nodenext", "--skipLibCheck",
       "--allowImportingTsExtensions", "--rewriteRelativeImportExtensions")  # fmt: skip


async def done(*command: str | Path, cwd: Path) -> str:
    """What a command wrote, which has to succeed."""
    code, written = await run(*map(str, command), cwd=cwd, timeout_s=180)
    assert code == 0, written
    return written


async def save_document(url: str, folder: Path) -> Path:
    file = folder / "openapi.json"
    async with httpx.AsyncClient() as http:
        file.write_bytes((await http.get(f"{url}/schema/openapi.json")).content)
    return file


async def test_a_python_client(dsn: str, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yml"
    settings.write_text("package_name_override: hub_client\npost_hooks: []\n")
    shutil.copy(CLIENTS / "first_zap.py", tmp_path)
    async with served_api(dsn) as url:
        generate = (SCRIPTS / "openapi-python-client", "generate", "--meta", "none", "--output-path", "hub_client")
        document = await save_document(url, tmp_path)
        await done(*generate, "--path", document, "--config", settings, cwd=tmp_path)
        await done(sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path, "first_zap.py", cwd=tmp_path)
        written = await done(sys.executable, "first_zap.py", url, cwd=tmp_path)
    assert written.strip() == "queued"


async def test_a_typescript_client(dsn: str, tmp_path: Path) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("node and npm are not on the PATH")
    modules = await installed(npm)
    (tmp_path / "node_modules").symlink_to(modules)
    for name in ("package.json", "first_zap.ts"):
        shutil.copy(CLIENTS / name, tmp_path)
    async with served_api(dsn) as url:
        document = await save_document(url, tmp_path)
        generate = (node, modules / "openapi-typescript/bin/cli.js", document, "--default-non-nullable=false")
        await done(*generate, "-o", "schema.d.ts", cwd=tmp_path)
        await done(node, modules / "typescript/bin/tsc", *TSC, "--types", "node", "first_zap.ts", cwd=tmp_path)
        written = await done(node, "first_zap.js", url, cwd=tmp_path)
    assert written.strip() == "queued"


async def installed(npm: str) -> Path:
    """The packages, kept from one session to the next for as long as their versions stay the same."""
    wanted = (CLIENTS / "package.json").read_bytes()
    folder = Path(tempfile.gettempdir()) / f"triggerhub-clients-{os.getuid()}-{sha256(wanted).hexdigest()[:16]}"
    if not (folder / "node_modules").exists():
        making = Path(tempfile.mkdtemp(prefix="triggerhub-clients-"))
        (making / "package.json").write_bytes(wanted)
        await done(npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", cwd=making)
        try:
            making.rename(folder)
        except OSError:
            shutil.rmtree(making)  # another process was quicker
    return folder / "node_modules"
