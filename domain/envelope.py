"""The message on Kafka: CloudEvents 1.0 in structured JSON (cloudevents.io, JSON event format 1.0.2 §3)."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from domain.log.event import StoredEvent, decode_metadata

MAX_INLINE_DATA = 256 * 1024
"""Payload bytes above which a message carries only the position, to be read from the log."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One event of the log as a CloudEvent. Extension attributes are lower-case letters (spec §3.1).

    `position` and `previous` are decimal strings, as a CloudEvents Integer has only 32 bits. `previous` is the
    position of the message before this one in the same partition: a consumer that has not seen it has lost some.
    `data` is absent where the payload is above MAX_INLINE_DATA: read it from the log by position.
    """

    specversion: Literal["1.0"]
    id: UUID
    source: str
    type: str
    subject: UUID
    time: datetime
    datacontenttype: Literal["application/json"]
    position: str
    previous: str
    streamversion: int
    streamkind: int
    tenantid: UUID
    orderingkey: UUID
    actor: str = ""
    correlationid: UUID | None = None
    causationid: UUID | None = None
    traceparent: str = ""
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET

    def stored(self) -> StoredEvent | None:
        """The event as the log has it (its metadata apart), None where the payload travels by reference."""
        if isinstance(self.data, msgspec.UnsetType):
            return None
        name, _, version = self.type.rpartition(".v")
        return StoredEvent(
            int(self.position),
            self.streamkind,
            self.subject,
            self.streamversion,
            self.tenantid,
            self.orderingkey,
            self.id,
            name,
            int(version),
            self.time,
            b"{}",
            bytes(self.data),
        )


class NotAnEnvelope(ValueError):
    """The message is not one of the relay's."""


class Header(msgspec.Struct, frozen=True, gc=False):
    """The few attributes that a consumer needs before it decides to read the rest."""

    type: str
    position: int
    previous: int


class _WireHeader(msgspec.Struct, frozen=True, gc=False):
    type: str
    position: str
    previous: str


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)
_header_decoder = msgspec.json.Decoder(_WireHeader)


def encode(event: StoredEvent, previous: int) -> bytes:
    """The message for one event; `previous` as in Envelope. A payload that was not read travels by reference, too."""
    meta = decode_metadata(event.meta)
    return _encoder.encode(
        Envelope(
            specversion="1.0",
            id=event.event_id,
            source="/triggerhub",
            type=f"{event.type}.v{event.schema_version}",
            subject=event.stream_id,
            time=event.recorded_at,
            datacontenttype="application/json",
            position=str(event.position),
            previous=str(previous),
            streamversion=event.version,
            streamkind=event.kind,
            tenantid=event.tenant_id,
            orderingkey=event.ordering_key,
            actor=meta.actor,
            correlationid=meta.correlation_id,
            causationid=meta.causation_id,
            traceparent=meta.traceparent,
            data=msgspec.Raw(event.data) if 0 < len(event.data) <= MAX_INLINE_DATA else msgspec.UNSET,
        )
    )


def decode(message: bytes) -> Envelope:
    """A message of the topic. Raises msgspec.DecodeError."""
    return _decoder.decode(message)


def decode_header(message: bytes) -> Header:
    """Only what is needed to route a message. Raises NotAnEnvelope."""
    try:
        wire = _header_decoder.decode(message)
        return Header(wire.type, int(wire.position), int(wire.previous))
    except ValueError as error:  # msgspec's errors, bad UTF-8 and positions that are no numbers
        raise NotAnEnvelope(str(error)) from error
