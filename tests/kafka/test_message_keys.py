"""Messages are sealed with a key: while it is replaced, none is lost and none done twice.

A file of its own: a runner of other tests would be of one group with the runners here, and both would begin anew.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from consumers.connectors import catalog
from domain.run.events import RunCompleted, StepSucceeded
from relay import relay
from relay.topic import KafkaConfig
from tests.support.bench import MESSAGE_KEY, PARTITIONS, Bench
from tests.support.broker import Broker, topic_records
from tests.support.eventually import eventually
from tests.support.meanwhile import until_stopped
from tests.support.sink import Sink
from tests.support.stores import patient_store

OLD_KEY = b"the key before"


async def test_messages_from_before_there_was_a_key_are_published_again(dsn: str, broker: Broker, sink: Sink) -> None:
    """After an upgrade, or a new key without the old one, nothing in the topic counts, and no event comes."""
    async with patient_store(dsn) as store:
        bench = Bench(store, broker, catalog())
        async with relaying(bench, b""):
            run_id = await bench.request(await bench.zap({"url": sink.url}))
            await eventually(lambda: published(bench, 4))
        async with relaying(bench, MESSAGE_KEY), bench.another_runner():
            await bench.has(run_id, StepSucceeded, RunCompleted)


async def test_while_the_key_is_replaced_messages_of_both_keys_are_read(dsn: str, broker: Broker, sink: Sink) -> None:
    """The relay has sealed with the one, then with the other. It has ended: nothing is published again."""
    async with patient_store(dsn) as store:
        bench = Bench(store, broker, catalog())
        zap = await bench.zap({"url": sink.url})
        runs = []
        for messages, key in ((4, OLD_KEY), (5, MESSAGE_KEY)):
            runs.append(await bench.request(zap))
            async with relaying(bench, key):
                await eventually(partial(published, bench, messages))
        async with bench.another_runner(message_keys=(MESSAGE_KEY, OLD_KEY)):
            for run_id in runs:
                await bench.has(run_id, StepSucceeded, RunCompleted)


@asynccontextmanager
async def relaying(bench: Bench, key: bytes) -> AsyncIterator[None]:
    config = KafkaConfig(bench.servers, bench.topic, PARTITIONS, message_key=key)
    async with until_stopped(partial(relay.run, bench.store.dsn, config)):
        yield


async def published(bench: Bench, count: int) -> bool:
    return len(await topic_records(bench.servers, bench.topic, PARTITIONS)) >= count
