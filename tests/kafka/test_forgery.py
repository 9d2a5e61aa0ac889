"""Whoever reaches the broker can write to the topic: nothing of that is believed, and nothing stops by it."""

from collections.abc import AsyncIterator, Callable
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer

from domain import envelope
from domain.hook.request import Request
from domain.log.event import StoredEvent, StreamKind
from domain.registry import encode
from domain.run.events import RunCompleted, RunRequested, StepSucceeded
from domain.seal import HEADER, seal
from sql.process.clock import new_id, now
from tests.support.bench import MESSAGE_KEY, PARTITIONS, Bench
from tests.support.broker import Broker, topic_records
from tests.support.builders import TENANT
from tests.support.sink import Sink


@pytest.fixture
async def stranger(broker: Broker) -> AsyncIterator[AIOKafkaProducer]:
    """Somebody who reaches the broker, and has no key."""
    producer = AIOKafkaProducer(bootstrap_servers=broker.servers)
    await producer.start()
    yield producer
    await producer.stop()


def a_request(zap_id: UUID, position: int, previous: int) -> bytes:
    """A message that asks for a run, as the relay would write it."""
    event = RunRequested(zap_id=zap_id, zap_version=1, source="webhook", request=Request(body="the stranger's"))
    run_id = new_id()
    stored = StoredEvent(
        position,
        StreamKind.RUN,
        run_id,
        1,
        TENANT,
        run_id,
        new_id(),
        "zap.run.requested",
        1,
        now(),
        b"{}",
        encode(event),
    )  # fmt: skip
    return envelope.encode(stored, previous)


SEALS: dict[str, Callable[[int, bytes], list[tuple[str, bytes]]]] = {
    "none": lambda _partition, _value: [],
    "empty": lambda _partition, _value: [(HEADER, b"")],
    "of no key": lambda partition, value: [(HEADER, seal(b"", partition, value))],
    "of another key": lambda partition, value: [(HEADER, seal(b"guessed", partition, value))],
    "of another partition": lambda partition, value: [(HEADER, seal(MESSAGE_KEY, partition + 1, value))],
}


@pytest.mark.parametrize("forged", SEALS)
async def test_a_forged_message_runs_nothing_and_stops_nothing(
    bench: Bench, stranger: AIOKafkaProducer, sink: Sink, forged: str
) -> None:
    zap = await bench.zap({"url": sink.url, "body": "{{ trigger.body }}"})
    await bench.has(await bench.request(zap), StepSucceeded, RunCompleted)
    head = await bench.store.head()
    for position in (head + 1, 10**15, 2**62):
        for partition in range(PARTITIONS):
            value = a_request(zap, position, 0)
            await stranger.send_and_wait(
                bench.topic, value, partition=partition, headers=SEALS[forged](partition, value)
            )
    for run_id in [await bench.request(zap) for _ in range(20)]:
        await bench.has(run_id, StepSucceeded, RunCompleted)
    assert sink.count == 21
    gates = await bench.store.pool.fetchval("select max(position) from proj.gates where consumer = 'runner'")
    assert gates is None or gates <= await bench.store.head()


async def test_genuine_messages_that_are_played_again_elsewhere_do_nothing(
    bench: Bench, broker: Broker, stranger: AIOKafkaProducer, sink: Sink
) -> None:
    zap = await bench.zap({"url": sink.url})
    run_ids = [await bench.request(zap) for _ in range(10)]
    for run_id in run_ids:
        await bench.has(run_id, StepSucceeded, RunCompleted)
    records = await topic_records(broker.servers, bench.topic, PARTITIONS)
    # What other tests have forged for another partition is genuine there.
    for record in [one for one in records if one.value and envelope.decode(one.value).subject in run_ids]:
        for partition in range(PARTITIONS):
            await stranger.send(
                bench.topic, record.value, key=record.key, partition=partition, headers=list(record.headers)
            )
    await stranger.flush()
    for run_id in [await bench.request(zap) for _ in range(10)]:
        await bench.has(run_id, StepSucceeded, RunCompleted)
    assert sink.count == 20
