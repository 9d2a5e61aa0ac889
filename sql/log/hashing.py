"""The hash of an event, and the hash chain over commits, which proves that history was not changed."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from struct import Struct
from typing import Any
from uuid import UUID

import asyncpg

from domain.proof.merkle import micros

_NUMBERS = Struct(">hhIII")

GENESIS = hashlib.sha256(b"triggerhub").digest()
"""The hash of the empty log."""


def event_hash(
    *,
    kind: int,
    stream_id: UUID,
    tenant_id: UUID,
    ordering_key: UUID,
    event_id: UUID,
    type_: str,
    schema_version: int,
    meta: bytes,
    data: bytes,
) -> bytes:
    """SHA-256 over all that the appender decides; lengths stand before variable parts, so that no two collide.

    Position, version and time are decided by the database, and enter through the commit's hash.
    """
    ids = stream_id.bytes + tenant_id.bytes + ordering_key.bytes + event_id.bytes
    name = type_.encode()
    numbers = _NUMBERS.pack(kind, schema_version, len(name), len(meta), len(data))
    digest = hashlib.sha256(numbers + ids + name + meta)
    digest.update(data)  # which may be large, and is not copied
    return digest.digest()


def preimage(row: "Mapping[str, Any] | asyncpg.Record") -> bytes:
    """What the hash of a stored event is the hash of."""
    ids = b"".join(row[name].bytes for name in ("stream_id", "tenant_id", "ordering_key", "event_id"))
    name = row["type"].encode()
    meta, data = row["meta"], row["data"]
    numbers = _NUMBERS.pack(row["kind"], row["schema_version"], len(name), len(meta), len(data))
    return b"".join((numbers, ids, name, meta, data))


def commit_hash(previous: bytes, prev_position: int, recorded_at: datetime, events: bytes) -> bytes:
    """The next link of the chain; `events` is version (4 bytes) and hash of each event, in order of position."""
    return hashlib.sha256(
        previous + prev_position.to_bytes(8, signed=True) + micros(recorded_at).to_bytes(8, signed=True) + events
    ).digest()
