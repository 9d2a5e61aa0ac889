"""The relay against a real broker: everything arrives, in order per key, whatever happens to the broker."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from structlog.testing import capture_logs

from domain import envelope
from domain.log.event import Metadata, StreamKind
from domain.log.partitioning import partition_of
from domain.run.events import RunCompleted
from projections.engine.engine import Engine
from projections.engine.registry import BY_THEMSELVES
from relay import clearing, relay
from relay.leader import Deposed, lead
from relay.rewind import rewound
from relay.topic import KafkaConfig
from sql.log.forgetting import forget
from sql.postgres.queries import Queries
from sql.process.clock import new_id
from tests.support.broker import APACHE, Broker, topic_name, topic_records
from tests.support.builders import ZAP, a_run_requested, an_append
from tests.support.eventually import PATIENCE_S, eventually
from tests.support.meanwhile import meanwhile, until_stopped
from tests.support.stores import patient_store

PARTITIONS = 4
TOPIC_NEWS = {"relay.topic_new", "relay.topic_lost", "relay.rewound"}
ROOT = Path(__file__).parents[2]
_relay = Queries("queries/relay.sql")
_tail = Queries("queries/tail.sql")


@asynccontextmanager
async def relaying(dsn: str, broker: Broker, topic: str, partitions: int = PARTITIONS) -> AsyncIterator[None]:
    """A relay in this process."""
    async with until_stopped(partial(relay.run, dsn, KafkaConfig(broker.servers, topic, partitions))):
        yield


async def append(dsn: str, count: int, keys: int = 5, body: str = "{}") -> list[int]:
    """Store events under a few ordering keys. Gives their positions."""
    ordering = [new_id() for _ in range(keys)]
    async with patient_store(dsn) as store:
        results = [
            await store.append(an_append(a_run_requested(body), ordering_key=ordering[number % keys]))
            for number in range(count)
        ]
    return [result.position for result in results]  # type: ignore[union-attr]  # a Conflict fails right here


async def positions(broker: Broker, topic: str) -> list[int]:
    return [int(message.position) for message in await broker.messages(topic, PARTITIONS)]


async def published(broker: Broker, topic: str, wanted: Iterable[int], within_s: float = PATIENCE_S) -> None:
    """Wait until all these positions are in the topic."""

    async def all_there() -> bool:
        return set(wanted) <= set(await positions(broker, topic))

    await eventually(all_there, within_s, 0.1)


def by_key(messages: Sequence[envelope.Envelope]) -> dict[UUID, list[int]]:
    found: dict[UUID, list[int]] = {}
    for message in messages:
        found.setdefault(message.orderingkey, []).append(int(message.position))
    return found


async def execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def fetch(dsn: str, query: str, *arguments: object) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


async def test_events_arrive_once_in_order_per_key_and_name_their_predecessor(dsn: str, broker: Broker) -> None:
    topic = topic_name()
    async with relaying(dsn, broker, topic):
        stored = await append(dsn, 60)
        await published(broker, topic, stored)
    messages = await broker.messages(topic, PARTITIONS)
    assert sorted(int(message.position) for message in messages) == stored
    assert all(found == sorted(found) for found in by_key(messages).values())
    last = dict.fromkeys(range(PARTITIONS), 0)
    for message in sorted(messages, key=lambda message: int(message.position)):
        partition = partition_of(message.orderingkey, PARTITIONS)
        assert int(message.previous) == last[partition]
        last[partition] = int(message.position)


async def test_much_at_once_ends_the_rest_between_two_batches(
    dsn: str, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There would be no more in one batch, however long it rested."""
    monkeypatch.setattr(relay, "CALM_PACE_S", 3_600)
    topic = topic_name()
    relayed = relay.run(dsn, KafkaConfig(broker.servers, topic, PARTITIONS), asyncio.Event())
    async with meanwhile(relayed):  # which is cut off: once it is calm again, it rests for an hour
        await published(broker, topic, await append(dsn, 1))
        async with patient_store(dsn) as store:  # all at once: while it rests for so long, it soon is taken for dead
            many = [store.append(an_append(a_run_requested())) for _ in range(relay.BATCH_EVENTS)]
            await published(broker, topic, [stored.position for stored in await asyncio.gather(*many)])  # type: ignore[union-attr]  # as above


