"""Migrations: each once, forward only, and never edited."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import asyncpg
import pytest

from domain.history.sums import Sums, unpacked
from sql.postgres import migrate as module
from sql.postgres.migrate import Migration, MigrationEdited, migrate, migrations
from sql.postgres.pool import connect
from sql.process.clock import new_id


@pytest.fixture
async def empty(postgres_server: str) -> AsyncIterator[str]:
    """A database without anything in it."""
    name = f"m_{new_id().hex}"
    admin = await connect(postgres_server.format("postgres"), "test")
    await admin.execute(f"create database {name} template template0")
    yield postgres_server.format(name)
    await admin.execute(f"drop database {name} with (force)")
    await admin.close()


def use(monkeypatch: pytest.MonkeyPatch, *steps: Migration) -> list[str]:
    monkeypatch.setattr(module, "migrations", lambda: list(steps))
    return [step.name for step in steps]


async def applied(dsn: str) -> list[tuple[str, str]]:
    connection = await connect(dsn, "test")
    rows = await connection.fetch("select name, checksum from public.triggerhub_migrations order by name")
    await connection.close()
    return [(row[0], row[1]) for row in rows]


def test_files_are_numbered_without_holes() -> None:
    numbers = [int(migration.name[:4]) for migration in migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_a_new_database_gets_all_and_then_nothing(empty: str) -> None:
    names = [migration.name for migration in migrations()]
    assert await migrate(empty) == names
    assert await migrate(empty) == []
    checksums = [(m.name, hashlib.sha256(m.sql.encode()).hexdigest()) for m in migrations()]
    assert await applied(empty) == checksums


async def test_racing_migrators_apply_each_once(empty: str) -> None:
    done = await asyncio.gather(*(migrate(empty) for _ in range(5)))
    assert sorted(done) == [[], [], [], [], [migration.name for migration in migrations()]]


async def test_a_later_release_adds_only_what_is_new(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = Migration("0001_a.sql", "create table a ()"), Migration("0002_b.sql", "create table b ()")
    use(monkeypatch, one)
    assert await migrate(empty) == ["0001_a.sql"]
    use(monkeypatch, one, two)
    assert await migrate(empty) == ["0002_b.sql"]


async def test_statistics_that_were_kept_cell_by_cell_are_packed(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = migrations()
    at = next(n for n, step in enumerate(steps) if step.name.startswith("0030_"))
    use(monkeypatch, *steps[:at])
    await migrate(empty)
    connection = await connect(empty, "test")
    tenant, zap = new_id(), new_id()
    cells = {
        "requests:accepted": 3,
        "requests:paused": 1,
        "runs:completed": 2,
        "runs:failed": 1,
        "queue:7": 3,
        "took:90": 2,
    }
    for step_id, found in (("", cells), ("send", {"runs:completed": 2, "took:12": 2, "took:7": 1})):
        await connection.executemany(
            "insert into proj.sealed_stats values ($1, $2, 'day', '2025-03-01Z', $3, $4, $5)",
            [(tenant, zap, step_id, cell, count) for cell, count in found.items()],
        )
    use(monkeypatch, *steps)
    await migrate(empty)
    rows = await connection.fetch("select step_id, sums from proj.stats order by step_id")
    assert [(row[0], unpacked(row[1])) for row in rows] == [
        ("", Sums({"accepted": 3, "paused": 1}, {"completed": 2, "failed": 1}, {7: 3}, {90: 2})),
        ("send", Sums({}, {"completed": 2}, {}, {7: 1, 12: 2})),
    ]
    await connection.close()


async def test_an_edited_file_is_refused_and_nothing_changes(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Migration("0001_a.sql", "create table a ()"))
    await migrate(empty)
    before = await applied(empty)
    use(monkeypatch, Migration("0001_a.sql", "create table a (x int)"), Migration("0002_b.sql", "create table b ()"))
    with pytest.raises(MigrationEdited, match=r"0001_a\.sql"):
        await migrate(empty)
    assert await applied(empty) == before


async def test_a_failing_migration_leaves_no_trace(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    good = Migration("0001_a.sql", "create table a ()")
    use(monkeypatch, good, Migration("0002_b.sql", "create table b (); create table a ();"))
    with pytest.raises(asyncpg.DuplicateTableError):
        await migrate(empty)
    assert [name for name, _ in await applied(empty)] == ["0001_a.sql"]
    use(monkeypatch, good, Migration("0002_b.sql", "create table b ()"))
    assert await migrate(empty) == ["0002_b.sql"]


async def test_the_lock_is_free_after_a_failure(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Migration("0001_a.sql", "nonsense"))
    for _ in range(3):
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await asyncio.wait_for(migrate(empty), 60)
