"""The supervisor with real servers and stand-in roles: what is killed comes back, nothing outlives it."""

import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import psutil
import pytest

from app.config.data_dir import free_ports
from app.local.child import Child, Service
from app.local.http_probe import answers_ok
from tests.support.eventually import eventually
from tests.support.folders import data_folder

ROOT = Path(__file__).parents[2]


class Running(msgspec.Struct):
    """A started `up`: its process, its data directory, and what it printed."""

    child: Child
    data: Path
    port: int
    lines: list[str]

    def pids(self) -> dict[str, int]:
        return msgspec.json.decode((self.data / "pids.json").read_bytes(), type=dict[str, int])

    async def banner(self) -> None:
        await eventually(lambda: any("TriggerHub is up" in line for line in self.lines))

    async def came_back(self, name: str, old: int) -> int:
        await eventually(lambda: self.pids().get(name, old) != old and psutil.pid_exists(self.pids()[name]))
        return self.pids()[name]


@asynccontextmanager
async def up(data: Path, *roles: str, **variables: str) -> AsyncIterator[Running]:
    port = next(free_ports())
    lines: list[str] = []
    env = {k: v for k, v in os.environ.items() if not k.startswith("TRIGGERHUB_")}
    env |= {
        "TRIGGERHUB_DATA_DIR": str(data),
        "TRIGGERHUB_PORT": str(port),
        "TRIGGERHUB_LOG_FORMAT": "console",
    }
    service = Service(
        name="up",
        argv=(sys.executable, "-m", "tests.support.stub_up", *roles),
        env={**env, **variables},
        cwd=ROOT,
    )
    child = await Child.start(service, lambda _name, line: lines.append(line))
    running = Running(child, data, int(variables.get("TRIGGERHUB_PORT", port)), lines)
    try:
        yield running
    finally:
        await child.stop(grace_s=20)


@pytest.fixture
def data() -> Iterator[Path]:
    with data_folder() as folder:
        yield folder


def alive(pids: dict[str, int]) -> list[str]:
    return [name for name, pid in pids.items() if psutil.pid_exists(pid)]


async def test_everything_killed_comes_back_and_all_ends_together(data: Path) -> None:
    async with up(data / "da ta", "api", "relay") as running:
        await running.banner()
        assert await answers_ok("127.0.0.1", running.port, "/healthz")
        before = running.pids()
        assert set(before) == {"supervisor", "postgres", "broker", "api", "relay"}
        for name in ("api", "relay", "broker", "postgres"):
            os.kill(before[name], signal.SIGKILL)
            await running.came_back(name, before[name])
        await eventually(lambda: answers_ok("127.0.0.1", running.port, "/readyz"))
        last = running.pids()
        assert await running.child.stop(grace_s=20) == 0
    assert alive(last) == []
    assert not (running.data / "pids.json").exists()
    assert not (running.data / "runtime.json").exists()
    assert "relay     | relay runs" in running.lines


async def test_the_api_waits_for_the_runner_no_longer_than_it_takes(data: Path) -> None:
    """Whatever the log shows: this one would be waited for an hour."""
    async with up(data, "runner", "api", TRIGGERHUB_LOG_LEVEL="error", STUB_PATIENCE_S="3600") as running:
        await eventually(lambda: any("runner runs" in line for line in running.lines))
        await eventually(lambda: any("api runs" in line for line in running.lines))


async def test_nothing_outlives_a_killed_supervisor_and_the_next_one_starts(data: Path) -> None:
    async with up(data, "api") as running:
        await running.banner()
        pids = running.pids()
        running.child.signal(signal.SIGKILL)
        await running.child.wait()
        if sys.platform == "linux":
            await eventually(lambda: alive(pids) == [])
    async with up(data, "api") as running:
        await running.banner()
        assert running.pids()["postgres"] != pids["postgres"]


async def test_a_second_up_on_the_same_directory_is_refused(data: Path) -> None:
    async with up(data, "api") as first:
        await first.banner()
        async with up(data, "api") as second:
            assert await second.child.wait() == 1
            assert any("TRIGGERHUB_DATA_DIR" in line for line in second.lines)
        assert alive(first.pids()) == list(first.pids())


async def test_two_directories_run_side_by_side(data: Path) -> None:
    async with up(data / "one", "api") as one, up(data / "two", "api") as two:
        await one.banner()
        await two.banner()


async def test_a_taken_port_is_said_before_anything_starts(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with up(data, "api", TRIGGERHUB_PORT=port) as running:
            assert await running.child.wait() == 1
    assert [line for line in running.lines if f"Port {port}" in line and "TRIGGERHUB_PORT" in line]
    assert not (data / "postgres").exists()


async def test_a_failed_migration_ends_it(data: Path) -> None:
    async with up(data, "api", STUB_MIGRATE_EXIT="3") as running:
        assert await running.child.wait() == 1
    assert "could not be migrated (exit code 3)" in running.lines[-1]
    assert not (data / "pids.json").exists()


async def test_a_failing_role_is_tried_again_and_the_others_go_on(data: Path) -> None:
    async with up(data, "api", "failing") as running:
        await running.banner()
        await eventually(lambda: sum("exit_code=7" in line for line in running.lines) >= 3)
        assert psutil.pid_exists(running.pids()["api"])


async def test_a_second_signal_ends_it_at_once(data: Path) -> None:
    async with up(data, "api", "deaf") as running:
        await running.banner()
        pids = running.pids()
        running.child.signal(signal.SIGINT)
        await eventually(lambda: any("once more" in line for line in running.lines))
        assert psutil.pid_exists(pids["deaf"])
        running.child.signal(signal.SIGINT)
        await eventually(lambda: alive(pids) == [])


async def test_a_broker_that_grew_too_large_is_recycled(data: Path) -> None:
    async with up(data, "api", TRIGGERHUB_BROKER_MEMORY_LIMIT="1MB") as running:
        await running.banner()
        await running.came_back("broker", running.pids()["broker"])
        assert any("broker recycled" in line for line in running.lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_stopping_while_it_starts(data: Path, number: signal.Signals) -> None:
    async with up(data, "api") as running:
        await eventually((data / "postgres").exists)
        running.child.signal(number)
        assert await running.child.wait() == 0
    assert not any(process.info["cwd"] == str(data / "postgres") for process in psutil.process_iter(["cwd"]))
