"""The topic on the broker: made explicitly, and watched for having been wiped."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code
from aiokafka.structs import TopicPartition

log = structlog.get_logger()
_TIMEOUT_MS = 5_000


class KafkaConfig(msgspec.Struct, frozen=True):
    """Where and what to publish."""

    bootstrap_servers: str
    topic: str
    partitions: int
    replication_factor: int = 1


class TopicLost(KafkaError):
    """The topic is gone, or ends before what was acknowledged: the broker was wiped or the topic re-created."""


async def ensure_topic(config: KafkaConfig) -> None:
    """Create the topic if it is missing: explicitly, as auto-created ones have one partition. Raises KafkaError."""
    async with _admin(config) as admin:
        if config.topic in await admin.list_topics():
            return
        topic = NewTopic(config.topic, config.partitions, config.replication_factor)
        answer = (await admin.create_topics([topic])).to_object()
        for error in answer["topic_errors"]:
            problem = for_code(error["error_code"])
            if problem not in {NoError, TopicAlreadyExistsError}:
                raise problem(f"topic {config.topic} can not be created: {error.get('error_message')}")
        log.info("relay.topic_created", topic=config.topic, partitions=config.partitions)


async def end_offsets(config: KafkaConfig) -> dict[int, int]:
    """The next offset of each partition. Raises TopicLost when there is no such topic, KafkaError otherwise."""
    async with _admin(config) as admin:
        if config.topic not in await admin.list_topics():
            raise TopicLost(f"topic {config.topic} does not exist any more")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=config.bootstrap_servers,
        request_timeout_ms=_TIMEOUT_MS,
        client_id="triggerhub-relay",
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(config.topic, number) for number in range(config.partitions)]
        ends = await consumer.end_offsets(partitions)
        return {partition.partition: offset for partition, offset in ends.items()}
    finally:
        await consumer.stop()


@asynccontextmanager
async def _admin(config: KafkaConfig) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=config.bootstrap_servers, request_timeout_ms=_TIMEOUT_MS)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()
