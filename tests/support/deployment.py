"""TriggerHub as a team deploys it: any number of processes per role, on a given Postgres and Kafka."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import aiohttp

from app.config.data_dir import free_ports
from app.local.child import Child, Service
from tests.support.broker import running_broker, topic_name
from tests.support.eventually import PATIENCE_S, eventually
from tests.support.folders import data_folder
from tests.support.forked_cli import COMMAND, command, started
from tests.support.system import ROOT, System

SECRETS = {"TRIGGERHUB_JWT_SECRET": "x" * 40, "TRIGGERHUB_ENCRYPTION_KEY": "A" * 43 + "="}
ROLES = ("api", "relay", "runner", "projector", "scheduler")


class Deployment(System):
    """`environment` is that of every process. Processes are named as containers are: runner-1, runner-2 ..."""

    def __init__(self, environment: Mapping[str, str], port: int, data: Path, http: aiohttp.ClientSession) -> None:
        super().__init__(data, port, http, [])
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TRIGGERHUB_")},
            "TRIGGERHUB_DATA_DIR": str(data),
            "TRIGGERHUB_PORT": str(port),
            "TRIGGERHUB_LOG_FORMAT": "console",
            **SECRETS,
            **environment,
        }
        self._children: dict[str, Child] = {}
        self._numbers = count(1)

    @property
    def dsn(self) -> str:
        """The database of all processes."""
        return self.environment["TRIGGERHUB_DATABASE_URL"]

    @property
    def topic(self) -> tuple[str, str]:
        """Where the broker is, and the topic's name."""
        return self.environment["TRIGGERHUB_KAFKA_BOOTSTRAP_SERVERS"], self.environment["TRIGGERHUB_KAFKA_TOPIC"]

    def pids(self) -> dict[str, int]:
        """The processes by name."""
        return {name: child.pid for name, child in self._children.items()}

    async def start(self, role: str, **variables: str) -> str:
        """One more process of a role. Gives its name."""
        name = f"{role}-{next(self._numbers)}"
        await self._launch(name, variables)
        return name

    async def _launch(self, name: str, variables: Mapping[str, str]) -> None:
        service = Service(
            name=name,
            argv=(*COMMAND, name.partition("-")[0]),
            env={**self.environment, **variables},
            cwd=ROOT,
        )
        await self._run(service)

    async def _run(self, service: Service) -> None:
        self._children[service.name] = await started(service, lambda name, line: self.lines.append(f"{name} {line}"))

    async def kill(self, name: str) -> None:
        """SIGKILL a process and start another in its place, under its name."""
        child = self._children[name]
        child.signal(child.service.kill)
        await child.wait()
        await self._run(child.service)

    async def lose(self, name: str) -> None:
        """SIGKILL a process, and start none in its place."""
        child = self._children.pop(name)
        child.signal(child.service.kill)
        await child.wait()

    async def restart(self, name: str, **variables: str) -> int:
        """Ask a process to end, unless it has ended, and start another under its name. Gives the exit code."""
        code = await self._children[name].stop(grace_s=20)
        await self._launch(name, variables)
        return code

    async def ended(self, name: str, within_s: float = PATIENCE_S) -> int:
        """The exit code of a process, once it has ended by itself."""
        async with asyncio.timeout(within_s):
            return await self._children[name].wait()

    async def stop(self, name: str) -> int:
        """Ask a process to end, as a scale-down does. Gives its exit code."""
        return await self._children.pop(name).stop(grace_s=20)

    async def stop_all(self) -> None:
        await asyncio.gather(*(child.stop(grace_s=20) for child in self._children.values()))
        self._children.clear()

    async def ready(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait until the API takes requests."""

        async def answers() -> bool:
            try:
                async with self.http.get(self.base + "/readyz") as response:
                    return response.status == 200
            except aiohttp.ClientError:
                return False

        await eventually(answers, timeout_s)

    async def says(self, name: str, event: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait until a process has logged an event."""
        await eventually(lambda: any(line.startswith(f"{name} ") and event in line for line in self.lines), timeout_s)

    async def command(self, *arguments: str, **variables: str) -> tuple[int, str]:
        """Run a `triggerhub` command with the processes' environment. Gives its exit code and output."""
        return await command(arguments, self.environment | variables, ROOT)


@asynccontextmanager
async def one_of_each(dsn: str, **variables: str) -> AsyncIterator[Deployment]:
    """A process of each role, at work on this database, which is migrated first, and a broker of its own."""
    async with running_broker() as broker, deployment(dsn, broker.servers, topic_name(), **variables) as deployed:
        code, output = await deployed.command("migrate")
        assert code == 0, output
        for role in ROLES:
            await deployed.start(role)
        await deployed.ready()
        yield deployed


@asynccontextmanager
async def deployment(dsn: str, servers: str, topic: str, **variables: str) -> AsyncIterator[Deployment]:
    """A deployment without processes yet; whatever was started in it is stopped afterwards."""
    port = next(free_ports())
    environment = {
        "TRIGGERHUB_DATABASE_URL": dsn,
        "TRIGGERHUB_KAFKA_BOOTSTRAP_SERVERS": servers,
        "TRIGGERHUB_KAFKA_TOPIC": topic,
        "TRIGGERHUB_OUTBOUND_ALLOW": "127.0.0.0/8",
        **variables,
    }
    with data_folder() as folder:
        connector = aiohttp.TCPConnector(limit=100)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=20)) as http:
            deployed = Deployment(environment, port, folder / "data", http)
            try:
                yield deployed
            except BaseException:
                sys.stderr.write(deployed.last_lines() + "\n")
                raise
            finally:
                await deployed.stop_all()
