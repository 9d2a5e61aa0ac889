"""Kafka: start a run for each message of a topic."""

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from domain.connector.config import BadConfig, fixed_problems, read
from domain.connector.descriptor import Connector, TriggerDescriptor
from domain.connector.http_client import Unreachable
from domain.connector.poll import MAX_EVERY_S, MAX_ITEM, Found, Item, Most, Place, Poll, PollContext, PollFailed
from domain.connector.topic import TopicRequest
from domain.values.json import Json, JsonObject

_SERVER = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]{}]+):(\d{1,5})")
_TOPIC = r"^[A-Za-z0-9._-]+$"
MAX_SERVERS = 10
Server = Annotated[str, Meta(max_length=255)]


class KafkaMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a topic."""

    bootstrap_servers: Annotated[
        list[Server],
        Meta(
            title="Brokers",
            description="Each as host:port; the first that answers",
            min_length=1,
            max_length=MAX_SERVERS,
        ),
    ]
    topic: Annotated[str, Meta(title="Topic", min_length=1, max_length=249, pattern=_TOPIC)]
    start_from: Annotated[
        str,
        Meta(
            title="Start from",
            description="now: with the messages that come after the first poll; earliest: with what the topic has",
            pattern="^(now|earliest)$",
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
    servers = msgspec.convert(saved, KafkaMessage).bootstrap_servers
    return {f"bootstrap_servers.{index}": "a host and a port, such as kafka.example.com:9092"
            for index, server in enumerate(servers) if not _is_server(server)}  # fmt: skip


def _is_server(text: str) -> bool:
    found = _SERVER.fullmatch(text)
    return found is not None and 0 < int(found[1]) < 2**16


async def poll(saved: JsonObject, context: PollContext) -> Found:
    """The messages behind those that were read before. Raises PollFailed."""
    try:
        config = read(KafkaMessage, saved)
        reading = await context.topics.read(
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


CONNECTOR = Connector(
    triggers=(
        TriggerDescriptor(
            type="kafka.message",
            name="New messages of a Kafka topic",
            description="Starts a run for each message of a topic. Its key, value and headers are in trigger.body.",
            icon="radio",
            config=KafkaMessage,
            example={
                "method": "",
                "path": "",
                "query": {},
                "query_string": "",
                "headers": {},
                "body": {
                    "key": "order-17",
                    "value": {"id": 17, "total": 42.5},
                    "headers": {"source": "shop"},
                    "topic": "orders",
                    "partition": 0,
                    "offset": 1204,
                    "timestamp": "2027-01-01T09:00:00+00:00",
                },
            },
            check=check,
            poll=Poll(run=poll, source=source, by_position=True),
        ),
    )
)
