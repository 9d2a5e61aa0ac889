"""A real Kafka-protocol broker for tests, that can be killed and brought back empty on its port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.child import Child
from app.data_dir import DataDir
from app.embedded import EmbeddedBroker
from domain import envelope
from tests.support.folders import data_folder


class Broker:
    """The broker of a test session."""

    def __init__(self, embedded: EmbeddedBroker) -> None:
        self._embedded = embedded
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

    async def messages(self, topic: str, partitions: int) -> list[envelope.Envelope]:
        """All that the topic holds now, by partition and offset."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.servers, auto_offset_reset="earliest")
        await consumer.start()
        try:
            assigned = [TopicPartition(topic, number) for number in range(partitions)]
            consumer.assign(assigned)
            await consumer.seek_to_beginning(*assigned)
            found: list[envelope.Envelope] = []
            quiet = 0
            while quiet < 3:
                polled = await consumer.getmany(timeout_ms=200)
                quiet = 0 if polled else quiet + 1
                for partition in sorted(polled):
                    found += [envelope.decode(record.value) for record in polled[partition]]
            return found
        finally:
            await consumer.stop()


@asynccontextmanager
async def running_broker() -> AsyncIterator[Broker]:
    """A broker on a free port."""
    with data_folder() as folder:
        directory = DataDir(folder / "data")
        directory.create()
        broker = Broker(EmbeddedBroker(directory))
        await broker.start()
        try:
            yield broker
        finally:
            await broker.kill()


def topic_name() -> str:
    """A topic that no other test uses."""
    return f"zap-events-{uuid4().hex}"
