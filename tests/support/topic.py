"""A topic of a user's own, on whatever broker."""

import json
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from domain.values.json import JsonObject


class Topic:
    """A topic of its own, with one partition at first."""

    def __init__(self, servers: str) -> None:
        self.servers = servers
        self.name = f"orders-{uuid4().hex}"

    def config(self, **fields: Any) -> JsonObject:
        return {"bootstrap_servers": [self.servers], "topic": self.name, "start_from": "earliest", **fields}

    async def create(self, partitions: int = 1) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(self.name, partitions, 1)])
        finally:
            await admin.close()

    async def write(self, *values: object, compression: str | None = None, **named: Any) -> None:
        """Values as JSON, or bytes as they are."""
        options = {"compression_type": compression, "max_request_size": 16 * 2**20}
        async with AIOKafkaProducer(bootstrap_servers=self.servers, **options) as producer:
            for value in values:
                raw = value if isinstance(value, bytes | None) else json.dumps(value).encode()
                await producer.send(self.name, raw, **{"partition": 0, **named})
            await producer.flush()
