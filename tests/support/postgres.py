"""A real Postgres for the test session: one server, two templates, a clone (about 50 ms) per test.

The server is the embedded one, or the machine's own where TRIGGERHUB_TEST_POSTGRES says `system`.
"""

import os
import shutil
import signal
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from app.config.data_dir import DataDir
from app.local.child import Child
from app.local.embedded import EmbeddedPostgres
from projections.engine.engine import Engine
from projections.engine.registry import PROJECTIONS
from sql.postgres.migrate import migrate
from sql.process.clock import now
from tests.support.folders import data_folder
from tests.support.projected import PARTITIONS

TEMPLATE, BUILT = "triggerhub_template", "triggerhub_built"
QUICK = {"max_connections": "200", "fsync": "off", "full_page_writes": "off"}
"""Tests kill processes, never the machine: what a server has written outlives its death without reaching the disk."""
SYSTEM = os.environ.get("TRIGGERHUB_TEST_POSTGRES", "embedded") == "system"


class SystemPostgres(EmbeddedPostgres):
    """The machine's own PostgreSQL, 14 or newer, set up just as the embedded one is."""

    locale = ("--locale=C",)  # the builtin provider came with 17

    def __init__(self, directory: DataDir, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(directory, settings)
        self._bin = system_binaries()


def system_binaries() -> Path:
    """Where the newest PostgreSQL server of this machine has its programs; on Debian none of them is on the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    program = found[-1] if found else shutil.which("initdb")
    assert program, "there is no PostgreSQL server on this machine"
    return Path(program).resolve().parent


class PostgresServer:
    """A server that tests may kill and start again."""

    def __init__(self, directory: DataDir, settings: Mapping[str, str] | None = None) -> None:
        kind = SystemPostgres if SYSTEM else EmbeddedPostgres
        self._embedded = kind(directory, QUICK | dict(settings or {}))
        self._child: Child | None = None

    @property
    def dsn(self) -> str:
        """With a place for the database's name."""
        return urlsplit(self._embedded.owner_url)._replace(path="/{}").geturl()

    async def start(self) -> None:
        """Set up at first, recover after a kill, and wait until it answers."""
        self._embedded.prepare()
        self._child = await Child.start(self._embedded.service(), lambda _name, _line: None)
        await self._child.wait_ready(30)

    async def kill(self, number: int = signal.SIGKILL) -> None:
        """End it without a word; `prepare` clears up what is left of it."""
        if self._child:
            self._child.signal(number)
            await self._child.wait()
            self._child = None


@asynccontextmanager
async def running_postgres(settings: Mapping[str, str] | None = None) -> AsyncIterator[PostgresServer]:
    """A fresh server on a free port; gone, with its data, afterwards."""
    with data_folder() as folder:
        directory = DataDir(folder / "data")
        directory.create()
        server = PostgresServer(directory, settings)
        await server.start()
        try:
            yield server
        finally:
            await server.kill(signal.SIGINT)


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    """A fresh server with a migrated template database. Yields a DSN with a place for the database's name."""
    async with running_postgres() as running:
        await _template(running.dsn)
        yield running.dsn


@asynccontextmanager
async def cloned_database(dsn: str, *, built: bool = False) -> AsyncIterator[str]:
    """A migrated database of its own for one test. Yields its DSN. `built`: with read models, still empty."""
    name = f"t_{uuid.uuid4().hex}"
    await _clone(dsn, name, await (_built_template if built else _template)(dsn))
    try:
        yield dsn.format(name)
    finally:
        await _execute(dsn.format("postgres"), f"drop database {name} with (force)")


async def _template(dsn: str) -> str:
    """The migrated template of this month: that of the month before has one leaf of the log less ahead of it."""
    name = f"{TEMPLATE}_{now():%Y%m}"
    if not await _is_there(dsn, name):
        await _execute(dsn.format("postgres"), f"create database {name}")
        await migrate(dsn.format(name))
    return name


async def _built_template(dsn: str) -> str:
    """The template with read models, made when it is first asked for: fourteen builds take longer than a clone."""
    name = f"{BUILT}_{now():%Y%m}"
    if not await _is_there(dsn, name):
        await _clone(dsn, name, await _template(dsn))
        async with Engine(dsn.format(name), PROJECTIONS, PARTITIONS) as engine:
            await engine.start()
    return name


async def _is_there(dsn: str, name: str) -> bool:
    return bool(await _execute(dsn.format("postgres"), f"select 1 from pg_database where datname = '{name}'"))


async def _clone(dsn: str, name: str, template: str) -> None:
    # Files are copied faster than the log is written of each of their pages; PostgreSQL 14 knows nothing else.
    await _execute(
        dsn.format("postgres"), f"create database {name} template {template}", since_15=" strategy file_copy"
    )


async def _execute(dsn: str, statement: str, since_15: str = "") -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        newer = connection.get_server_version().major >= 15
        return await connection.fetch(statement + (since_15 if newer else ""))
    finally:
        await connection.close()
