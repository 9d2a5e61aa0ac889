"""A broker that is started anew, again and again, leaves nothing in the memory of who reads from it."""

import asyncio
import gc
import logging
import weakref

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.conn import AIOKafkaConnection

from consumers.kafka.subscription import ConsumerConfig, Records, Subscription
from relay.topic import KafkaConfig, ensure_topic
from tests.support.broker import APACHE, Broker, running_broker, topic_name

pytestmark = pytest.mark.skipif(APACHE, reason="only a broker that forgets is started anew all the time")


async def test_what_a_lost_broker_has_sent_does_not_stay(dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    """Errors refer to one another and to the last answers, which may be megabytes: a cycle for each connection lost."""
    caplog.set_level(logging.CRITICAL, "aiokafka")  # pytest keeps what is logged, and the errors with it
    topic, taken, stop = topic_name(), asyncio.Event(), asyncio.Event()

    async def handle(_records: Records) -> None:
        taken.set()

    async with running_broker() as broker:
        await _send(broker, topic)
        config = ConsumerConfig(broker.servers, topic, "reader", max_records=10, alone=1)
        subscription = Subscription(config, handle, _ignore, _ignore, dsn=dsn)
        reading = asyncio.create_task(subscription.run(stop))
        await asyncio.wait_for(taken.wait(), 30)
        before = [
            weakref.ref(found)
            for found in gc.get_objects()
            if isinstance(found, AIOKafkaConnection) and found.connected()
        ]
        taken.clear()
        await broker.wipe()
        await _send(broker, topic)
        await asyncio.wait_for(taken.wait(), 30)
        assert before
        assert not [found for connection in before if (found := connection())]
        stop.set()
        await reading


async def _send(broker: Broker, topic: str) -> None:
    await ensure_topic(KafkaConfig(broker.servers, topic, 1), {})
    producer = AIOKafkaProducer(bootstrap_servers=broker.servers)
    await producer.start()
    await producer.send_and_wait(topic, b"value", partition=0)
    await producer.stop()


async def _ignore(_partitions: object) -> None:
    pass
