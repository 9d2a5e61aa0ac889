"""Clients that generators make from the OpenAPI document compile under strict rules, and drive the first zap."""

import os
import re
import shutil
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from tests.support.served_api import run, served_api

pytestmark = [pytest.mark.slow]

NODE = 20
UNREACHABLE = re.compile(
    r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ENOTCACHED"
    r"|E50[234])\b"
)
"""How npm says that it could not reach its registry."""
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
    if not (SCRIPTS / "openapi-python-client").exists():
        pytest.skip("openapi-python-client is not in this environment: `make test` installs it")
    settings = tmp_path / "settings.yml"
    settings.write_text("package_name_override: hub_client\npost_hooks: []\n")
    shutil.copy(CLIENTS / "first_zap.py", tmp_path)
    async with served_api(dsn) as url:
        generate = (SCRIPTS / "openapi-python-client", "generate", "--meta", "none", "--output-path", "hub_client")
        document = await save_document(url, tmp_path)
        await done(*generate, "--path", document, "--config", settings, cwd=tmp_path)
        strict = ("-m", "mypy", "--strict", "--cache-dir", kept("mypy"))
        await done(sys.executable, *strict, "first_zap.py", cwd=tmp_path)
        written = await done(sys.executable, "first_zap.py", url, cwd=tmp_path)
    assert written.strip() == "queued"


async def test_a_typescript_client(dsn: str, tmp_path: Path) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("Node and npm are not on the PATH")
    if _major(found := (await done(node, "--version", cwd=tmp_path)).strip()) < NODE:
        pytest.skip(f"Node {NODE} or newer is needed; this machine has {found}")
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


def kept(name: str) -> Path:
    """A folder that stays from one session to the next."""
    return Path(tempfile.gettempdir()) / f"triggerhub-clients-{os.getuid()}-{name}"


async def installed(npm: str) -> Path:
    """The packages, kept from one session to the next for as long as their versions stay the same."""
    wanted = (CLIENTS / "package.json").read_bytes()
    folder = kept(sha256(wanted).hexdigest()[:16])
    if not (folder / "node_modules").exists():
        making = Path(tempfile.mkdtemp(prefix="triggerhub-clients-"))
        (making / "package.json").write_bytes(wanted)
        await install(npm, making)
        try:
            making.rename(folder)
        except OSError:
            shutil.rmtree(making)  # another process was quicker
    return folder / "node_modules"


async def install(npm: str, folder: Path) -> None:
    """Skips the test where npm's registry is not within reach: that says nothing about the document."""
    quick = ("--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0", "--fetch-timeout=20000")
    code, written = await run(npm, "install", *quick, cwd=folder, timeout_s=180)
    if code and (found := UNREACHABLE.search(written)):
        pytest.skip(f"npm's package registry is not within reach ({found[0]})")
    assert code == 0, written


def _major(version: str) -> int:
    return int(version.removeprefix("v").partition(".")[0])


@pytest.mark.parametrize(
    ("written", "reachable"),
    [
        ("npm error code ENOTFOUND\nnpm error network request to https://registry.npmjs.org failed", False),
        ("npm error code ECONNREFUSED\nnpm error connect ECONNREFUSED 127.0.0.1:9", False),
        ("npm error code ENOTCACHED", False),
        ("npm error code ETARGET\nnpm error notarget No matching version found for typescript@99", True),
        ("npm error code EINTEGRITY", True),
    ],
)
def test_only_an_unreachable_registry_is_a_reason_to_skip(written: str, reachable: bool) -> None:
    assert bool(UNREACHABLE.search(written)) is not reachable
