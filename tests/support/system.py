"""A whole TriggerHub, started through its command line with embedded servers, as a user would start it.

Where TRIGGERHUB_TEST_KAFKA says `apache` its broker is Apache Kafka instead of the embedded one.
"""

import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import msgspec

from app.config.data_dir import DataDir, free_ports
from app.local.child import Child, Service
from tests.support.broker import APACHE
from tests.support.eventually import PATIENCE_S, eventually
from tests.support.folders import data_folder
from tests.support.forked_cli import command
from tests.support.invariants import Answer
from tests.support.kafka_server import KafkaServer, running_kafka
from tests.support.sink import Sink

ROOT = Path(__file__).parents[2]
PARTITIONS = 12
PASSWORD = "correct horse battery staple"


class System:
    """A running `up`, its users, and the journals of what senders were told and targets got."""

    def __init__(self, data: Path, port: int, http: aiohttp.ClientSession, lines: list[str]) -> None:
        self.data = data
        self.base = f"http://127.0.0.1:{port}"
        self.http = http
        self.lines = lines
        self.token = ""
        self.tokens: dict[UUID, str] = {}
        self.answers: list[Answer] = []
        self.acknowledged: dict[UUID, bytes] = {}
        self.sinks: list[Sink] = []
        self.kafka: KafkaServer | None = None

    def pids(self) -> dict[str, int]:
        """The processes of the instance by name."""
        return msgspec.json.decode((self.data / "pids.json").read_bytes(), type=dict[str, int])

    @property
    def dsn(self) -> str:
        """The embedded database."""
        runtime = DataDir(self.data).runtime()
        assert runtime is not None
        return runtime.database_url

    @property
    def topic(self) -> tuple[str, str]:
        """Where the broker is, and the topic's name."""
        runtime = DataDir(self.data).runtime()
        assert runtime is not None
        return runtime.kafka_bootstrap_servers, "zap-events"

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        """An API call that has to succeed; gives the decoded answer."""
        if self.token:
            headers = {"Authorization": f"Bearer {self.token}", **headers}
        async with self.http.request(method, self.base + path, json=body, headers=headers) as response:
            text = await response.text()
            assert response.status < 300, f"{method} {path}: {response.status} {text}"
            return msgspec.json.decode(text) if text else None

    async def sign_up(self, email: str = "") -> None:
        """Make a user, of a name of its own unless told otherwise, and act as it from now on."""
        email = email or f"{uuid4().hex}@example.com"
        self.token = ""
        answer = await self.call("POST", "/api/v1/auth/signup", {"name": "Ada", "email": email, "password": PASSWORD})
        self.token = answer["access_token"]
        self.tokens[UUID(answer["user"]["id"])] = self.token

    async def published_zap(
        self, target: str, *bodies: object, settings: Mapping[str, object] | None = None, **config: object
    ) -> dict[str, Any]:
        """A zap that posts `bodies` to `target`, each in a step of its own, ready to take webhooks."""
        names = ["send", *(f"send{number}" for number in range(2, len(bodies) + 1))]
        steps = [
            {
                "id": name,
                "kind": "action",
                "type": "http.request",
                "config": {"method": "POST", "url": target, "body": body, **config},
            }
            for name, body in zip(names, bodies, strict=True)
        ]
        trigger = {"type": "webhook.catch", "config": {}}
        zap: dict[str, Any] = await self.call(
            "POST", "/api/v1/zaps", {"name": "Test", "trigger": trigger, "steps": steps, "settings": settings or {}}
        )
        await self.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
        return zap

    async def post_hook(self, url: str, body: object, key: str) -> UUID:
        """Send one webhook as a stubborn sender does: again until a 2xx. Gives the run's id."""
        data = json.dumps(body).encode()
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        while True:
            try:
                async with self.http.post(url, data=io.BytesIO(data), headers=headers) as response:
                    run_id = UUID((await response.json())["run_id"]) if response.status == 200 else None
                    self.answers.append(Answer(key, response.status, run_id))
                    if run_id is not None:
                        self.acknowledged[run_id] = data
                        return run_id
                    assert response.status == 503, f"{response.status} {await response.text()}\n{self.last_lines()}"
            except (aiohttp.ClientError, OSError):
                pass
            await asyncio.sleep(0.05)

    def last_lines(self) -> str:
        """The end of what the processes have logged, for the report of a failure."""
        return "\n".join(self.lines[-150:])

    async def settled(self, run_ids: Iterable[UUID], timeout_s: float = PATIENCE_S) -> None:
        """Wait until each of these runs has ended in the log."""
        import asyncpg

        wanted = list(run_ids)
        connection = await asyncpg.connect(self.dsn)
        try:

            async def all_ended() -> bool:
                ended: int = await connection.fetchval(
                    "select count(*) from es.events where kind = 1 and stream_id = any($1::uuid[])"
                    " and type in ('zap.run.completed', 'zap.run.filtered', 'zap.run.failed', 'zap.run.timed_out',"
                    " 'zap.run.cancelled')",
                    wanted,
                )
                return ended >= len(wanted)

            await eventually(all_ended, timeout_s, 0.2)
        finally:
            await connection.close()

    async def kill(self, name: str) -> None:
        """SIGKILL one process of the instance; returns once another has taken its place."""
        if name == "broker" and self.kafka:
            await self.kafka.kill()
            await self.kafka.start()
            return
        pid = self.pids()[name]
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: self.pids().get(name, pid) != pid)

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Run a `triggerhub` command beside the instance. Gives its exit code and output."""
        return await command(arguments, _environment(self.data, 0), ROOT)


@asynccontextmanager
async def running_system(disk: Path | None = None, **variables: str) -> AsyncIterator[System]:
    """Start `up` in a fresh data directory on a free port; everything is gone afterwards."""
    port = next(free_ports())
    lines: list[str] = []
    async with AsyncExitStack() as stack:
        kafka = await stack.enter_async_context(running_kafka()) if APACHE else None
        data = stack.enter_context(data_folder(disk)) / "data"
        service = Service(
            name="up",
            argv=(sys.executable, "-m", "app.cli", "up"),
            env=_environment(data, port) | _broker(kafka) | variables,
            cwd=ROOT,
        )
        child = await Child.start(service, lambda _name, line: lines.append(line))
        connector = aiohttp.TCPConnector(limit=100)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=20)) as http:
            system = System(data, port, http, lines)
            system.kafka = kafka
            try:
                await eventually(lambda: _ready(system))
                yield system
            except BaseException:
                sys.stderr.write(system.last_lines() + "\n")
                raise
            finally:
                await child.stop(grace_s=20)


def _broker(kafka: KafkaServer | None) -> dict[str, str]:
    """Given a broker, `up` does not let actions reach loopback unless told so."""
    if kafka is None:
        return {}
    return {"TRIGGERHUB_KAFKA_BOOTSTRAP_SERVERS": kafka.servers, "TRIGGERHUB_OUTBOUND_ALLOW": "127.0.0.0/8"}


async def _ready(system: System) -> bool:
    try:
        async with system.http.get(system.base + "/readyz") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


def _environment(data: Path, port: int) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("TRIGGERHUB_")}
    env |= {"TRIGGERHUB_DATA_DIR": str(data), "TRIGGERHUB_LOG_FORMAT": "console"}
    return env | ({"TRIGGERHUB_PORT": str(port)} if port else {})
