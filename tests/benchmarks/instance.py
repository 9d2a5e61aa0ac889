"""A TriggerHub for one benchmark: embedded servers with the settings of `up`, and the roles that it needs."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from pathlib import Path

import aiohttp
import msgspec
import psutil

from app.config.data_dir import free_ports
from app.config.settings import Secret, Settings
from sql.postgres.migrate import migrate
from tests.support.folders import DISK, data_folder

ROOT = Path(__file__).parents[2]
BOOT_S = 40.0


class Runtime(msgspec.Struct, frozen=True):
    """Where it listens, as any release says in its data directory."""

    database_url: str
    kafka_bootstrap_servers: str
    public_url: str
    owner_url: str = ""


class Instance:
    """A running instance: where it is, and what its processes use. `others`: servers it uses and did not start."""

    def __init__(self, data: Path, runtime: Runtime, others: Mapping[str, int] | None = None) -> None:
        self._data = data
        self._others = dict(others or {})
        self.dsn = runtime.owner_url or runtime.database_url
        self.url = runtime.public_url
        self.settings = Settings(database_url=Secret(self.dsn), kafka_bootstrap_servers=runtime.kafka_bootstrap_servers)

    def processes(self) -> dict[str, psutil.Process]:
        """The processes by name."""
        pids = msgspec.json.decode((self._data / "pids.json").read_bytes(), type=dict[str, int])
        return {name: psutil.Process(pid) for name, pid in (pids | self._others).items() if psutil.pid_exists(pid)}

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time so far of each process with its children, those that ended included."""
        processes = self.processes()
        roots = {process.pid for process in processes.values()}
        return {name: _cpu(process, roots) for name, process in processes.items()}

    def memory(self) -> dict[str, tuple[int, int]]:
        """RSS and PSS (shared pages split among their users) of each process, PostgreSQL's with its backends.

        The broker is left out in the moment in which it is recycled.
        """
        found = {}
        for name, process in self.processes().items():
            with suppress(psutil.NoSuchProcess):
                found[name] = _memory(process)
        return found

    async def published_hook(self, target: str, *first: Mapping[str, object]) -> str:
        """The hook of a zap that posts the body it gets to `target`, after other steps if any."""
        config = {"method": "POST", "url": target, "body": "{{ trigger.body }}"}
        return await self.hook_of(*first, {"id": "send", "kind": "action", "type": "http.request", "config": config})

    async def hook_of(self, *steps: Mapping[str, object]) -> str:
        """The hook of a zap, of a new user, with these steps."""
        async with aiohttp.ClientSession(self.url) as http:
            person = {"name": "Bench", "email": f"bench-{time.time_ns()}@example.com", "password": "correct horse"}
            token = (await _post(http, "/api/v1/auth/signup", person, ""))["access_token"]
            zap = {"name": "Bench", "trigger": {"type": "webhook.catch", "config": {}}, "steps": steps}
            created = await _post(http, "/api/v1/zaps", zap, token)
            await _post(http, f"/api/v1/zaps/{created['id']}/publish", {}, token)
            return created["hook_url"]


@asynccontextmanager
async def instance(*roles: str, kept: Path | None = None) -> AsyncIterator[Instance]:
    """Start it in a folder of its own on free ports; all is gone afterwards, but for what is in a `kept` folder."""
    async with started((sys.executable, "-m", "tests.benchmarks.start", *roles), ROOT, kept=kept) as running:
        await migrate(running.dsn)
        if "api" in roles:
            await _serving(running)
        yield running


@asynccontextmanager
async def whole(
    python: Path, checkout: Path, env: Mapping[str, str], others: Mapping[str, int]
) -> AsyncIterator[Instance]:
    """`triggerhub up` of any release, from a checkout of it."""
    async with started((str(python), "-P", "-m", "app.cli", "up"), checkout, env, others) as running:
        await _serving(running)
        yield running


@asynccontextmanager
async def started(
    command: Sequence[str],
    checkout: Path,
    env: Mapping[str, str] | None = None,
    others: Mapping[str, int] | None = None,
    kept: Path | None = None,
) -> AsyncIterator[Instance]:
    """Run the command with a data directory of its own, and come back when it has said where it listens."""
    with _folder(kept) as folder:
        data = folder / "data"
        (data / "runtime.json").unlink(missing_ok=True)
        output = folder / "output"
        with output.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=checkout,
                env=_environment(data) | {"PYTHONPATH": str(checkout)} | dict(env or {}),
                stdout=file,
                stderr=asyncio.subprocess.STDOUT,
            )
        try:
            yield Instance(data, await _runtime(data, process), others)
        except BaseException:
            sys.stderr.write(output.read_text()[-4_000:])
            raise
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def _folder(kept: Path | None) -> AbstractContextManager[Path]:
    if kept is None:
        return data_folder(DISK)
    kept.mkdir(parents=True, exist_ok=True)
    return nullcontext(kept)


def usage(before: Mapping[str, float], after: Mapping[str, float], count: int) -> tuple[float, str]:
    """CPU seconds per 1,000 of `count`, in all and by process."""
    used = {name: (after[name] - before[name]) / count * 1000 for name in after if name in before}
    parts = sorted(used.items(), key=lambda part: -part[1])
    return sum(used.values()), ", ".join(f"{name} {seconds:.3f}" for name, seconds in parts)


def _environment(data: Path) -> dict[str, str]:
    port = next(free_ports())
    env = {name: value for name, value in os.environ.items() if not name.startswith("TRIGGERHUB_")}
    return env | {
        "TRIGGERHUB_DATA_DIR": str(data),
        "TRIGGERHUB_PORT": str(port),
        "TRIGGERHUB_LOG_LEVEL": "warning",
    }


async def _runtime(data: Path, process: asyncio.subprocess.Process) -> Runtime:
    deadline = time.monotonic() + BOOT_S
    while process.returncode is None and time.monotonic() < deadline:
        if (data / "runtime.json").exists():
            return msgspec.json.decode((data / "runtime.json").read_bytes(), type=Runtime)
        await asyncio.sleep(0.05)
    raise TimeoutError("the instance did not start")


async def _serving(running: Instance) -> None:
    deadline = time.monotonic() + BOOT_S
    async with aiohttp.ClientSession(running.url) as http:
        while time.monotonic() < deadline:
            try:
                async with http.get("/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
    raise TimeoutError("the instance does not serve")


async def _post(http: aiohttp.ClientSession, path: str, body: object, token: str) -> dict[str, str]:
    async with http.post(path, json=body, headers={"Authorization": f"Bearer {token}"}) as answer:
        text = await answer.text()
        assert answer.status < 300, f"{path}: {answer.status} {text}"
        answered: dict[str, str] = msgspec.json.decode(text)
        return answered


def _cpu(process: psutil.Process, roots: set[int]) -> float:
    """A child that is listed by itself is not counted here; one that ends meanwhile counts for its parent next time."""
    try:
        times = process.cpu_times()
        children = [child for child in process.children() if child.pid not in roots]
    except psutil.NoSuchProcess:
        return 0.0
    return (
        times.user
        + times.system
        + times.children_user
        + times.children_system
        + sum(_cpu(child, roots) for child in children)
    )


def _memory(process: psutil.Process) -> tuple[int, int]:
    """The supervisor's children have rows of their own. A backend of PostgreSQL may end while we look."""
    found = [process.memory_full_info()]
    for part in process.children() if process.name() == "postgres" else ():
        with suppress(psutil.NoSuchProcess):
            found.append(part.memory_full_info())
    return sum(info.rss for info in found), sum(getattr(info, "pss", info.rss) for info in found)
