"""Events as bytes: every one comes back as it was, today's and yesterday's."""

import msgspec
import pytest
from hypothesis import given

from domain.log.event import Event, Metadata
from domain.registry import (
    EVENT_TYPES,
    UPCASTERS,
    UnknownEvent,
    decode,
    decode_metadata,
    encode,
    encode_metadata,
    event_type,
    upcast,
)
from domain.values.json import JsonObject
from tests.support import strategies
from tests.support.examples import EXAMPLES


def test_names_and_structs_are_unique() -> None:
    assert len({kind.name for kind in EVENT_TYPES}) == len({kind.struct for kind in EVENT_TYPES}) == len(EVENT_TYPES)


def test_every_event_has_an_example_and_a_strategy() -> None:
    known = {kind.struct for kind in EVENT_TYPES}
    assert {type(event) for event in EXAMPLES} == set(strategies.EVENTS) == known


@given(strategies.events)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    kind = event_type(event)
    assert decode(kind.name, kind.schema_version, encode(event)) == event


@given(strategies.metadata)
def test_metadata_comes_back_as_it_was(metadata: Metadata) -> None:
    assert decode_metadata(encode_metadata(metadata)) == metadata


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_a_field_of_a_later_release_is_passed_over(event: Event) -> None:
    """Releases overlap during an upgrade; adding a field with a default must not stop the older one."""
    kind = event_type(event)
    payload = msgspec.json.decode(encode(event)) | {"added_later": {"x": 1}}
    assert decode(kind.name, kind.schema_version, msgspec.json.encode(payload)) == event


@pytest.mark.parametrize(("name", "version"), [("zap.nonesuch", 1), ("zap.created", 99), ("zap.created", 0)])
def test_what_this_release_does_not_know_is_said_so(name: str, version: int) -> None:
    with pytest.raises(UnknownEvent, match=f"{name} v{version}"):
        decode(name, version, b"{}")


def test_a_wrong_payload_names_the_path() -> None:
    with pytest.raises(msgspec.DecodeError, match=r"\$\.number"):
        decode("zap.rolled_back", 1, b'{"number":"two"}')


def full_name(payload: JsonObject) -> JsonObject:
    return {"full_name": f"{payload['first']} {payload['last']}"}


def with_greeting(payload: JsonObject) -> JsonObject:
    return {**payload, "greeting": f"Dear {payload['full_name']}"}


def test_an_old_shape_is_carried_forward_version_by_version() -> None:
    chain = {("person.named", 1): full_name, ("person.named", 2): with_greeting}
    first: JsonObject = {"first": "Ada", "last": "Lovelace"}
    assert upcast("person.named", 1, 3, first, chain) == {
        "full_name": "Ada Lovelace",
        "greeting": "Dear Ada Lovelace",
    }
    assert upcast("person.named", 2, 3, {"full_name": "A"}, chain) == {"full_name": "A", "greeting": "Dear A"}
    assert upcast("person.named", 3, 3, {"x": 1}, chain) == {"x": 1}
    assert first == {"first": "Ada", "last": "Lovelace"}, "upcasters are pure"


def test_a_hole_in_the_chain_is_an_unknown_event() -> None:
    with pytest.raises(UnknownEvent, match=r"person\.named v2"):
        upcast("person.named", 1, 3, {"first": "A", "last": "B"}, {("person.named", 1): full_name})


def test_every_retired_version_has_an_upcaster() -> None:
    retired = {(kind.name, version) for kind in EVENT_TYPES for version in range(1, kind.schema_version)}
    assert set(UPCASTERS) == retired
