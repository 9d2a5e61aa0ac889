"""The embedded servers: real ones, started, killed and started again."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from app.config.data_dir import DataDir
from app.local.child import Child, Service, StartError, port_answers, running
from app.local.embedded import NOBODY, EmbeddedBroker, EmbeddedPostgres, _owner, _stop_left_over
from tests.support.eventually import eventually
from tests.support.folders import data_folder


@pytest.fixture
def directory() -> Iterator[DataDir]:
    """A data directory whose path has a space and is longer than a Unix socket's may be."""
    with data_folder() as folder:
        directory = DataDir(folder / "a space" / ("long" * 30))
        directory.create()
        yield directory


@pytest.fixture
async def postgres(directory: DataDir) -> AsyncIterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(directory)
    postgres.prepare()
    yield postgres
    _stop_left_over(directory.path / "postgres")


async def query(postgres: EmbeddedPostgres, statement: str) -> object:
    connection = await asyncpg.connect(postgres.owner_url, timeout=10)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_commits_survive_sigkill_on_the_same_port(postgres: EmbeddedPostgres) -> None:
    url = postgres.owner_url
    async with running(postgres.service()) as child:
        assert await query(postgres, "show fsync") == "on"
        assert await query(postgres, "show synchronous_commit") == "on"
        await query(postgres, "create table kept as select 42 as answer")
        child.signal(signal.SIGKILL)
        await child.wait()
    async with running(postgres.service()):
        assert postgres.owner_url == url
        assert await query(postgres, "select answer from kept") == 42


async def test_a_password_is_needed(postgres: EmbeddedPostgres) -> None:
    async with running(postgres.service()):
        wrong = postgres.owner_url.replace(postgres.owner_url.split(":")[2].split("@")[0], "wrong")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(wrong, timeout=10)


async def test_a_server_left_behind_is_stopped(directory: DataDir, postgres: EmbeddedPostgres) -> None:
    left = await Child.start(postgres.service(), lambda _name, _line: None)
    await left.wait_ready(30)
    again = EmbeddedPostgres(directory)
    # It waits for the end of the old server, whom this loop must bury meanwhile.
    await asyncio.gather(asyncio.to_thread(again.prepare), left.wait())
    async with running(again.service()):
        assert await query(again, "select 1") == 1


async def test_a_foreign_process_is_left_alone(directory: DataDir, postgres: EmbeddedPostgres) -> None:
    """A stale postmaster.pid may name a process that has nothing to do with us."""
    (directory.path / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n/elsewhere\n")
    EmbeddedPostgres(directory).prepare()
    assert psutil.pid_exists(os.getpid())


async def test_a_half_made_cluster_is_made_anew(directory: DataDir) -> None:
    (directory.path / "postgres.new").mkdir()
    (directory.path / "postgres.new" / "junk").touch()
    postgres = EmbeddedPostgres(directory)
    postgres.prepare()
    assert (directory.path / "postgres" / "PG_VERSION").exists()
    assert not (directory.path / "postgres.new").exists()
    assert not (directory.path / "postgres.pw").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must run PostgreSQL as another user")
async def test_under_root_the_server_is_not_root(directory: DataDir, postgres: EmbeddedPostgres) -> None:
    closed = directory.path.parent
    closed.chmod(0o700)
    postgres.prepare()
    async with running(postgres.service()) as child:
        assert psutil.Process(child.pid).uids().real != 0
    assert closed.stat().st_mode & 0o777 == 0o701


async def test_broker_starts_empty_each_time_on_the_same_port(directory: DataDir) -> None:
    broker = EmbeddedBroker(directory)
    host, port = broker.bootstrap_servers.split(":")
    first, second = broker.service(), broker.service()
    for service in (first, second):
        async with running(service):
            assert await port_answers(host, int(port))
        await eventually(lambda: _closed(host, int(port)))
    assert first.argv != second.argv  # each start is a cluster of its own


async def _closed(host: str, port: int) -> bool:
    return not await port_answers(host, port)


async def test_a_service_that_dies_says_why(tmp_path: Path) -> None:
    service = Service(
        name="broken",
        argv=("/bin/sh", "-c", "echo no such thing; exit 3"),
        log_file=tmp_path / "log",
        ready=lambda: port_answers("127.0.0.1", 1),
    )
    with pytest.raises(StartError, match=r"broken ended with code 3; .*\n.*no such thing"):
        async with running(service):
            pass


async def test_a_deaf_service_is_killed(tmp_path: Path) -> None:
    lines: list[str] = []
    service = Service(name="deaf", argv=("/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"))
    child = await Child.start(service, lambda _name, line: lines.append(line))
    await eventually(lambda: lines == ["deaf"])
    assert await child.stop(grace_s=0.1) == -signal.SIGKILL


async def test_lines_of_any_length_and_encoding_come_through() -> None:
    lines: list[str] = []
    service = Service(name="loud", argv=("/bin/sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x; printf '\\n\\377'"))
    child = await Child.start(service, lambda _name, line: lines.append(line))
    assert await child.wait() == 0
    assert [len(line) for line in lines] == [300_000, 1]


def test_as_root_no_user_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL refuses to run as root. It runs as a user that the machine has."""

    def forbidden(*arguments: object, **_options: object) -> None:
        raise AssertionError(arguments)

    def unknown(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr("app.local.embedded.os.geteuid", lambda: 0)
    monkeypatch.setattr("app.local.embedded.pwd.getpwnam", unknown)
    monkeypatch.setattr("app.local.embedded.subprocess.run", forbidden)
    assert _owner(tmp_path / "none") == (NOBODY, NOBODY)
