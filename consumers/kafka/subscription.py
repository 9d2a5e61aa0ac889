"""FastStream wiring: a batch subscriber that hands over raw records, with explicit acknowledgement.

FastStream's defaults would acknowledge before the work, start at the topic's end, create one-partition topics and
swallow what handlers raise; each is set otherwise here, or dealt with by the handler.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext, suppress
from typing import TypeAlias

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import ConnectionGroup
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka import TopicPartition as Partition
from faststream.kafka.message import FAKE_CONSUMER, KafkaMessage
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity

from consumers.kafka.presence import Presence
from sql.process.memory import give_back
from sql.process.patience import rest

log = structlog.get_logger()

FETCH_WAIT_MS = 10
"""How long the broker may hold a fetch that finds nothing. The embedded one does so, whatever comes meanwhile."""
LOOK_MS = 8
"""How long to wait for it: less, or aiokafka would send the next fetch before this one is known to be the last."""
SLOW_S = 0.5
"""Between two looks at a topic that has nothing new, as far as is known: what a hint that was lost costs."""
SLOWEST_S = 2.0
"""The same where somebody looks out for news. Longer, and repeats of what came from the log are large lumps."""
FETCHER_S = 2.0
"""How often aiokafka looks whether there is something to fetch; what makes it fetch wakes it at once."""
PUBLISHED_S = 0.05
"""How long it takes from a hint until the relay has published: who is in no hurry looks then, and once."""
EXPECT_S = 0.25
"""How long the topic is read without rest after a hint that something will come."""

FETCH_BYTES = 256 * 1024
"""Asked for of each partition at once: all of them give several batches to who is behind. More would only wait."""

Record: TypeAlias = "ConsumerRecord[bytes, bytes]"
Records: TypeAlias = tuple[Record, ...]

NO_SECURITY = BaseSecurity()

SESSION_MS = 6_000
"""How long a consumer that died without a word keeps its partitions: the least that brokers allow by default."""
HEARTBEAT_MS = 500
"""How soon the others then hear that the partitions are to be shared anew."""


class ConsumerConfig(msgspec.Struct, frozen=True):
    """One consumer group on the topic.

    `pace_s` is the least time between two batches for who has caught up: many small fetches cost the broker, and
    everybody else on the machine, more than a short rest. `alone`: how many partitions to read without a group, as
    there is one such consumer only; 0 in a group, which takes seconds to join. `message_keys`: those whose seals
    count, see domain.seal.
    """

    bootstrap_servers: str
    topic: str
    group: str
    max_records: int
    pace_s: float = 0.0
    security: BaseSecurity = NO_SECURITY
    alone: int = 0
    message_keys: tuple[bytes, ...] = (b"",)


class Subscription:
    """A running batch subscriber; `commit` takes explicit offsets, as a plain ack would take all that was fetched."""

    def __init__(
        self,
        config: ConsumerConfig,
        handle: Callable[[Records], Awaitable[None]],
        assigned: Callable[[Sequence[int]], Awaitable[None]],
        revoked: Callable[[Sequence[int]], Awaitable[None]],
        *,
        dsn: str,
    ) -> None:
        """`dsn`: the database in which members of a group see who of them lives."""
        self._config = config
        self._presence = Presence(dsn, config.bootstrap_servers, config.group, config.security)
        self._assigned = assigned
        self._expected = asyncio.Event()
        self._expected_until = 0.0
        self._connections: set[AIOKafkaConnection] = set()
        self.leads: Callable[[], bool] = lambda: False
        """Whether the consumer has all events already, in another way, and will go on to."""
        self.watched: Callable[[], bool] = lambda: False
        """Whether `expect` is called when there is something new, also where a hint was lost."""
        alone = [Partition(config.topic, number, declare=False) for number in range(config.alone)]
        self._broker = KafkaBroker(
            config.bootstrap_servers.split(","),  # one text with several servers would be one address to it
            security=config.security,
            allow_auto_create_topics=False,
            apply_types=False,
            logger=None,
            metadata_max_age_ms=5_000,
            retry_backoff_ms=50,
            client_id=self._presence.client_id,
            graceful_timeout=None,
        )
        self._subscriber = self._broker.subscriber(
            *(() if alone else (config.topic,)),
            partitions=alone,
            batch=True,
            group_id=None if alone else config.group,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            batch_timeout_ms=1,
            max_records=config.max_records,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=FETCH_BYTES,
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            listener=None if alone else _Listener(assigned, revoked),
            parser=_parse,
            decoder=_decode,
        )
        self._subscriber(handle)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop`. Raises KafkaError or what connections raise, at the start."""
        await wait_for_topic(self._config, stop)
        if stop.is_set():
            return
        async with nullcontext() if self._config.alone else self._presence.shown():
            await self._consume(stop)

    async def _consume(self, stop: asyncio.Event) -> None:
        try:
            await self._broker.start()
            self._read_at_a_pace(self._consumer)
            if self._config.alone:
                await self._assigned(range(self._config.alone))
            await stop.wait()
        finally:
            with suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(5):
                    await self._broker.stop()

    @property
    def _consumer(self) -> AIOKafkaConsumer:
        consumer: AIOKafkaConsumer | None = self._subscriber.consumer
        assert consumer is not None, "the broker has started it"
        return consumer

    def is_owner(self) -> bool:
        """Whether the partitions are surely ours: nobody shares them, or the group's coordinator is in touch."""
        if self._config.alone:
            return True
        consumer: AIOKafkaConsumer | None = self._subscriber.consumer
        if consumer is None:
            return False
        # aiokafka knows of a lost broker, and does not tell.
        key = (getattr(consumer._coordinator, "coordinator_id", None), ConnectionGroup.COORDINATION)  # noqa: SLF001
        connection = consumer._client._conns.get(key)  # noqa: SLF001
        return connection is not None and connection.connected()

    def expect(self) -> None:
        """Something will come soon: read the topic without rest for a while."""
        self._expected_until = asyncio.get_running_loop().time() + EXPECT_S
        self._expected.set()

    def _read_at_a_pace(self, consumer: AIOKafkaConsumer) -> None:
        """Let getmany return only with records, and fetch only when something may have come.

        After an empty poll FastStream would sleep, which delays the next; and aiokafka would fetch without end.
        """
        fetcher = consumer._fetcher  # noqa: SLF001 - aiokafka has no setting for how often it looks
        assert fetcher is not None, "a started consumer has one"
        fetcher._fetcher_timeout = FETCHER_S  # noqa: SLF001
        poll = consumer.getmany
        behind = False

        async def getmany(*, timeout_ms: int, max_records: int | None) -> dict[TopicPartition, list[Record]]:
            del timeout_ms  # what FastStream would wait for an empty answer
            nonlocal behind
            while True:
                if not behind:
                    await self._rest(consumer)
                found: dict[TopicPartition, list[Record]] = await poll(timeout_ms=LOOK_MS, max_records=max_records)
                if self._config.alone:
                    self._start_anew(consumer)
                # Behind a full batch there is more: only a reader that has caught up may rest.
                behind = sum(map(len, found.values())) >= self._config.max_records
                if found:
                    self.expect()
                    return found

        consumer.getmany = getmany  # type: ignore[method-assign,assignment]  # aiokafka has no hook for this

    async def _rest(self, consumer: AIOKafkaConsumer) -> None:
        """Wait until it may be worth to fetch. Partitions that are paused are not fetched."""
        pace_s = self._config.pace_s
        if not pace_s and self._is_expecting():
            return
        consumer.pause(*consumer.assignment())
        await asyncio.sleep(pace_s)
        if not self._is_expecting():
            self._expected.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout((SLOWEST_S if self.watched() else SLOW_S) - pace_s):
                    await self._expected.wait()
                    await asyncio.sleep(min(pace_s, PUBLISHED_S))
        consumer.resume(*consumer.paused())

    def _is_expecting(self) -> bool:
        return not self.leads() and asyncio.get_running_loop().time() < self._expected_until

    def _start_anew(self, consumer: AIOKafkaConsumer) -> None:
        """The embedded broker starts empty. Of an offset beyond its new topic's end it gives nothing, and no error."""
        # aiokafka connects again by itself, and does not tell.
        found = [conn for conn in consumer._client._conns.values() if conn.connected()]  # noqa: SLF001
        before, self._connections = self._connections, set(found) or self._connections
        if before and found and not before & self._connections:
            log.info("consumer.broker_is_back", group=self._config.group)
            for partition in consumer.assignment():
                consumer.seek(partition, 0)
            before.clear()
            give_back()

    def owned(self) -> set[int]:
        """The partitions assigned to this consumer at this moment."""
        consumer: AIOKafkaConsumer | None = self._subscriber.consumer
        return {tp.partition for tp in consumer.assignment()} if consumer else set()

    async def commit(self, offsets: dict[int, int]) -> None:
        """Commit the next offset of each partition: a hint for the next start, so a failure is only logged."""
        consumer: AIOKafkaConsumer | None = self._subscriber.consumer
        if consumer is None or self._config.alone:
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


async def wait_for_topic(config: ConsumerConfig, stop: asyncio.Event) -> None:
    """Wait until the relay has created the topic: a consumer that subscribes earlier notices it late."""
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
        **parse_security(config.security),
    )
    try:
        await admin.start()
        topics: list[str] = await admin.list_topics()
        return topics
    finally:
        await admin.close()
