"""A user's own topic starts runs: each message one, whoever reads, and whatever lies in the topic."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from consumers.connectors import kafka
from consumers.dialogues import kafka_loop
from consumers.dialogues.dialogues import WALL_S, Dialogues
from consumers.dialogues.kafka_loop import KafkaLoop
from consumers.dialogues.reading import Reading
from consumers.outbound.addresses import parse_networks
from consumers.outbound.client import Outbound
from domain.aggregates import ZAP
from domain.connector.descriptor import ActionContext
from domain.connector.http_client import Unreachable
from domain.connector.outcome import Succeeded
from domain.dialogue.topic import TopicReading, TopicRequest
from domain.log.stream import load_of
from domain.values.json import Json, JsonObject
from domain.zap.definition import Definition, Trigger
from domain.zap.zap import ChangeDraft, EnableZap, PauseZap, PublishZap
from sql.process.clock import now
from sql.tables.polls import PollTables
from tests.support.broker import Broker, running_broker
from tests.support.builders import TENANT
from tests.support.polled import PolledApi, World
from tests.support.postgres import cloned_database
from tests.support.stores import patient_store
from tests.support.topic import Topic

LOCAL = parse_networks("127.0.0.0/8")


@pytest.fixture
async def topic(broker: Broker) -> Topic:
    topic = Topic(broker.servers)
    await topic.create()
    return topic


@pytest.fixture(scope="module")
async def dialogues() -> AsyncIterator[Dialogues]:
    """What may speak with this machine; its processes start once."""
    async with aclosing(Dialogues(LOCAL, processes=2)) as dialogues:
        yield dialogues


@pytest.fixture(scope="module")
async def guarded() -> AsyncIterator[Dialogues]:
    """What may not."""
    async with aclosing(Dialogues((), processes=1)) as dialogues:
        yield dialogues


@pytest.fixture
async def world(postgres_server: str, dialogues: Dialogues) -> AsyncIterator[World]:
    async with (
        cloned_database(postgres_server) as dsn,
        patient_store(dsn) as store,
        Outbound(()) as http,
    ):
        yield World(store, http, dialogues, PolledApi())


async def skipped(world: World) -> list[str]:
    return [tick.detail for tick in await world.ticks() if tick.status == "failed"]


async def test_each_message_is_one_run_and_its_parts_are_seen(world: World, topic: Topic) -> None:
    await topic.write({"id": 1}, key=b"k", headers=[("a", b"1"), ("a", b"2"), ("b", b"\xff")], timestamp_ms=1_000)
    await world.publish(topic.config(), "kafka.message")
    await world.poll()
    await topic.write(b"plain", b"\xff\xfe", None, b"", key=b"k")
    await world.poll()
    await world.poll()
    first, *others = await world.bodies()
    assert first == {
        "key": "k", "value": {"id": 1}, "headers": {"a": ["1", "2"], "b": "/w=="}, "topic": topic.name,
        "partition": 0, "offset": 0, "timestamp": "1970-01-01T00:00:01+00:00",
    }  # fmt: skip
    assert [body["value"] for body in others] == ["plain", "//4=", None, ""]
    assert [body["offset"] for body in others] == [1, 2, 3, 4]
    told = await world.ticks()
    assert [(tick.kind, tick.status, tick.new_items) for tick in told] == [
        ("poll", "fired", 1), ("poll", "fired", 4), ("poll", "empty", 0),
    ]  # fmt: skip


async def test_what_is_there_before_the_first_poll_starts_nothing_unless_it_is_wanted(
    world: World, topic: Topic
) -> None:
    await topic.write(1, 2)
    await world.publish(topic.config(start_from="now"), "kafka.message")
    await world.poll()
    await topic.write(3)
    await world.poll()
    assert await world.values() == [3]


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_compressed_messages_are_read(world: World, topic: Topic, compression: str) -> None:
    await topic.write(*range(50), compression=compression)
    await world.publish(topic.config(), "kafka.message")
    await world.poll()
    assert await world.values() == list(range(50))


async def test_a_scheduler_that_dies_behind_the_runs_starts_none_twice(
    world: World, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    await topic.write(*range(30))
    await world.publish(topic.config(), "kafka.message")

    async def dies(*_arguments: object) -> bool:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(PollTables, "save", dies)
        await world.poll()
    assert await world.values() == list(range(30))
    world.polls, world.scheduler = world.another()
    await topic.write(30)
    await world.poll(3_600)
    await world.poll()
    assert await world.values() == list(range(31))


async def test_two_schedulers_and_a_publish_in_between_make_one_run_of_each_message(world: World, topic: Topic) -> None:
    polls, other = world.another()
    zap_id = await world.publish(topic.config(), "kafka.message")
    for turn in range(6):
        await topic.write(*range(turn * 5, turn * 5 + 5))
        if turn == 3:
            changed = Definition(Trigger("kafka.message", topic.config(max_items=500, start_from="now")))
            await world.execute(zap_id, ChangeDraft("renamed", changed))
            await world.execute(zap_id, PublishZap())
        world.moment = max(world.moment, now())
        await asyncio.gather(world.poll(), other.fire_due(world.moment))
        await polls.settle()
    await world.poll()
    assert sorted(await world.values()) == list(range(30))


async def test_messages_written_while_a_zap_is_paused_start_runs_once_it_is_enabled(world: World, topic: Topic) -> None:
    zap_id = await world.publish(topic.config(), "kafka.message")
    await world.poll()
    await world.execute(zap_id, PauseZap())
    await topic.write(1)
    await world.poll()
    assert await world.values() == []
    await world.execute(zap_id, EnableZap())
    await world.poll()
    assert await world.values() == [1]


async def test_partitions_that_are_added_are_read_from_their_beginning(world: World, topic: Topic) -> None:
    wide = Topic(topic.servers)
    await wide.create(3)
    for partition in range(3):
        await wide.write(f"old {partition}", partition=partition)
    await world.publish(wide.config(start_from="now"), "kafka.message")
    await world.poll()
    # as if partition 2 had not been there: the embedded broker adds none to a topic
    await world.store.pool.execute("""update proj.polls set place = (place::jsonb #- '{positions,2}')::text""")
    await wide.write("new", partition=1)
    await world.poll()
    assert sorted(await world.values()) == ["new", "old 2"]


async def test_more_than_a_poll_may_take_follows_at_once_and_no_partition_waits_for_another(
    world: World, topic: Topic
) -> None:
    wide = Topic(topic.servers)
    await wide.create(3)
    await wide.write(*range(100), partition=0)
    await wide.write(*range(100, 105), partition=2)
    await world.publish(wide.config(max_items=10), "kafka.message")
    await world.poll()
    first = await world.values()
    assert len(first) == 10
    assert {value >= 100 for value in first} == {True, False}
    for _ in range(12):
        await world.poll(2)
    assert sorted(await world.values()) == list(range(105))


async def test_a_message_that_is_too_large_is_told_of_once_and_holds_nothing_up(world: World, topic: Topic) -> None:
    blown_up = b"\x01" * 300_000  # as JSON it takes six times as much
    await topic.write("a", "x" * 2_000, blown_up, "b", b'{"n":' + b"[" * 200, b"\x00\xff" * 9)
    await world.publish(topic.config(max_bytes=1_000), "kafka.message")
    await world.poll()
    await world.poll()
    assert (await world.values())[:2] == ["a", "b"]
    assert len(await world.values()) == 4
    assert await skipped(world) == [
        "the message at offset 1 of partition 0 is 2,002 bytes long, more than 1,000; it starts no run",
        "the message at offset 2 of partition 0 is 300,000 bytes long, more than 1,000; it starts no run",
    ]


async def test_a_message_that_is_too_large_as_json_is_told_of(world: World, topic: Topic) -> None:
    await topic.write(b"\x01" * 300_000, "b")
    await world.publish(topic.config(), "kafka.message")
    await world.poll()
    assert await world.values() == ["b"]
    (told,) = await skipped(world)
    assert "bytes long as JSON" in told


async def test_a_bomb_holds_nothing_up(world: World, topic: Topic) -> None:
    """A batch of a few kB that holds 64 MiB."""
    await topic.write("a")
    for compression in ("gzip", "lz4", "zstd"):
        async with AIOKafkaProducer(
            bootstrap_servers=topic.servers, compression_type=compression, max_request_size=2**27,
            max_batch_size=2**27, request_timeout_ms=60_000,
        ) as producer:  # fmt: skip
            await producer.send_and_wait(topic.name, b"\0" * 2**26, partition=0)
    await topic.write("b")
    await world.publish(topic.config(), "kafka.message")
    for _ in range(5):
        await world.poll()
    assert await world.values() == ["a", "b"]
    told = await skipped(world)
    assert len(told) == 3
    assert all("once it is decompressed" in one for one in told)


async def test_a_topic_that_was_made_again_is_read_from_its_beginning(world: World) -> None:
    async with running_broker() as broker:
        topic = Topic(broker.servers)
        await topic.create()
        await topic.write(*range(5))
        await world.publish(topic.config(), "kafka.message")
        await world.poll()
        await broker.wipe()
        await topic.create()
        await topic.write("new 0", "new 1")
        await world.poll(600)
        await world.poll(600)
        assert await world.values() == [0, 1, 2, 3, 4, "new 0", "new 1"]
        (told,) = await skipped(world)
        assert told == "partition 0 has no offset 5 any more: it is read from its beginning"


async def test_a_broker_that_is_down_is_told_of_flagged_and_read_once_it_is_back(world: World) -> None:
    async with running_broker() as broker:
        topic = Topic(broker.servers)
        await topic.create()
        zap_id = await world.publish(topic.config(), "kafka.message")
        await world.poll()
        await broker.kill()
        for _ in range(3):
            await world.poll(3_600)
        flags = (await load_of(world.store, ZAP, zap_id, TENANT)).state.flags
        assert [(flag.kind, flag.step_id) for flag in flags] == [("poll_failing", "trigger")]
        (health,) = await PollTables(world.store.pool).health(TENANT, zap_id)
        assert health.failures == 3
        assert health.problem.startswith("connect: no broker could be reached")
        await broker.start()
        await topic.create()
        await topic.write(1)
        await world.poll(3_600)
        assert await world.values() == [1]
        assert (await load_of(world.store, ZAP, zap_id, TENANT)).state.flags == ()


async def problem_of(dialogues: Dialogues, servers: Sequence[str], topic: str = "t") -> Unreachable:
    request = TopicRequest(servers=tuple(servers), topic=topic, max_bytes=1, max_messages=1)
    with pytest.raises(Unreachable) as raised:
        await dialogues.of(UUID(int=1)).read(request)
    return raised.value


@pytest.mark.parametrize("host", ["169.254.169.254", "127.0.0.1", "localhost", "[::1]", "[::ffff:10.0.0.1]"])
async def test_internal_addresses_are_refused(guarded: Dialogues, host: str) -> None:
    error = await problem_of(guarded, [f"{host}:9092"])
    assert error.code == "address_refused"
    assert "TRIGGERHUB_OUTBOUND_ALLOW" in error.message


async def forwarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Carries a connection on to a port of 127.0.0.1."""
    there, back = await asyncio.open_connection("127.0.0.1", port)

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            sink.write(data)
        sink.close()

    await asyncio.gather(carry(reader, back), carry(there, writer), return_exceptions=True)


async def test_an_internal_address_that_brokers_advertise_is_refused(topic: Topic) -> None:
    """The first broker is allowed, and sends the client on to 127.0.0.1, which is not."""
    port = int(topic.servers.rsplit(":", 1)[1])
    server = await asyncio.start_server(lambda reader, writer: forwarded(reader, writer, port), "127.0.0.2", 0)
    async with server, aclosing(Dialogues(parse_networks("127.0.0.2/32"), processes=1)) as dialogues:
        own = server.sockets[0].getsockname()[1]
        error = await problem_of(dialogues, [f"127.0.0.2:{own}"], topic.name)
        assert error.code == "address_refused"
        assert error.message.startswith("127.0.0.1 is an internal address")


GARBAGE = [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\0\0\0\4\0\0\0\1", b""]


@pytest.mark.parametrize("answer", GARBAGE)
async def test_what_does_not_speak_kafka_is_a_failure_that_says_so(dialogues: Dialogues, answer: bytes) -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(answers, "127.0.0.1", 0)
    async with server:
        own = server.sockets[0].getsockname()[1]
        error = await problem_of(dialogues, [f"127.0.0.1:{own}"])
        assert error.code in {"connect", "not_kafka"}, error.message


async def test_brokers_that_hang_end_a_reading_within_its_time_and_the_next_one_is_made(topic: Topic) -> None:
    held = asyncio.Event()

    async def hangs(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.close()

    server = await asyncio.start_server(hangs, "127.0.0.1", 0)
    async with server, aclosing(Dialogues(LOCAL, processes=1)) as dialogues:
        own = server.sockets[0].getsockname()[1]
        request = TopicRequest(servers=(f"127.0.0.1:{own}",) * 9, topic=topic.name, max_bytes=9, max_messages=1)
        began = asyncio.get_running_loop().time()
        with pytest.raises(Unreachable) as raised:
            await dialogues.of(TENANT).read(request)
        assert raised.value.code in {"timeout", "connect"}
        assert asyncio.get_running_loop().time() - began < WALL_S, "or its process is ended"
        await topic.write(1)
        good = TopicRequest(servers=(topic.servers,), topic=topic.name, max_bytes=9, max_messages=1)
        assert [message.key for message in (await dialogues.of(TENANT).read(good)).messages] == [
            f"kafka/{topic.name}/0/0"
        ]
        held.set()


async def test_a_topic_that_is_not_there_is_a_failure_and_is_not_created(dialogues: Dialogues, topic: Topic) -> None:
    error = await problem_of(dialogues, [topic.servers], "nobody-made-this")
    assert (error.code, error.message) == ("no_topic", "the brokers have no topic nobody-made-this")
    admin = AIOKafkaAdminClient(bootstrap_servers=topic.servers)
    await admin.start()
    assert "nobody-made-this" not in await admin.list_topics()
    await admin.close()


async def test_an_answer_that_is_larger_than_may_be_read_is_passed_over(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Message by message, and whatever lies behind is read."""
    monkeypatch.setattr(kafka_loop, "MAX_ANSWER", 100_000)
    await topic.write("a")
    await topic.write("x" * 300_000)
    await topic.write("b")
    request = TopicRequest(servers=(topic.servers,), topic=topic.name, max_bytes=2**20, max_messages=9)

    def read() -> TopicReading:
        loop = KafkaLoop(LOCAL)

        async def reading() -> TopicReading:
            return await Reading(request, lambda: loop.too_large).read()

        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(reading())

    found = await asyncio.to_thread(read)
    assert [message.key.rsplit("/", 1)[1] for message in found.messages] == ["0", "2"]
    assert [one.reason for one in found.skipped] == [
        "the message at offset 1 of partition 0 is too large to be read; it starts no run"
    ]


async def test_a_step_writes_what_a_trigger_reads(dialogues: Dialogues, topic: Topic) -> None:
    context = ActionContext(None, "run.step", UUID(int=1), now, dialogue=dialogues.of(TENANT))  # type: ignore[arg-type]  # it sends no HTTP
    place: JsonObject = {"bootstrap_servers": [topic.servers], "topic": topic.name}
    values: list[Json] = [{"id": 1}, "plain", None]
    for value in values:
        config: JsonObject = {**place, "value": value, "key": "k", "headers": {"a": "é"}}
        assert kafka.check_produce(config) == {}
        outcome = await kafka.produce(config, context)
        assert isinstance(outcome, Succeeded), outcome
    request = TopicRequest(servers=(topic.servers,), topic=topic.name, max_bytes=999, max_messages=9)
    found = [message.body for message in (await dialogues.of(TENANT).read(request)).messages]
    assert [body["value"] for body in found] == [{"id": 1}, "plain", None]  # type: ignore[index, call-overload]  # objects
    assert found[0]["headers"] == {"idempotency-key": "run.step", "a": "é"}  # type: ignore[index, call-overload]
    assert kafka.check_produce({"bootstrap_servers": ["x"], "topic": "t", "value": 1}) == {
        "bootstrap_servers.0": "a host and a port, such as kafka.example.com:9092"
    }


async def test_a_step_writes_to_no_internal_address(guarded: Dialogues, topic: Topic) -> None:
    context = ActionContext(None, "run.step", UUID(int=1), now, dialogue=guarded.of(TENANT))  # type: ignore[arg-type]  # it sends no HTTP
    config: JsonObject = {"bootstrap_servers": [topic.servers], "topic": topic.name, "value": 1}
    with pytest.raises(Unreachable) as raised:
        await kafka.produce(config, context)
    assert raised.value.code == "address_refused"
