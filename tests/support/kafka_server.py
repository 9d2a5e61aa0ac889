"""Apache Kafka for tests: one KRaft node on loopback, whose data survives SIGKILL.

Its jars come from Maven (tests/kafka/pom.xml); `make kafka-jars` fetches them, the machine's `java` runs them.
"""

import asyncio
import base64
import contextlib
import shutil
import signal
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from app.config.data_dir import DataDir
from app.local.child import Child, Service, port_answers
from tests.support.broker import Broker
from tests.support.folders import DISK, data_folder

JARS = Path(__file__).parents[2] / ".kafka" / "jars"
HOST = "127.0.0.1"
START_S = 40
_JAVA = (
    *("java", "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    *("-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{JARS}/*"),
)


class KafkaServer(Broker):
    """A broker and controller in one process.

    `listeners`: further ones by security protocol, for instance SASL_SSL, beside the plain one. `properties` are
    added to the server's, and `scram` holds users as the storage tool takes them. The plain listener has a twin
    named PROXIED, which tells clients to come back through `proxy_port`, where a test may put a proxy.
    """

    def __init__(
        self,
        directory: DataDir,
        listeners: Sequence[str] = (),
        properties: Mapping[str, str] | None = None,
        scram: Sequence[str] = (),
    ) -> None:
        self._folder = directory.path
        self._ports = {name: directory.port(name) for name in ("PLAINTEXT", "PROXIED", "CONTROLLER", *listeners)}
        self.proxy_port = directory.port("proxy")
        self._properties = dict(properties or {})
        self._scram = scram
        self._child: Child | None = None

    @property
    def servers(self) -> str:
        """Where to bootstrap, without security."""
        return self.listener("PLAINTEXT")

    @property
    def _inside(self) -> str:
        """Where the broker answers without security."""
        return self.listener("PLAINTEXT")

    def listener(self, name: str) -> str:
        """Where to bootstrap on a listener."""
        return f"{HOST}:{self._ports[name]}"

    def port(self, name: str) -> int:
        """Where a listener really is."""
        return self._ports[name]

    @property
    def pid(self) -> int:
        """The running process."""
        assert self._child is not None
        return self._child.pid

    async def start(self) -> None:
        """Format the disk at first, then start and wait until it answers as a cluster."""
        config = self._folder / "server.properties"
        config.write_text("".join(f"{name}={value}\n" for name, value in self._config().items()))
        if not (self._folder / "kafka" / "meta.properties").exists():
            await self._format(config)
        service = Service(
            name="kafka",
            argv=(*_JAVA, "kafka.Kafka", str(config)),
            cwd=self._folder,
            log_file=self._folder / "kafka.log",
            orphan=signal.SIGKILL,
            ready=self._ready,
        )
        self._child = await Child.start(service, lambda _name, _line: None)
        await self._child.wait_ready(START_S)

    async def kill(self) -> None:
        """SIGKILL: what it had taken is still on its disk."""
        if self._child:
            self._child.signal(signal.SIGKILL)
            await self._child.wait()
            self._child = None

    async def wipe(self) -> None:
        """SIGKILL, a new disk, a new cluster."""
        await self.kill()
        shutil.rmtree(self._folder / "kafka")
        await self.start()

    async def _format(self, config: Path) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        users = [argument for user in self._scram for argument in ("--add-scram", user)]
        tool = await asyncio.create_subprocess_exec(
            *(*_JAVA, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(config), *users),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await tool.communicate()
        assert tool.returncode == 0, f"{output.decode()}\nAre the jars there? `make kafka-jars` fetches them."

    async def _ready(self) -> bool:
        """Whether a broker, not only the controller, is part of the cluster."""
        host, port = self._inside.split(":")
        if not await port_answers(host, int(port)):
            return False
        admin = AIOKafkaAdminClient(bootstrap_servers=self._inside, request_timeout_ms=2_000)
        try:
            await admin.start()
            return bool((await admin.describe_cluster())["brokers"])
        except (KafkaError, OSError, TimeoutError):
            return False
        finally:
            with contextlib.suppress(KafkaError):
                await admin.close()

    def _config(self) -> dict[str, str]:
        protocols = {name: "PLAINTEXT" if name in {"PROXIED", "CONTROLLER"} else name for name in self._ports}
        shown = {name: port for name, port in self._ports.items() if name != "CONTROLLER"}
        shown["PROXIED"] = self.proxy_port
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{self.listener('CONTROLLER')}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": _listeners(self._ports),
            "advertised.listeners": _listeners(shown),
            "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
            "log.dirs": str(self._folder / "kafka"),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "2",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
        } | self._properties


@asynccontextmanager
async def running_kafka(
    listeners: Sequence[str] = (), properties: Mapping[str, str] | None = None, scram: Sequence[str] = ()
) -> AsyncIterator[KafkaServer]:
    """Apache Kafka on free ports; gone, with its data, afterwards."""
    with data_folder(DISK) as folder:
        directory = DataDir(folder / "data")
        directory.create()
        server = KafkaServer(directory, listeners, properties, scram)
        await server.start()
        try:
            yield server
        finally:
            await server.kill()


def _listeners(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())
