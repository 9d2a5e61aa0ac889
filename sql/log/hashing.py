"""The hash of an event, and the hash chain over commits, which proves that history was not changed."""

import hashlib
from datetime import datetime
from struct import Struct
from uuid import UUID

_PREIMAGE_HEAD = Struct(">hhIII")

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
    name = type_.encode()
    digest = hashlib.sha256(
        b"".join(
            (
                _PREIMAGE_HEAD.pack(kind, schema_version, len(name), len(meta), len(data)),
                stream_id.bytes,
                tenant_id.bytes,
                ordering_key.bytes,
                event_id.bytes,
                name,
                meta,
            )
        )
    )
    digest.update(data)  # which may be large, and is not copied
    return digest.digest()


def commit_hash(previous: bytes, prev_position: int, recorded_at: datetime, events: bytes) -> bytes:
    """The next link of the chain; `events` is version (4 bytes) and hash of each event, in order of position."""
    micros = _micros(recorded_at)
    return hashlib.sha256(
        previous + prev_position.to_bytes(8, signed=True) + micros.to_bytes(8, signed=True) + events
    ).digest()


def _micros(at: datetime) -> int:
    whole = at.replace(microsecond=0)
    return int(whole.timestamp()) * 1_000_000 + at.microsecond
