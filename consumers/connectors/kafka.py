"""Kafka: start a run for each message of a topic, and write messages to one."""

import re
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from domain.connector.config import BadConfig, fixed_problems, is_template, present, problems, read
from domain.connector.descriptor import ActionContext, ActionDescriptor, Connector, TriggerDescriptor
from domain.connector.http_client import Unreachable
from domain.connector.outcome import Failed, Outcome, Succeeded
from domain.connector.poll import (
    MAX_EVERY_S,
    MAX_ITEM,
    Found,
    Item,
    Most,
    Place,
    Poll,
    PollContext,
    PollFailed,
    as_trigger,
)
from domain.dialogue.questions import TopicMessage
from domain.dialogue.topic import TopicRequest
from domain.values.json import Json, JsonObject

_SERVER = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]{}]+):(\d{1,5})")
_TOPIC = r"^[A-Za-z0-9._-]+\Z"
PRODUCE_S = 10.0
Server = Annotated[str, Meta(max_length=255)]


Servers = Annotated[
    list[Server],
    Meta(title="Brokers", description="Each as host:port; the first that answers", min_length=1, max_length=10),
]
TopicName = Annotated[str, Meta(title="Topic", min_length=1, max_length=249, pattern=_TOPIC)]


class KafkaMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a topic."""

    bootstrap_servers: Servers
    topic: TopicName
    start_from: Annotated[
        str,
        Meta(
            title="Start from",
            description="now: with the messages that come after the first poll; earliest: with what the topic has",
            pattern=r"^(now|earliest)\Z",
        ),
    ] = "now"
    every_s: Annotated[int, Meta(title="Every so many seconds", ge=1, le=MAX_EVERY_S)] = 5
    max_items: Most = 1_000
    max_bytes: Annotated[
        int,
        Meta(
            title="Bytes of a message at most",
            description="Of its key, value and headers; a larger one starts no run, and is told of as failed",
            ge=1,
            le=MAX_ITEM,
        ),
    ] = MAX_ITEM


def check(saved: JsonObject) -> dict[str, str]:
    """What is wrong with a config as saved, by path."""
    found = fixed_problems(KafkaMessage, saved)
    if found:
        return found
    return _server_problems(msgspec.convert(saved, KafkaMessage).bootstrap_servers)


def _server_problems(servers: list[str]) -> dict[str, str]:
    return {f"bootstrap_servers.{index}": "a host and a port, such as kafka.example.com:9092"
            for index, server in enumerate(servers) if not _is_server(server)}  # fmt: skip


def _is_server(text: str) -> bool:
    found = _SERVER.fullmatch(text)
    return found is not None and 0 < int(found[1]) < 2**16


async def poll(saved: JsonObject, context: PollContext) -> Found:
    """The messages behind those that were read before. Raises PollFailed."""
    try:
        config = read(KafkaMessage, saved)
        reading = await context.dialogue.read(
            TopicRequest(
                servers=tuple(config.bootstrap_servers),
                topic=config.topic,
                positions=context.place.positions,
                from_end=config.start_from == "now",
                max_bytes=config.max_bytes,
                max_messages=config.max_items,
            )
        )
    except BadConfig as error:
        raise PollFailed("bad_config", str(error)) from None
    except Unreachable as error:
        raise PollFailed(error.code, error.message, after_s=error.after_s) from None
    return Found(
        items=tuple(Item(key=message.key, body=message.body) for message in reading.messages),
        place=Place(positions=reading.positions),
        skipped=reading.skipped,
        more=reading.more,
    )


def source(config: JsonObject) -> Json:
    """The brokers, in whatever order, and the topic."""
    servers = config.get("bootstrap_servers")
    listed: list[Json] = [*sorted(map(str, servers))] if isinstance(servers, list) else []
    return {"servers": listed, "topic": config.get("topic")}


class Produce(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message, and where it goes."""

    bootstrap_servers: Servers
    topic: TopicName
    value: Annotated[
        Json, Meta(title="Value", description="Text as it is, anything else as JSON; without one the key is deleted")
    ] = None
    key: Annotated[Json, Meta(title="Key", description="Messages of one key keep their order")] = None
    headers: Annotated[dict[str, str], Meta(title="Headers", max_length=50)] = {}
    partition: (
        Annotated[int, Meta(title="Partition", ge=0, le=2**31 - 1, description="Otherwise the key decides")] | UnsetType
    ) = UNSET


def check_produce(saved: JsonObject) -> dict[str, str]:
    """What is wrong with a config as saved, by path."""
    found = problems(Produce, saved)
    servers = saved.get("bootstrap_servers")
    if found or not isinstance(servers, list):
        return found
    return _server_problems([text for text in servers if isinstance(text, str) and not is_template(text)])


async def produce(rendered: JsonObject, context: ActionContext) -> Outcome:
    """Write a message. Raises Unreachable."""
    assert context.dialogue is not None, "whoever runs steps speaks with servers"
    try:
        config = read(Produce, present(rendered, but="value"))
        wrong = _server_problems(config.bootstrap_servers)
        if wrong:
            path, reason = next(iter(wrong.items()))
            raise BadConfig(f"{path}: {reason}")
    except BadConfig as error:
        return Failed(code="bad_config", message=str(error))
    headers = {"idempotency-key": context.idempotency_key, **config.headers}
    value = _raw(config.value)
    if len(value or b"") > MAX_ITEM:
        return Failed(code="too_large", message=f"a message may have {MAX_ITEM:,} bytes")
    taken = await context.dialogue.write(
        TopicMessage(
            servers=tuple(config.bootstrap_servers),
            topic=config.topic,
            key=_raw(config.key),
            value=value,
            headers=tuple((name, text.encode()) for name, text in headers.items()),
            partition=None if config.partition is UNSET else config.partition,
            timeout_s=PRODUCE_S,
        )
    )
    return Succeeded({"topic": config.topic, "partition": taken.partition, "offset": taken.offset})


def _raw(value: Json) -> bytes | None:
    if value is None:
        return None
    return value.encode("utf-8", "replace") if isinstance(value, str) else msgspec.json.encode(value)


CONNECTOR = Connector(
    actions=(
        ActionDescriptor(
            type="kafka.produce",
            name="Write to a Kafka topic",
            description="Writes a message to a topic, once all of its replicas in sync have it. A repeat has the same "
            "header idempotency-key.",
            icon="radio",
            run=produce,
            config=Produce,
            check=check_produce,
            example={
                "bootstrap_servers": ["kafka.example.com:9092"],
                "topic": "orders",
                "key": "{{ trigger.body.id }}",
                "value": "{{ trigger.body }}",
            },
            sample={"topic": "orders", "partition": 0, "offset": 1204},
            idempotent=False,
        ),
    ),
    triggers=(
        TriggerDescriptor(
            type="kafka.message",
            name="New messages of a Kafka topic",
            description="Starts a run for each message of a topic. Its key, value and headers are in trigger.body.",
            icon="radio",
            config=KafkaMessage,
            example=as_trigger(
                {
                    "key": "order-17",
                    "value": {"id": 17, "total": 42.5},
                    "headers": {"source": "shop"},
                    "topic": "orders",
                    "partition": 0,
                    "offset": 1204,
                    "timestamp": "2027-01-01T09:00:00+00:00",
                }
            ),
            check=check,
            poll=Poll(run=poll, source=source, by_position=True),
        ),
    ),
)
