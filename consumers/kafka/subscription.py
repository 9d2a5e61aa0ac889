"""FastStream wiring: a batch subscriber that hands over raw records, with explicit acknowledgement.

FastStream's defaults would acknowledge before the work, start at the topic's end, create one-partition topics and
swallow what handlers raise; each is set otherwise here, or dealt with by the handler.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaMessage
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from consumers.kafka.patience import rest
from domain.kafka import NO_SECURITY, KafkaSecurity

log = structlog.get_logger()

Record: TypeAlias = "ConsumerRecord[bytes, bytes]"
Records: TypeAlias = tuple[Record, ...]


class ConsumerConfig(msgspec.Struct, frozen=True):
    """One consumer group on the topic.

    `fetch_wait_ms` is how long the broker may hold a fetch that finds nothing. `pace_s` is the least time between two
    full-speed batches: many small fetches cost the broker, and everybody else on the machine, more than a short rest.
    """

    bootstrap_servers: str
    topic: str
    group: str
    max_records: int
    fetch_wait_ms: int = 10
    pace_s: float = 0.0
    security: KafkaSecurity = NO_SECURITY


_SASL = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


class Subscription:
    """A running batch subscriber; `commit` takes explicit offsets, as a plain ack would take all that was fetched."""

    def __init__(
        self,
        config: ConsumerConfig,
        handle: Callable[[Records], Awaitable[None]],
        assigned: Callable[[Sequence[int]], Awaitable[None]],
        revoked: Callable[[Sequence[int]], Awaitable[None]],
    ) -> None:
        self._config = config
        self._broker = KafkaBroker(
            config.bootstrap_servers.split(","),  # one text with several servers would be one address to it
            security=_security(config.security),
            allow_auto_create_topics=False,
            apply_types=False,
            logger=None,
            metadata_max_age_ms=5_000,
            retry_backoff_ms=50,
            client_id=f"triggerhub-{config.group}",
            graceful_timeout=None,
        )
        self._subscriber = self._broker.subscriber(
            config.topic,
            batch=True,
            group_id=config.group,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            batch_timeout_ms=1,
            max_records=config.max_records,
            fetch_max_wait_ms=config.fetch_wait_ms,
            session_timeout_ms=6_000,
            heartbeat_interval_ms=1_000,
            listener=_Listener(assigned, revoked),
            parser=_parse,
            decoder=_decode,
        )
        self._subscriber(handle)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop`. Raises KafkaError when the broker can not be reached at the start."""
        await wait_for_topic(self._config, stop)
        if stop.is_set():
            return
        try:
            await self._broker.start()
            self._wait_for_records()
            await stop.wait()
        finally:
            with suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(5):
                    await self._broker.stop()

    def _wait_for_records(self) -> None:
        """Let getmany return only with records: after an empty poll FastStream sleeps, which would delay the next."""
        consumer: AIOKafkaConsumer | None = self._subscriber.consumer
        assert consumer is not None, "the broker has just started it"
        poll = consumer.getmany
        rest_s = 0.0

        async def getmany(*, timeout_ms: int, max_records: int | None) -> dict[TopicPartition, list[Record]]:
            del timeout_ms  # what FastStream would wait for an empty answer
            nonlocal rest_s
            if rest_s:
                await asyncio.sleep(rest_s)
            while True:
                found: dict[TopicPartition, list[Record]] = await poll(timeout_ms=1_000, max_records=max_records)
                if found:
                    # Behind a full batch there is more: only a reader that has caught up may rest.
                    caught_up = sum(map(len, found.values())) < self._config.max_records
                    rest_s = self._config.pace_s if caught_up else 0.0
                    return found

        consumer.getmany = getmany  # type: ignore[method-assign,assignment]  # aiokafka has no hook for this

    def owned(self) -> set[int]:
        """The partitions assigned to this consumer at this moment."""
        consumer: AIOKafkaConsumer | None = self._subscriber.consumer
        return {tp.partition for tp in consumer.assignment()} if consumer else set()

    async def commit(self, offsets: dict[int, int]) -> None:
        """Commit the next offset of each partition: a hint for the next start, so a failure is only logged."""
        consumer: AIOKafkaConsumer | None = self._subscriber.consumer
        if consumer is None:
            return
        owned = self.owned()
        wanted = {TopicPartition(self._config.topic, p): offset for p, offset in offsets.items() if p in owned}
        try:
            if wanted:
                async with asyncio.timeout(5):
                    await consumer.commit(wanted)
        except (KafkaError, TimeoutError) as error:
            log.info("consumer.commit_failed", group=self._config.group, error=repr(error))


class _Listener(ConsumerRebalanceListener):
    def __init__(
        self,
        assigned: Callable[[Sequence[int]], Awaitable[None]],
        revoked: Callable[[Sequence[int]], Awaitable[None]],
    ) -> None:
        self._assigned = assigned
        self._revoked = revoked

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        await self._assigned([partition.partition for partition in assigned])

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        await self._revoked([partition.partition for partition in revoked])


async def _parse(records: Records) -> KafkaMessage:
    return KafkaMessage(body=b"", raw_message=records, consumer=FAKE_CONSUMER)


async def _decode(message: KafkaMessage) -> object:
    return message.raw_message


def _security(security: KafkaSecurity) -> BaseSecurity:
    """The same in FastStream's words."""
    if not security.mechanism:
        return BaseSecurity(ssl_context=security.tls)
    return _SASL[security.mechanism](security.username, security.password, ssl_context=security.tls)


async def wait_for_topic(config: ConsumerConfig, stop: asyncio.Event) -> None:
    """Return once the relay has made the topic: a consumer that subscribes earlier would learn of it late."""
    while not stop.is_set():
        try:
            if config.topic in await _topics(config):
                return
            log.debug("consumer.waiting_for_topic", topic=config.topic)
        except (KafkaError, OSError) as error:
            log.warning("consumer.broker_unreachable", error=repr(error))
        await rest(stop, 0.3)


async def _topics(config: ConsumerConfig) -> list[str]:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=config.bootstrap_servers,
        request_timeout_ms=5_000,
        **parse_security(_security(config.security)),
    )
    try:
        await admin.start()
        topics: list[str] = await admin.list_topics()
        return topics
    finally:
        await admin.close()
