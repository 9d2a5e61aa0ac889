"""The projector's role over a real broker: it ends where going on could only do harm."""

import asyncio
from base64 import b64encode

import msgspec
import pytest

from app.config.errors import OperatorError
from app.config.settings import Secret, Settings
from app.roles.roles import ROLES
from projections.engine.engine import Engine
from projections.engine.registry import PROJECTIONS
from relay.topic import KafkaConfig, ensure_topic
from tests.support.broker import Broker, topic_name

PARTITIONS = 4


async def test_read_models_of_a_newer_release_end_a_projector_in_one_line(dsn: str, broker: Broker) -> None:
    """A release is rolled back while its read models stay: trying again each second would help nobody."""
    topic = topic_name()
    await ensure_topic(KafkaConfig(broker.servers, topic, PARTITIONS), {})
    newer = [msgspec.structs.replace(projection, definition=projection.definition + 1) for projection in PROJECTIONS]
    async with Engine(dsn, newer, PARTITIONS) as upgraded:
        await upgraded.start()
    settings = Settings(
        database_url=Secret(dsn),
        kafka_bootstrap_servers=broker.servers,
        kafka_topic=topic,
        kafka_partitions=PARTITIONS,
        kafka_groups="off",
        message_key=Secret(b64encode(bytes(32)).decode()),
    )
    with pytest.raises(OperatorError, match=r"belong to a newer release .* run that one"):
        await asyncio.wait_for(ROLES["projector"].run(settings, asyncio.Event()), 60)
