"""The topic on the broker: created explicitly, and checked for having been wiped."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaConnectionError,
    KafkaError,
    NoError,
    TopicAlreadyExistsError,
    UnsupportedVersionError,
    for_code,
)
from aiokafka.structs import TopicPartition

from relay.leader import Sent
from relay.rewind import is_needed

log = structlog.get_logger()
_TIMEOUT_MS = 5_000
_HOUR_MS = 3_600_000
_TRIES = 20
"""How often the topic is made before the relay gives up against clients that have the broker make another."""


class KafkaConfig(msgspec.Struct, frozen=True):
    """Where and what to publish. `retention_hours` 0: as the broker does by default. `create`: make a missing topic.

    `security` holds what aiokafka's clients need for a password or TLS. `message_key` seals messages, see domain.seal.
    """

    bootstrap_servers: str
    topic: str
    partitions: int
    replication_factor: int = 1
    retention_hours: int = 0
    create: bool = True
    security: Mapping[str, object] = {}
    message_key: bytes = b""

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments of every aiokafka client."""
        return {"bootstrap_servers": self.bootstrap_servers, **self.security}


class TopicLost(KafkaError):
    """The topic is gone, or ends before what was acknowledged: the broker was wiped or the topic re-created."""


class TopicMissing(KafkaError):
    """The topic does not exist, and the settings forbid the relay to create it."""


class WrongPartitionCount(Exception):
    """The topic exists with another number of partitions than configured; keys would change places."""


class TopicState(msgspec.Struct, frozen=True):
    """The topic as the broker has it."""

    partitions: int
    replication_factor: int


async def ensure_topic(config: KafkaConfig, sent: Sent) -> None:
    """Create the topic if it is missing. Raises TopicMissing when that is not wanted, WrongPartitionCount, KafkaError.

    A broker that came back empty makes the topic by itself, as it likes, for any client that asks for it, and aiokafka
    can not be told to ask otherwise. It is made again as it should be, unless it holds what was `sent` before, or
    messages of somebody else. What the relay itself has published there meanwhile is published again.
    """
    async with _admin(config) as admin:
        for _ in range(_TRIES):
            found = await _partitions(admin, config)
            if found == config.partitions:
                return
            if found:
                await _delete(admin, config, found, sent)
            elif not config.create:
                raise TopicMissing(f"there is no topic {config.topic}: `triggerhub topics` creates it")
            await _create(admin, config)
    raise KafkaError(f"somebody makes topic {config.topic} again and again with another number of partitions")


async def _delete(admin: AIOKafkaAdminClient, config: KafkaConfig, found: int, sent: Sent) -> None:
    if not config.create or is_needed(sent, await _ends(config, found)):
        raise WrongPartitionCount(f"topic {config.topic} has {found} partitions instead of {config.partitions}")
    log.warning("relay.topic_made_again", topic=config.topic, found=found, partitions=config.partitions)
    await admin.delete_topics([config.topic])


async def _partitions(admin: AIOKafkaAdminClient, config: KafkaConfig) -> int:
    """How many the topic has; 0: there is none. All topics are asked for, as asking for one may create it."""
    counts = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
    return counts.get(config.topic, 0)


async def create_topic(config: KafkaConfig) -> bool:
    """Create the topic, whatever the settings allow the relay. Returns whether it was missing. Raises KafkaError."""
    async with _admin(config) as admin:
        return config.topic not in await admin.list_topics() and await _create(admin, config)


async def _create(admin: AIOKafkaAdminClient, config: KafkaConfig) -> bool:
    """Create it explicitly, as auto-created topics have one partition. Returns False if it exists already."""
    settings = {"retention.ms": str(config.retention_hours * _HOUR_MS)} if config.retention_hours else {}
    topic = NewTopic(config.topic, config.partitions, config.replication_factor, topic_configs=settings)
    answer = (await admin.create_topics([topic])).to_object()
    problem = for_code(answer["topic_errors"][0]["error_code"])
    if problem is TopicAlreadyExistsError:
        return False
    if problem is not NoError:
        raise problem(f"topic {config.topic} cannot be created: {answer['topic_errors'][0].get('error_message')}")
    log.info("relay.topic_created", topic=config.topic, partitions=config.partitions)
    return True


