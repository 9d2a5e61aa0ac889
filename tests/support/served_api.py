"""The application behind a real server: for tests that come with an HTTP client of their own."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from app.config.data_dir import free_ports
from app.roles.server import serve
from consumers.connectors import catalog
from projections.engine.rebuild import rebuild
from projections.engine.registry import BY_THEMSELVES, PROJECTIONS
from tests.support.api import services
from tests.support.eventually import eventually
from tests.support.meanwhile import until_stopped
from tests.support.stores import patient_store

PARTITIONS = 3


@asynccontextmanager
async def served_api(dsn: str) -> AsyncIterator[str]:
    """Its address. The read models are built, and stay as they are."""
    await build_read_models(dsn)
    async with served_log(dsn) as url:
        yield url


@asynccontextmanager
async def served_log(dsn: str) -> AsyncIterator[str]:
    """The same without read models, for what is read from the log itself."""
    async with patient_store(dsn, "served api") as store:
        port = next(free_ports())
        url = f"http://127.0.0.1:{port}"
        served = services(store, dsn, public_url=url, catalog=catalog())
        async with until_stopped(partial(serve, served, "127.0.0.1", port)):
            await eventually(lambda: _answers(port))
            yield url


async def build_read_models(dsn: str) -> None:
    """As they follow from the log by now."""
    for projection in PROJECTIONS:
        await rebuild(dsn, projection, PARTITIONS)
    for projection in BY_THEMSELVES:
        await rebuild(dsn, projection, 1)


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def run(*command: str, cwd: str | os.PathLike[str] | None = None, timeout_s: float = 100) -> tuple[int, str]:
    """A command's exit code, and all that it wrote."""
    child = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(timeout_s):
            written, _ = await child.communicate()
    except BaseException:
        child.kill()
        await child.wait()
        raise
    return child.returncode or 0, written.decode(errors="replace")
