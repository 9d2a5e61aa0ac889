"""The Kafka side of the relay: the topic, and record batches per partition.

FastStream's publish_batch puts a whole batch on one partition whatever the keys say, so batches are built here with
aiokafka. One request per broker is in flight at a time, which keeps order without the idempotent producer.
"""

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import msgspec
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.structs import RecordMetadata

from domain import envelope
from domain.log.event import StoredEvent
from domain.log.partitioning import partition_of
from domain.seal import HEADER, seal
from relay.leader import Sent
from relay.topic import KafkaConfig, TopicEnds, ensure_topic

log = structlog.get_logger()

MAX_BATCH_BYTES = 900_000
"""Bytes of one record batch: below the brokers' usual message.max.bytes of 1 MiB."""
PATIENCE_S = 0.3
"""How long acknowledgements may take before the relay checks the topic."""
DEADLINE_S = 30.0


class OtherTopic(KafkaError):
    """The topic was made by somebody else while we looked."""


class Acknowledged(msgspec.Struct, frozen=True):
    """What one partition took: offsets of the first message and of the last batch, position of the last message.

    Of the last batch only its base offset is kept: the embedded broker's ListOffsets answers that plus one.
    """

    first_offset: int
    last_batch_offset: int
    position: int


class Publisher:
    """A producer on the topic, which it creates when missing. `sent`: what that took. Open it with `async with`."""

    def __init__(self, config: KafkaConfig, sent: Sent) -> None:
        self.config = config
        """Of the topic that it publishes to."""
        self._sent = sent
        self._ends = TopicEnds(config)
        self._producer: AIOKafkaProducer

    async def __aenter__(self) -> Self:
        await ensure_topic(self.config, self._sent)
        self._producer = AIOKafkaProducer(
            **self.config.client_options(),
            client_id="triggerhub-relay",
            acks="all",
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=int(DEADLINE_S * 1000),
            retry_backoff_ms=50,
            metadata_max_age_ms=10_000,
        )
        try:
            await self._producer.start()
            await self._check_partitions()
        except BaseException:
            await self._producer.stop()
            raise
        return self

    async def _check_partitions(self) -> None:
        found = await self._producer.partitions_for(self.config.topic)
        if len(found) != self.config.partitions:
            raise OtherTopic(f"topic {self.config.topic} has {len(found)} partitions")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._ends.close()
        try:
            async with asyncio.timeout(5):
                await self._producer.stop()
        except (TimeoutError, KafkaError) as problem:
            log.warning("relay.producer_stop_failed", error=repr(problem))

    async def send(self, events: Sequence[StoredEvent], previous: Mapping[int, int]) -> dict[int, Acknowledged]:
        """Publish events and wait until all are acknowledged. `previous`: last position per partition.

        Returns what each partition acknowledged. Raises KafkaError, TopicLost among them.
        """
        by_partition: dict[int, list[StoredEvent]] = {}
        for event in events:
            by_partition.setdefault(partition_of(event.ordering_key, self.config.partitions), []).append(event)
        tasks = {
            partition: asyncio.create_task(self._send_partition(partition, batch, previous.get(partition, 0)))
            for partition, batch in by_partition.items()
        }
        try:
            await self._wait(set(tasks.values()))
        finally:
            for task in tasks.values():
                task.cancel()
        return {partition: task.result() for partition, task in tasks.items()}

    async def _wait(self, waiting: "set[asyncio.Task[Acknowledged]]") -> None:
        deadline = asyncio.get_running_loop().time() + DEADLINE_S
        while waiting:
            done, waiting = await asyncio.wait(waiting, timeout=PATIENCE_S, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
            if waiting and not done:
                await self.end_offsets()
                if asyncio.get_running_loop().time() > deadline:
                    raise KafkaConnectionError("the broker does not acknowledge")

    async def _send_partition(self, partition: int, events: list[StoredEvent], previous: int) -> Acknowledged:
        builder = self._producer.create_batch()
        futures = []
        for event in events:
            key, value = event.ordering_key.bytes, envelope.encode(event, previous)
            headers = [(HEADER, seal(self.config.message_key, partition, value))]
            if builder.append(key=key, value=value, timestamp=None, headers=headers) is None:
                futures.append(await self._producer.send_batch(builder, self.config.topic, partition=partition))
                builder = self._producer.create_batch()
                builder.append(key=key, value=value, timestamp=None, headers=headers)
            previous = event.position
        futures.append(await self._producer.send_batch(builder, self.config.topic, partition=partition))
        metadata: list[RecordMetadata] = await asyncio.gather(*futures)
        return Acknowledged(metadata[0].offset, metadata[-1].offset, previous)

    async def end_offsets(self) -> dict[int, int]:
        """The next offset of each partition, asked afresh. Raises TopicLost when there is no such topic."""
        return await self._ends.ask()