async def test_pages_that_are_cut_by_their_bytes_follow_one_another_without_rest(
    dsn: str, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or large payloads of a topic that was lost come back at a page in half a second."""
    wanted, topic = await append(dsn, 100, body="x" * 200_000), topic_name()
    monkeypatch.setattr(relay, "POLL_S", 3_600)
    monkeypatch.setattr("relay.leader.IDLE_S", 3_600)  # or it is taken for dead, and its successor reads a page, too
    async with meanwhile(relay.run(dsn, KafkaConfig(broker.servers, topic, PARTITIONS), asyncio.Event())):
        await eventually(lambda: fetch(dsn, "select position >= $1 from relay.checkpoint", wanted[-1]))


async def test_a_consumer_that_waits_for_the_topic_ends_that_rest_too(
    dsn: str, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "CALM_PACE_S", 3_600)
    topic = topic_name()
    async with meanwhile(relay.run(dsn, KafkaConfig(broker.servers, topic, PARTITIONS), asyncio.Event())):
        await published(broker, topic, await append(dsn, 1))
        waited_for = await append(dsn, 1)
        await execute(dsn, _tail["hurry"])
        await published(broker, topic, waited_for)


async def test_a_large_payload_travels_by_reference(dsn: str, broker: Broker) -> None:
    topic = topic_name()
    async with relaying(dsn, broker, topic):
        stored = await append(dsn, 1, body="x" * (envelope.MAX_INLINE_DATA + 1))
        await published(broker, topic, stored)
    (message,) = await broker.messages(topic, PARTITIONS)
    assert message.stored() is None


async def test_a_wiped_broker_gets_again_what_no_consumer_has_taken(dsn: str, broker: Broker) -> None:
    topic = topic_name()
    async with relaying(dsn, broker, topic):
        before = await append(dsn, 30)
        await published(broker, topic, before)
        await broker.wipe()
        await published(broker, topic, before)
        after = await append(dsn, 10)
        await published(broker, topic, after)


async def test_what_every_consumer_has_taken_is_not_published_again(dsn: str, broker: Broker) -> None:
    """Those that follow the log by themselves may be far behind: they want nothing of the topic."""
    topic = topic_name()
    async with Engine(dsn, BY_THEMSELVES, 1) as engine:
        await engine.start()
    async with relaying(dsn, broker, topic):
        taken = await append(dsn, 30)
        await published(broker, topic, taken)
        await execute(
            dsn,
            "insert into proj.gates (consumer, version, partition, position) "
            f"select 'runner', 1, p, {taken[-1]} from generate_series(0, {PARTITIONS - 1}) p",
        )
        with capture_logs() as said:
            await broker.wipe()
            fresh = await append(dsn, 5)
            await published(broker, topic, fresh)
    assert set(await positions(broker, topic)) == set(fresh)
    about_the_topic = {entry["event"]: entry["log_level"] for entry in said if entry["event"] in TOPIC_NEWS}
    assert about_the_topic == {"relay.topic_new": "info"}


async def test_a_deleted_topic_is_made_anew_and_filled(dsn: str, broker: Broker) -> None:
    topic = topic_name()
    async with relaying(dsn, broker, topic):
        stored = await append(dsn, 20)
        await published(broker, topic, stored)
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.servers)
        await admin.start()
        await admin.delete_topics([topic])
        await admin.close()
        await published(broker, topic, stored)


@pytest.fixture
async def busy(dsn: str, broker: Broker) -> AsyncIterator[str]:
    """The topic of a relay that has published something."""
    topic = topic_name()
    async with relaying(dsn, broker, topic):
        await published(broker, topic, await append(dsn, 5))
        yield topic


async def test_an_outage_of_the_broker_only_delays(dsn: str, broker: Broker, busy: str) -> None:
    await broker.kill()
    during = await append(dsn, 50)
    await eventually(lambda: fetch(dsn, _relay["lag"]))
    await broker.start()
    await published(broker, busy, during)


async def test_a_cut_database_connection_only_delays(dsn: str, broker: Broker, busy: str) -> None:
    for _ in range(3):
        await execute(
            dsn,
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'triggerhub relay' and datname = current_database()",
        )
        await published(broker, busy, await append(dsn, 5))


async def test_a_wish_to_rewind_publishes_again_from_there(dsn: str, broker: Broker) -> None:
    topic = topic_name()
    async with relaying(dsn, broker, topic):
        stored = await append(dsn, 10)
        await published(broker, topic, stored)
        connection = await asyncpg.connect(dsn)
        await connection.execute(_relay["ask_rewind"], stored[4])
        await connection.close()

        async def again() -> bool:
            found = await positions(broker, topic)
            return all(found.count(position) == 2 for position in stored[5:])

        await eventually(again, interval_s=0.1)
        found = await positions(broker, topic)
        assert [found.count(position) for position in stored[:5]] == [1] * 5
        # Who has seen everything finds no gap: it would ask for more, from the last message of a quiet partition on.
        named = {(message.position, message.previous) for message in await broker.messages(topic, PARTITIONS)}
        assert len(named) == len(stored)


async def test_a_gap_in_the_log_stops_the_relay_before_it(dsn: str, broker: Broker) -> None:
    topic = topic_name()
    stored = await append(dsn, 10)
    await execute(dsn, "set session_replication_role = replica", f"delete from es.events where position = {stored[5]}")
    async with relaying(dsn, broker, topic):
        await eventually(lambda: fetch(dsn, "select epoch >= 3 from relay.checkpoint"))
        assert await fetch(dsn, "select position from relay.checkpoint") == 0


async def test_a_restored_log_stops_the_relay_until_it_is_told_to_rewind(dsn: str, broker: Broker) -> None:
    topic = topic_name()
    stored = await append(dsn, 10)
    await execute(dsn, "update relay.checkpoint set position = 1000")
    async with relaying(dsn, broker, topic):
        await eventually(lambda: fetch(dsn, "select epoch >= 2 from relay.checkpoint"))
        connection = await asyncpg.connect(dsn)
        await connection.execute(_relay["ask_rewind"], 0)
        await connection.close()
        await published(broker, topic, stored)


async def test_a_deposed_leader_can_not_move_the_checkpoint(dsn: str) -> None:
    stop, wake = asyncio.Event(), asyncio.Event()
    async with lead(dsn, stop, wake) as old:
        assert old is not None
        await execute(dsn, "update relay.checkpoint set epoch = epoch + 1")
        with pytest.raises(Deposed):
            await old.advance(5, {})
        with pytest.raises(Deposed):
            await old.rewind(0, {})


WAITING = (
    "select count(*) = 2 from pg_stat_activity"
    " where application_name = 'triggerhub relay' and datname = current_database()"
)


async def start(dsn: str, broker: Broker, topic: str, partitions: int = PARTITIONS) -> asyncio.subprocess.Process:
    """A relay as a process."""
    environment = os.environ | {
        "TRIGGERHUB_DATABASE_URL": dsn,
        "TRIGGERHUB_KAFKA_BOOTSTRAP_SERVERS": broker.servers,
        "TRIGGERHUB_KAFKA_TOPIC": topic,
        "TRIGGERHUB_KAFKA_PARTITIONS": str(partitions),
        "TRIGGERHUB_JWT_SECRET": "x" * 40,
        "TRIGGERHUB_ENCRYPTION_KEY": "A" * 43 + "=",
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", "relay"),
        env=environment,
        cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_a_leader_that_is_stopped_loses_its_place_and_publishes_nothing_afterwards(
    dsn: str, broker: Broker
) -> None:
    topic = topic_name()
    leader = await start(dsn, broker, topic)
    standby = None
    try:
        await published(broker, topic, await append(dsn, 3))
        standby = await start(dsn, broker, topic)
        await eventually(lambda: fetch(dsn, WAITING))
        epoch = await fetch(dsn, "select epoch from relay.checkpoint")
        os.kill(leader.pid, signal.SIGSTOP)
        stored = await append(dsn, 20)
        await published(broker, topic, stored)
        assert await fetch(dsn, "select epoch from relay.checkpoint") != epoch
        os.kill(leader.pid, signal.SIGCONT)
        await eventually(lambda: fetch(dsn, WAITING))  # it is back, and waits
        later = await append(dsn, 20)
        await published(broker, topic, later)
        found = await positions(broker, topic)
        assert [position for position in stored + later if found.count(position) != 1] == []
    finally:
        for process in (leader, standby):
            if process is not None:
                process.kill()
                await process.wait()


async def test_a_topic_that_a_client_had_the_broker_make_is_made_as_it_should_be(dsn: str, broker: Broker) -> None:
    topic, partitions = topic_name(), PARTITIONS + 3
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 2, 1)])
    async with relaying(dsn, broker, topic, partitions):
        stored = await append(dsn, 20)

        async def all_there() -> bool:
            return {int(message.position) for message in await broker.messages(topic, partitions)} >= set(stored)

        await eventually(all_there, interval_s=0.1)
        found = {each["topic"]: len(each["partitions"]) for each in await admin.describe_topics()}
        assert found[topic] == partitions
    await admin.close()


async def test_a_topic_that_holds_messages_is_left_alone_and_the_relay_ends_with_what_to_do(
    dsn: str, broker: Broker
) -> None:
    topic = topic_name()
    async with relaying(dsn, broker, topic):
        await published(broker, topic, await append(dsn, 3))
    process = await start(dsn, broker, topic, PARTITIONS + 1)
    _out, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert f"has {PARTITIONS} partitions" in said.decode()
    assert "TRIGGERHUB_KAFKA_PARTITIONS" in said.decode()


@pytest.mark.parametrize("noticed", [False, True])
async def test_a_topic_that_came_back_otherwise_and_took_a_batch_is_made_as_it_should_be(
    dsn: str, broker: Broker, noticed: bool
) -> None:
    """A broker forgot the topic, a client had it made, and the relay published once before it noticed, or died."""
    topic = topic_name()
    async with relaying(dsn, broker, topic):
        await published(broker, topic, stored := await append(dsn, 20))
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.servers)
    producer = AIOKafkaProducer(bootstrap_servers=broker.servers)
    await admin.start()
    await admin.delete_topics([topic])
    await admin.create_topics([NewTopic(topic, 2, 1)])
    await producer.start()
    await producer.send_and_wait(topic, key=b"the relay's", partition=1)
    await producer.stop()
    if noticed:
        async with lead(dsn, asyncio.Event(), asyncio.Event()) as leader:
            assert leader is not None
            await leader.rewind(0, rewound(leader.checkpoint.sent, 0, {}, 0))
    async with relaying(dsn, broker, topic):
        await published(broker, topic, stored)
    found = {each["topic"]: len(each["partitions"]) for each in await admin.describe_topics()}
    assert found[topic] == PARTITIONS
    await admin.close()


async def test_a_standby_takes_over_within_five_seconds_of_a_kill(dsn: str, broker: Broker) -> None:
    topic = topic_name()
    leader = await start(dsn, broker, topic)
    try:
        await published(broker, topic, await append(dsn, 3))
        standby = await start(dsn, broker, topic)
        try:
            await eventually(lambda: fetch(dsn, WAITING))
            os.kill(leader.pid, signal.SIGKILL)
            await published(broker, topic, await append(dsn, 3), within_s=5)
        finally:
            standby.terminate()
            await standby.wait()
    finally:
        with suppress(ProcessLookupError):
            leader.kill()
        await leader.wait()


async def test_what_was_erased_leaves_the_topic_once_every_consumer_has_passed_it(
    dsn: str, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clearing, "LOOK_S", 0.1)
    topic, canary = topic_name(), "canary-of-the-topic"
    async with patient_store(dsn) as store, relaying(dsn, broker, topic):
        run_id, tenant_id = new_id(), new_id()
        started, ended = a_run_requested(f'{{"mail": "{canary}"}}'), RunCompleted(zap_id=ZAP)
        await store.append(an_append(started, ended, stream_id=run_id, tenant_id=tenant_id, ordering_key=run_id))
        await published(broker, topic, [await store.head()])

        async def canaries() -> int:
            records = await topic_records(broker.servers, topic, PARTITIONS)
            return sum(canary.encode() in (record.value or b"") for record in records)

        assert await canaries() == 1
        events = await store.read_stream(StreamKind.RUN, run_id)
        await forget(store.pool, new_id, events, ZAP, Metadata())
        await published(broker, topic, [await store.head()])
        connection = await asyncpg.connect(dsn)
        # The runner has not passed it yet.
        await connection.execute(
            "insert into proj.gates select 'runner', 1, p, 0 from generate_series(0, $1) p", PARTITIONS - 1
        )
        await published(broker, topic, await append(dsn, 5))
        assert await canaries() == 1
        await connection.execute("update proj.gates set position = $1", await store.head())

        async def cleared() -> bool:
            return bool(await connection.fetchval("select cleared from relay.checkpoint"))

        await eventually(cleared)
        await published(broker, topic, await append(dsn, 5))
        # The embedded broker cannot, and keeps the topic as it is.
        assert await canaries() == (0 if APACHE else 1)
        await connection.close()
