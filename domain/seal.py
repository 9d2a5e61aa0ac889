"""The seal on a message: proof that this installation's relay wrote it, for this partition of the topic.

Whoever reaches the broker can write to the topic. Consumers act on sealed messages only, so that a forged one runs
nothing and moves no gate. Keyed BLAKE2b (RFC 7693 §2.9) over partition and value.
"""

from collections.abc import Sequence
from hashlib import blake2b
from hmac import compare_digest

HEADER = "triggerhub-seal"
"""The Kafka header that carries the seal."""
_BYTES = 16


def seal(key: bytes, partition: int, value: bytes) -> bytes:
    """The seal of a message. `key` has at most 64 bytes."""
    return blake2b(value, digest_size=_BYTES, key=key, person=partition.to_bytes(_BYTES, "big")).digest()


def is_sealed(keys: Sequence[bytes], partition: int, value: bytes, headers: Sequence[tuple[str, bytes]]) -> bool:
    """Whether a message carries the seal of one of the keys: the newest, or one that is being replaced."""
    if len(headers) != 1 or headers[0][0] != HEADER:
        return False
    given = headers[0][1]
    return any(compare_digest(given, seal(key, partition, value)) for key in keys)
