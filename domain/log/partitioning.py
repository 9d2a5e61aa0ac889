"""Which partition of the topic an event goes to: the same for the relay, the gates and a rebuild."""

import zlib
from uuid import UUID


def partition_of(ordering_key: UUID, partitions: int) -> int:
    """The partition of an ordering key. CRC-32 runs in C; only we produce, so Kafka's murmur2 is not needed."""
    return zlib.crc32(ordering_key.bytes) % partitions
