"""The message on the topic: a CloudEvent that gives the stored event back."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.envelope import MAX_INLINE_DATA, decode, decode_header, encode
from domain.log.event import Metadata, StoredEvent, decode_metadata, encode_metadata
from tests.support.builders import TENANT, ZAP
from tests.support.clock import START
from tests.support.strategies import stored_events

EVENT = StoredEvent(
    position=2**40,
    kind=1,
    stream_id=ZAP,
    version=3,
    tenant_id=TENANT,
    ordering_key=ZAP,
    event_id=TENANT,
    type="zap.run.completed",
    schema_version=1,
    recorded_at=START,
    meta=b"{}",
    data=b"{}",
)


def message(event: StoredEvent) -> dict[str, Any]:
    """As another language's JSON parser sees it."""
    read: dict[str, Any] = msgspec.json.decode(encode(event, event.position - 1))
    return read


def test_it_is_a_cloud_event_1_0_in_structured_json() -> None:
    read = message(EVENT)
    assert read["specversion"] == "1.0"
    assert read["id"] == str(EVENT.event_id)
    assert read["source"] == "/triggerhub"
    assert read["type"] == "zap.run.completed.v1"
    assert read["subject"] == str(EVENT.stream_id)
    assert read["time"] == "2026-01-01T12:00:00Z"
    assert read["datacontenttype"] == "application/json"
    assert read["data"] == {}


@given(stored_events())
def test_attributes_are_named_and_typed_as_the_specification_asks(event: StoredEvent) -> None:
    attributes = message(event)
    attributes.pop("data")
    for name, value in attributes.items():
        assert re.fullmatch(r"[a-z0-9]{1,20}", name)
        assert isinstance(value, str | int), "no objects, no nulls"
        assert not isinstance(value, int) or -(2**31) <= value < 2**31
        assert value != ""


@given(stored_events(), st.integers(0, 2**62))
def test_a_message_gives_the_stored_event_back(event: StoredEvent, previous: int) -> None:
    raw = encode(event, previous)
    envelope = decode(raw)
    assert envelope.stored() == replace(event, meta=b"{}")
    assert int(envelope.previous) == previous
    meta = decode_metadata(event.meta)
    assert (envelope.actor, envelope.correlationid, envelope.causationid, envelope.traceparent) == (
        meta.actor,
        meta.correlation_id,
        meta.causation_id,
        meta.traceparent,
    )
    header = decode_header(raw)
    assert (header.position, header.previous) == (event.position, previous)
    assert header.type == envelope.type


@pytest.mark.parametrize(
    ("size", "inline"), [(MAX_INLINE_DATA, True), (MAX_INLINE_DATA + 1, False), (5_000_000, False)]
)
def test_a_big_payload_travels_by_reference(size: int, inline: bool) -> None:
    event = replace(EVENT, data=b'"' + b"x" * (size - 2) + b'"', meta=encode_metadata(Metadata(actor="hook")))
    raw = encode(event, 0)
    read = msgspec.json.decode(raw)
    assert ("data" in read) == inline
    stored = decode(raw).stored()
    assert (stored is not None) == inline
    if stored is None:
        assert len(raw) < 2_000
        assert read["position"] == str(event.position)
        assert read["actor"] == "hook"


@pytest.mark.parametrize("raw", [b"", b"{}", b"null", b'{"specversion":"2.0"}', b"\xff", encode(EVENT, 0)[:-9]])
def test_what_is_no_message_of_ours_is_refused(raw: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(raw)