async def forget_before(config: KafkaConfig, ends: Mapping[int, int]) -> bool:
    """Delete the topic's records before some offsets. Raises KafkaError.

    False where the broker knows no such request, as the embedded one, which forgets the topic when it is started anew.
    To delete the whole topic under its consumers would hold them up for the better part of a minute.
    """
    wanted = {
        TopicPartition(config.topic, partition): RecordsToDelete(before_offset=end)
        for partition, end in ends.items()
        if end > 0
    }
    try:
        async with _admin(config) as admin:
            await admin.delete_records(wanted)
            return True
    except (KafkaConnectionError, UnsupportedVersionError, IncompatibleBrokerVersion):
        async with _admin(config):  # which raises where there is no broker
            return False


async def describe_topic(config: KafkaConfig) -> TopicState | None:
    """What the broker has; None when there is no such topic. Raises KafkaError."""
    async with _admin(config) as admin:
        # All topics: asking for one by name would make a broker with auto-creation create it.
        found = [topic for topic in await admin.describe_topics() if topic["topic"] == config.topic]
        if not found:
            return None
        partitions = found[0]["partitions"]
        return TopicState(len(partitions), len(partitions[0]["replicas"]))


async def topic_settings(config: KafkaConfig) -> Mapping[str, str]:
    """The topic's configuration; empty where the broker does not tell, like the embedded one."""
    wanted = {"retention.ms": None, "cleanup.policy": None, "min.insync.replicas": None}
    with suppress(KafkaError):
        async with _admin(config) as admin:
            (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, config.topic, wanted)])
            (resource,) = answer.to_object()["resources"]
            return {entry["config_names"]: entry["config_value"] for entry in resource["config_entries"]}
    return {}


class TopicEnds:
    """The ends of the topic's partitions, asked over one connection that is kept. Close it after use."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._consumer: AIOKafkaConsumer | None = None

    async def ask(self) -> dict[int, int]:
        """The next offset of each partition. Raises TopicLost when there is no such topic, KafkaError otherwise."""
        try:
            async with asyncio.timeout(_TIMEOUT_MS / 1000):
                return await self._ask()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let the connection go; `ask` makes another one."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(_TIMEOUT_MS / 1000):
                    await consumer.stop()

    async def _ask(self) -> dict[int, int]:
        if self._consumer is None:
            options = self._config.client_options()
            self._consumer = AIOKafkaConsumer(**options, request_timeout_ms=_TIMEOUT_MS, client_id="triggerhub-relay")
            await self._consumer.start()
        if self._config.topic not in await self._consumer.topics():
            raise TopicLost(f"topic {self._config.topic} does not exist any more")
        partitions = [TopicPartition(self._config.topic, number) for number in range(self._config.partitions)]
        ends = await self._consumer.end_offsets(partitions)
        return {partition.partition: offset for partition, offset in ends.items()}


async def _ends(config: KafkaConfig, partitions: int) -> dict[int, int]:
    """The next offset of each of so many partitions."""
    consumer = AIOKafkaConsumer(**config.client_options(), request_timeout_ms=_TIMEOUT_MS, client_id="triggerhub-relay")
    try:
        await consumer.start()
        ends = await consumer.end_offsets([TopicPartition(config.topic, number) for number in range(partitions)])
        return {partition.partition: offset for partition, offset in ends.items()}
    finally:
        await consumer.stop()


@asynccontextmanager
async def _admin(config: KafkaConfig) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**config.client_options(), request_timeout_ms=_TIMEOUT_MS)
    try:
        await admin.start()
        yield admin
    except TimeoutError as error:
        raise KafkaConnectionError(f"{config.bootstrap_servers} does not answer") from error
    finally:
        await admin.close()
