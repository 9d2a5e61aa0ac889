"""A Kafka broker for tests: the embedded one, or Apache Kafka where TRIGGERHUB_TEST_KAFKA says `apache`."""

import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from app.config.data_dir import DataDir
from app.local.child import Child
from app.local.embedded import EmbeddedBroker
from domain import envelope
from tests.support.folders import data_folder

APACHE = os.environ.get("TRIGGERHUB_TEST_KAFKA", "embedded") == "apache"


class Broker(ABC):
    """A broker that tests may kill, start again on its port, and wipe."""

    @property
    @abstractmethod
    def servers(self) -> str:
        """Where to bootstrap."""

    @abstractmethod
    async def start(self) -> None:
        """Start, with what survived the last kill."""

    @abstractmethod
    async def kill(self) -> None:
        """SIGKILL."""

    @abstractmethod
    async def wipe(self) -> None:
        """SIGKILL, lose everything, and be back."""

    async def messages(self, topic: str, partitions: int) -> list[envelope.Envelope]:
        """All that the topic holds now, by partition and offset."""
        return await topic_messages(self.servers, topic, partitions)


async def topic_messages(servers: str, topic: str, partitions: int) -> list[envelope.Envelope]:
    """All that a topic holds now, in order within each partition."""
    records = await topic_records(servers, topic, partitions)
    return [envelope.decode(record.value) for record in records if record.value]


async def topic_records(servers: str, topic: str, partitions: int) -> "list[ConsumerRecord[bytes, bytes]]":
    """The same as the broker has them."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        assigned = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(assigned)
        await consumer.seek_to_beginning(*assigned)
        found: list[ConsumerRecord[bytes, bytes]] = []
        quiet = 0
        while quiet < 3:
            polled = await consumer.getmany(timeout_ms=200)
            quiet = 0 if polled else quiet + 1
            for partition in sorted(polled):
                found += polled[partition]
        return found
    finally:
        await consumer.stop()


class MemoryBroker(Broker):
    """The embedded broker; killed, it comes back empty."""

    def __init__(self, directory: DataDir) -> None:
        self._embedded = EmbeddedBroker(directory)
        self._child: Child | None = None

    @property
    def servers(self) -> str:
        """Where to bootstrap."""
        return self._embedded.bootstrap_servers

    async def start(self) -> None:
        """Start, empty."""
        self._child = await Child.start(self._embedded.service(), lambda _name, _line: None)
        await self._child.wait_ready(20)

    async def kill(self) -> None:
        """SIGKILL: it forgets everything."""
        if self._child:
            await self._child.stop(grace_s=0)
            self._child = None

    async def wipe(self) -> None:
        """Killing it is enough."""
        await self.kill()
        await self.start()


@asynccontextmanager
async def running_broker() -> AsyncIterator[Broker]:
    """A broker on a free port."""
    from tests.support.kafka_server import KafkaServer

    with data_folder() as folder:
        directory = DataDir(folder / "data")
        directory.create()
        broker: Broker = KafkaServer(directory) if APACHE else MemoryBroker(directory)
        await broker.start()
        try:
            yield broker
        finally:
            await broker.kill()


def topic_name() -> str:
    """A topic that no other test uses."""
    return f"zap-events-{uuid4().hex}"
