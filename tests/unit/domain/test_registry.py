"""Events as bytes: every one comes back as it was, today's and yesterday's."""

from typing import Any

import msgspec
import pytest
from hypothesis import given

from domain.flow.steps import ActionStep, DelayStep, ErrorPath, UnknownStep
from domain.log.event import Event, Metadata, decode_metadata, encode_metadata
from domain.registry import EVENT_TYPES, UPCASTERS, UnknownEvent, decode, encode, event_type, upcast
from domain.values.json import JsonObject
from domain.zap.events import ZapPublished
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


ACTION: Any = {"kind": "action", "id": "a", "type": "http.request", "config": {"new": {"kept": [1]}}}
NEW: Any = {"added_later": {"x": [1]}}


def published(*steps: Any, **more: Any) -> ZapPublished:
    """As the log has it."""
    definition = {"trigger": {"type": "webhook.catch"}, "steps": list(steps), **more}
    event = decode("zap.published", 1, msgspec.json.encode({"number": 1, "name": "z", "definition": definition}))
    assert isinstance(event, ZapPublished)
    return event


@pytest.mark.parametrize(
    ("newer", "plain"),
    [
        (published(ACTION | NEW), published(ACTION)),
        (published(ACTION, **NEW), published(ACTION)),
        (published(trigger={"type": "webhook.catch"} | NEW), published()),
        (
            published(settings={"deadline_s": 9, "concurrency": {"mode": "serial"} | NEW} | NEW),
            published(settings={"deadline_s": 9, "concurrency": {"mode": "serial"}}),
        ),
        (
            published(ACTION | {"retry": {"kind": "fixed", "delay_s": 5} | NEW, "rate_limit": {"per_minute": 1} | NEW}),
            published(ACTION | {"retry": {"kind": "fixed", "delay_s": 5}, "rate_limit": {"per_minute": 1}}),
        ),
        (
            published(ACTION | {"on_error": {"steps": [{"kind": "delay", "id": "d", "for_s": 1} | NEW]} | NEW}),
            published(ACTION | {"on_error": {"steps": [{"kind": "delay", "id": "d", "for_s": 1}]}}),
        ),
    ],
)
def test_of_a_newer_definition_what_is_understood_is_read(newer: ZapPublished, plain: ZapPublished) -> None:
    assert newer == plain


@pytest.mark.parametrize(
    "step",
    [
        {"kind": "paths", "id": "x", "paths": [{"steps": [ACTION]}]},
        {"kind": "delay", "id": "x", "until_workday": True},
        ACTION | {"id": "x", "on_error": "ask_me"},
        ACTION | {"id": "x", "retry": {"kind": "fibonacci"}},
    ],
)
def test_a_step_that_only_a_newer_release_understands_has_a_stand_in(step: JsonObject) -> None:
    stand_in = UnknownStep("x", str(step["kind"]))
    first, unknown, last = published(ACTION, step, {"kind": "delay", "id": "d", "for_s": 1}).definition.steps
    assert isinstance(first, ActionStep)
    assert (unknown, last) == (stand_in, DelayStep("d", for_s=1))
    (outer,) = published(ACTION | {"on_error": {"steps": [step]}}).definition.steps
    assert isinstance(outer, ActionStep)
    assert outer.on_error == ErrorPath((stand_in,))


def test_a_stand_in_comes_back_as_it_was() -> None:
    event = published({"kind": "paths", "id": "x"})
    assert decode("zap.published", 1, encode(event)) == event


def test_a_selection_of_a_newer_release_is_not_read_in_part() -> None:
    """Without a part of its selection a job would cancel other runs."""
    payload = msgspec.json.encode({"kind": "cancel", "filter": {"status": "failed"} | NEW})
    with pytest.raises(msgspec.ValidationError, match="added_later"):
        decode("job.requested", 1, payload)
