"""Migrations: numbered .sql files, forward only, each applied once in a transaction, under a lock."""

import hashlib
from importlib.resources import files

import asyncpg
import msgspec

from sql.postgres.pool import Connection, connect
from sql.postgres.queries import Queries

_queries = Queries("queries/migrations.sql")


class MigrationEdited(Exception):
    """An applied migration was edited; write a new one instead."""


class AppRoleRefused(Exception):
    """The role triggerhub_app is missing, or the owner may not give it a password."""


class Migration(msgspec.Struct, frozen=True):
    """One file of sql/migrations."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """All migrations of this release, in order."""
    found = (file for file in files("sql").joinpath("migrations").iterdir() if file.name.endswith(".sql"))
    return sorted((Migration(file.name, file.read_text("utf-8")) for file in found), key=lambda m: m.name)


async def migrate(dsn: str) -> list[str]:
    """Bring the schema up to this release; several processes may try at once. Returns the names of what was applied.

    Raises MigrationEdited, and asyncpg errors when the server cannot be reached.
    """
    connection = await connect(dsn, "migrate")
    try:
        await connection.execute(_queries["lock"])
        await connection.execute(_queries["create_table"])
        return await _apply_missing(connection)
    finally:
        await connection.close()


async def let_app_log_in(dsn: str, password: str) -> None:
    """Give the role of the processes its rights and this password. Raises AppRoleRefused."""
    connection = await connect(dsn, "migrate")
    try:
        if not await connection.fetchval(_queries["grant_app"]):
            raise AppRoleRefused("there is no role triggerhub_app")
        await connection.execute(await connection.fetchval(_queries["app_login"], password))
    except asyncpg.InsufficientPrivilegeError as error:
        raise AppRoleRefused(str(error)) from None
    finally:
        await connection.close()


async def missing_migrations(connection: Connection) -> list[str]:
    """The names of this release's migrations that the database lacks."""
    try:
        applied = {row["name"] for row in await connection.fetch(_queries["applied"])}
    except asyncpg.UndefinedTableError:
        applied = set()
    return [migration.name for migration in migrations() if migration.name not in applied]


async def _apply_missing(connection: Connection) -> list[str]:
    applied = {row["name"]: row["checksum"] for row in await connection.fetch(_queries["applied"])}
    done: list[str] = []
    for migration in migrations():
        if migration.name in applied:
            if applied[migration.name] != migration.checksum:
                raise MigrationEdited(f"{migration.name} was changed after it had been applied")
            continue
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(_queries["record"], migration.name, migration.checksum)
        done.append(migration.name)
    return done
