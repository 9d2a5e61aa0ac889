"""What the log holds: events as they are appended, and as they come back."""

from datetime import datetime
from enum import IntEnum
from typing import TypeAlias
from uuid import UUID

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fact, named in the past tense. Its stored name and schema version are in domain/registry.py."""


class StreamKind(IntEnum):
    """Which partition of the log a stream lives in: CORE is kept for ever, the others until their month is dropped.

    REQUEST: requests that started no run. Earlier releases stored those in CORE.
    """

    CORE = 0
    RUN = 1
    REQUEST = 2


class Via(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """From where a request came: the client's address, what it calls itself, and the name of its API key."""

    ip: str = ""
    user_agent: str = ""
    api_key: str = ""


class Metadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who caused the event and why; stored beside the event and hashed with it. Never a secret."""

    actor: str = ""
    """`user:<id>`, `key:<id>`, `anybody` (who failed to sign in), `hook`, `link` (of an approval), `runner`,
    `scheduler` or `notifier`."""
    correlation_id: UUID | None = None
    """The run that this belongs to."""
    causation_id: UUID | None = None
    """The event that led to this one."""
    traceparent: str = ""
    """W3C Trace Context, when the sender gave one."""
    via: Via | None = None
    """Of what people do, from where. Events of earlier releases do not say."""


_metadata_encoder = msgspec.json.Encoder()
_metadata_decoder = msgspec.json.Decoder(Metadata)


def encode_metadata(metadata: Metadata) -> bytes:
    """The metadata bytes that the log keeps."""
    return _metadata_encoder.encode(metadata)


def decode_metadata(meta: bytes) -> Metadata:
    """Who and why of a stored event."""
    return _metadata_decoder.decode(meta)


class NewEvent(msgspec.Struct, frozen=True):
    """An event about to be appended. With `due_at` the append also sets a timer whose id is the event's."""

    event_id: UUID
    event: Event
    due_at: datetime | None = None


ANY_VERSION = -1
"""Expected version of an append that does not care what the stream holds."""
DEDUPE_WINDOW_S = 30 * 24 * 3600
"""How long a dedupe key is kept, unless the append says otherwise."""


class Append(msgspec.Struct, frozen=True, kw_only=True):
    """One command's events, for one stream, stored all or not at all.

    `expected` is the version (number of events) that the stream must have; `timer_id` makes the append
    conditional on that timer being still set, and clears it; `dedupe_key` (32 bytes) makes a second append
    with the same key, within `dedupe_window_s` seconds of the first, answer Duplicate. `carries` is the position of
    the event whose payload it carries on: once that is forgotten, the append is refused with Conflict.
    """

    kind: StreamKind
    stream_id: UUID
    expected: int
    tenant_id: UUID
    ordering_key: UUID
    events: tuple[NewEvent, ...]
    metadata: Metadata
    timer_id: UUID | None = None
    dedupe_key: bytes | None = None
    dedupe_window_s: int = DEDUPE_WINDOW_S
    carries: int | None = None


class Appended(msgspec.Struct, frozen=True):
    """The events are in the log: the stream's new version, and the position of the last of them."""

    version: int
    position: int


class Conflict(msgspec.Struct, frozen=True):
    """Nothing was stored: the stream is at `version`, the timer was no longer set, or what it carries was forgotten."""

    version: int


class Duplicate(msgspec.Struct, frozen=True):
    """Nothing was stored: the dedupe key already stands for this stream and position."""

    stream_id: UUID
    position: int


AppendResult: TypeAlias = Appended | Conflict | Duplicate


def stream_of(append: "Append", result: AppendResult) -> UUID | None:
    """The stream that an append led to: its own, or the one that its dedupe key stands for. None for a conflict."""
    match result:
        case Appended():
            return append.stream_id
        case Duplicate(stream_id):
            return stream_id
        case Conflict():
            return None


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """A row of the log. `data` and `meta` are the JSON bytes as they were hashed; `type` has no version."""

    position: int
    kind: int
    stream_id: UUID
    version: int
    tenant_id: UUID
    ordering_key: UUID
    event_id: UUID
    type: str
    schema_version: int
    recorded_at: datetime
    meta: bytes
    data: bytes


class LastEvents(msgspec.Struct, frozen=True):
    """The last events of some streams; `more` where their payloads were too large to have all at once."""

    events: list[StoredEvent]
    more: bool


class DueTimer(msgspec.Struct, frozen=True):
    """A timer whose time has come, with what is needed to append to its stream."""

    timer_id: UUID
    due_at: datetime
    kind: StreamKind
    stream_id: UUID
    ordering_key: UUID
    tenant_id: UUID
