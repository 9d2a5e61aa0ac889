"""What a role finds before it starts: refusals end it with one line, outages are waited for."""

import asyncio
import os
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.config.errors import OperatorError
from app.config.settings import Secret, Settings
from app.local.embedded import _owner
from app.roles.startup import database_problem, wait_until_usable
from sql.postgres import migrate
from tests.support.certificates import Authority
from tests.support.folders import data_folder
from tests.support.postgres import SYSTEM, cloned_database, running_postgres


def settings(dsn: str) -> Settings:
    return Settings(database_url=Secret(dsn))


def changed(dsn: str, **parts: str) -> str:
    url = urlsplit(dsn)
    user, password = parts.get("user", url.username), parts.get("password", url.password)
    place = f"{user}:{password}@{url.hostname}:{parts.get('port', url.port)}"
    return url._replace(netloc=place, path=parts.get("path", url.path)).geturl()


@pytest.fixture
async def admin(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


async def test_all_is_well(dsn: str) -> None:
    assert await database_problem(settings(dsn)) == ""
    await wait_until_usable("scheduler", settings(dsn), asyncio.Event())


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"password": "guess"}, 'password authentication failed for user "triggerhub"'),
        ({"user": "nobody"}, 'password authentication failed for user "nobody"'),
        ({"path": "/nowhere"}, 'database "nowhere" does not exist'),
    ],
)
async def test_a_refusal_is_told_without_the_password(dsn: str, parts: dict[str, str], words: str) -> None:
    with pytest.raises(OperatorError) as refused:
        await database_problem(settings(changed(dsn, **parts)))
    assert words in str(refused.value)
    assert refused.value.exit_code == 2
    assert "guess" not in str(refused.value)


async def test_an_old_server_is_told(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.roles.startup.OLDEST_POSTGRES", 99)
    with pytest.raises(OperatorError, match=r"is too old: use 99 or newer"):
        await database_problem(settings(dsn))


async def test_a_role_without_rights_is_told_whose_they_are(
    dsn: str, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await admin.execute("create role stranger login password 'x'")
    try:
        with pytest.raises(OperatorError, match="`triggerhub migrate`, as the owner"):
            await database_problem(settings(changed(dsn, user="stranger", password="x")))
    finally:
        await admin.execute("drop role stranger")


async def test_outages_are_waited_for(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "does not answer" in await database_problem(settings(changed(dsn, port="1")))
    monkeypatch.setattr("app.roles.startup.AGAIN_S", 0.01)
    answers = iter(["it sleeps", "it sleeps", ""])

    async def problem(_settings: Settings) -> str:
        return next(answers)

    monkeypatch.setattr("app.roles.startup.database_problem", problem)
    await wait_until_usable("scheduler", settings(dsn), asyncio.Event())
    assert next(answers, None) is None


async def test_a_read_only_database_is_waited_for(dsn: str, admin: "asyncpg.Connection[asyncpg.Record]") -> None:
    name = urlsplit(dsn).path[1:]
    await admin.execute(f"alter database {name} set default_transaction_read_only = on")
    assert "read-only" in await database_problem(settings(dsn))


async def test_a_schema_that_is_behind_is_waited_for(dsn: str, postgres_server: str) -> None:
    async with cloned_database(postgres_server) as other:
        connection = await asyncpg.connect(other)
        await connection.execute("delete from public.triggerhub_migrations where name like '0003%'")
        await connection.close()
        assert "lacks 0003_identity.sql: `triggerhub migrate`" in await database_problem(settings(other))
    empty = changed(dsn, path="/postgres")
    assert f"lacks {migrate.migrations()[0].name}" in await database_problem(settings(empty))


@pytest.mark.skipif(not SYSTEM, reason="the embedded server is built without TLS")
async def test_tls_parameters_of_the_url_are_honoured() -> None:
    with data_folder() as folder:
        folder.chmod(0o755)  # PostgreSQL runs as another user there
        authority = Authority(folder)
        authority.issue("server")
        stranger = Authority(folder, "stranger")
        key = folder / "server.key"
        key.chmod(0o600)
        if owner := _owner(folder):
            os.chown(key, *owner)
        options = {"ssl": "on", "ssl_cert_file": str(folder / "server.crt"), "ssl_key_file": str(key)}
        async with running_postgres(options) as server:
            dsn = server.dsn.format("triggerhub")
            await migrate.migrate(f"{dsn}?sslmode=verify-full&sslrootcert={authority.file}")
            for mode in ("require", f"verify-full&sslrootcert={authority.file}"):
                assert await database_problem(settings(f"{dsn}?sslmode={mode}")) == ""
            with pytest.raises(OperatorError, match="certificate"):
                await database_problem(settings(f"{dsn}?sslmode=verify-full&sslrootcert={stranger.file}"))
            with pytest.raises(OperatorError, match="DATABASE_URL"):
                await database_problem(settings(f"{dsn}?sslmode=verify-full&sslrootcert=/nowhere.crt"))
