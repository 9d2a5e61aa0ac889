"""What listeners are told is the same whether a payload is read whole or only its beginning."""

from datetime import UTC, datetime
from typing import get_args

import msgspec
import pytest

from app.live.news import (
    TYPES,
    LiveClosed,
    LiveReset,
    LiveRunEnded,
    LiveRunStep,
    Row,
    ZapChange,
    beginning,
    frame,
    told,
)
from domain.flow.decisions import Filtered, Taken
from domain.registry import EVENT_TYPES, encode, event_type
from domain.run.events import RunEvent, StepDecided
from sql.process.clock import new_id
from tests.support.examples import EXAMPLES

RUN, ZAP, TENANT = new_id(), new_id(), new_id()
AT = datetime(2026, 1, 1, tzinfo=UTC)
UNTOLD = {"zap.run.resumed", "zap.scheduled", "zap.hook_due", "zap.draft_tested", "zap.run.approval_mailed"}
SHOWN = [event for event in EXAMPLES if event_type(event).name in TYPES]


def row(name: str, data: bytes) -> Row:
    return Row(7, RUN, TENANT, name, AT, data)


def test_each_event_of_a_run_or_a_zap_is_told_or_is_known_not_to_be() -> None:
    of_both = {kind.name for kind in EVENT_TYPES if kind.name.startswith("zap.")}
    elsewhere = ("zap.failures.", "zap.request.", "zap.trigger.", "zap.hook.")
    assert set(TYPES) == {name for name in of_both if not name.startswith(elsewhere)} - UNTOLD
    assert set(get_args(ZapChange)) == {name[4:] for name in TYPES if not name.startswith("zap.run.")}


@pytest.mark.parametrize("event", SHOWN, ids=lambda event: type(event).__name__)
def test_the_beginning_of_a_payload_says_what_the_whole_payload_says(event: RunEvent) -> None:
    said = beginning(encode(event)[:512])
    for name in ("zap_id", "zap_version", "source", "step_id", "attempt", "duration_ms", "code"):
        if hasattr(event, name):
            assert getattr(said, name) == getattr(event, name), name
    found = row(event_type(event).name, encode(event)[:512])
    shown = told(found, ZAP)
    assert shown.zap_id == (ZAP if found.of_run else RUN)
    assert (shown.position, shown.at) == (7, AT)


@pytest.mark.parametrize("event", SHOWN, ids=lambda event: type(event).__name__)
def test_a_payload_may_be_cut_anywhere(event: RunEvent) -> None:
    whole = encode(event)
    fields = msgspec.json.decode(whole)
    for end in range(len(whole)):
        said = msgspec.structs.asdict(beginning(whole[:end]))
        assert all(
            value == msgspec.convert(fields[name], type(value), strict=False)
            for name, value in said.items()
            if name in fields and value not in (None, "", 0, "webhook")
        )


def test_bytes_that_are_no_event_are_told_without_what_is_missing() -> None:
    for data in (b"", b"[]", b"null", b'{"step_id":"a\\"b"', b"\x00", b'{"step_id":{"x":1}}'):
        assert beginning(data).step_id == ""
    with pytest.raises(msgspec.DecodeError):
        beginning(b'{"attempt":"one","x":1}')


def test_a_filter_that_stops_a_run_is_told_apart_from_one_that_does_not() -> None:
    for decision, status in (
        (Filtered(passes=False, reason="is 0"), "filtered"),
        (Filtered(passes=True, reason="is 1"), "succeeded"),
        (Taken(taken=("a",), reasons={"a": '"decision":{"kind":"filter","passes":false'}), "succeeded"),
    ):
        step = told(row("zap.run.step_decided", encode(StepDecided(step_id="s", decision=decision))), ZAP)
        assert isinstance(step, LiveRunStep)
        assert (step.step_id, step.status) == ("s", status)


def test_a_run_that_timed_out_has_the_code_that_its_list_shows() -> None:
    ended = told(row("zap.run.timed_out", b'{"step_id":"s","message":"late"}'), ZAP)
    assert isinstance(ended, LiveRunEnded)
    assert (ended.status, ended.error_code, ended.step_id) == ("timed_out", "deadline", "s")


def test_a_frame_is_one_event_with_its_position_as_the_id() -> None:
    reset = LiveReset(position=9, reason="too_old")
    assert frame(reset) == b'id: 9\nevent: reset\ndata: {"type":"reset","position":9,"reason":"too_old"}\n\n'
    assert frame(LiveClosed(reason="stopping")) == b'event: closed\ndata: {"type":"closed","reason":"stopping"}\n\n'
