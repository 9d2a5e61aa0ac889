"""The edge where time and randomness come in: implementations of domain.ports.Clock and NewId."""

import os
import time
from datetime import UTC, datetime
from uuid import UUID


def now() -> datetime:
    """The current moment, in UTC."""
    return datetime.now(UTC)


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then 74 random bits."""
    millis = time.time_ns() // 1_000_000
    value = (millis << 80) | int.from_bytes(os.urandom(10))
    value = (value & ~(0xF000 << 64)) | (0x7000 << 64)
    return UUID(int=(value & ~(0xC000 << 48)) | (0x8000 << 48))
