"""A real Postgres for the test session: one server, one migrated template, a clone (about 50 ms) per test."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg

from app.child import running
from app.data_dir import DataDir
from app.embedded import EmbeddedPostgres
from sql.migrate import migrate
from tests.support.folders import data_folder

TEMPLATE = "triggerhub_template"


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    """A fresh server with a migrated template database. Yields a DSN with a place for the database's name."""
    with data_folder() as folder:
        directory = DataDir(folder / "data")
        directory.create()
        embedded = EmbeddedPostgres(directory, {"max_connections": "200"})
        embedded.prepare()
        async with running(embedded.service(), grace_s=5):
            dsn = urlsplit(embedded.url)._replace(path="/{}").geturl()
            await _execute(dsn.format("postgres"), f"create database {TEMPLATE}")
            await migrate(dsn.format(TEMPLATE))
            yield dsn


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
