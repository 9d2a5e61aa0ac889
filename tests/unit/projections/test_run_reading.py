"""Large runs are read without parsing what is large in them: the same is shown, and each value is found by its path."""

import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from domain.hook.request import Request
from domain.log.event import StoredEvent
from domain.run.events import RunCompleted, RunRequested
from domain.run.inputs import keep
from domain.values.json import Json
from domain.values.path import MISSING, look_up, parse_path
from projections.run_detail import RunDetail, bounded, fold, values_of
from projections.run_reading import large, value_of
from tests.support.builders import a_run_requested
from tests.unit.projections.test_run_detail import done, stored

ROWS: Json = [{"id": number, "name": f"name {number}", "price": 1.5} for number in range(20_000)]
BODY: Json = {"rows": ROWS, "who": "Ada", "deep": {"rows": ROWS, "n": 1}, "text": 'a "quoted" ü ' * 20_000}


BROKEN = Request(headers={"content-type": "application/json"}, body='{"a": ["' + "x" * 300_000)


def asked(body: Json, content_type: str = "application/json", **more: Any) -> RunRequested:
    request = Request(headers={"content-type": content_type}, body=msgspec.json.encode(body).decode(), **more)
    return msgspec.structs.replace(a_run_requested(), request=request)


def a_large_run() -> list[StoredEvent]:
    """Its first step sends on what came, and its second one has a large answer."""
    context: dict[str, Json] = {"trigger": {"body": BODY}, "steps": {}}
    given = keep({"url": "u", "body": ROWS}, context, 0)
    assert given.kept is not None
    first = done(1, "first", input=given.value, kept=given.kept, output={"status": 200})
    second = done(1, "second", input={"url": "u"}, output={"status": 200, "body": {"rows": ROWS, "n": 7}})
    return stored([asked(BODY), first, second, RunCompleted()])


def left_out(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict) and set(value) == {"$large"}:
        yield value["$large"]
    elif isinstance(value, dict):
        for inner in value.values():
            yield from left_out(inner)


def shown(detail: RunDetail) -> Any:
    return msgspec.to_builtins(detail)


def test_what_is_small_in_a_large_run_is_shown_as_ever() -> None:
    events = a_large_run()
    lean, whole = shown(large(events)), shown(fold(events))
    assert len(msgspec.json.encode(lean)) < 50_000
    assert (lean["trigger"]["body"]["who"], lean["trigger"]["body"]["deep"]["n"]) == ("Ada", 1)
    first, second = lean["steps"]
    assert (first["input"]["url"], first["output"]) == ("u", {"status": 200})
    assert (second["output"]["status"], second["output"]["body"]["n"]) == (200, 7)
    for part in ("id", "status", "started_at", "finished_at", "duration_ms", "queued_ms", "source", "position"):
        assert lean[part] == whole[part]
    assert {**lean["trigger"], "body": None} == {**whole["trigger"], "body": None}


def test_each_value_that_is_left_out_is_found_by_the_path_that_is_shown() -> None:
    events = a_large_run()
    values = values_of(fold(events))
    marks = list(left_out({"trigger": shown(large(events))["trigger"], "steps": {
        step["id"]: step for step in shown(large(events))["steps"]
    }}))  # fmt: skip
    assert {mark["path"] for mark in marks} == {
        "trigger.body.rows", "trigger.body.deep.rows", "trigger.body.text", "steps.second.output.body.rows",
    }  # fmt: skip
    for mark in marks:
        found = value_of(events, parse_path(mark["path"]))
        assert isinstance(found, msgspec.Raw)
        assert mark["size"] == len(bytes(found))
        assert msgspec.json.decode(found) == look_up(values, parse_path(mark["path"]))
        assert (
            msgspec.json.encode(look_up(values, parse_path(mark["path"])))
            .decode()
            .lstrip('"')
            .startswith(mark["beginning"][:20])
        )


@pytest.mark.parametrize(
    "path", ["trigger.body.rows[7].name", "trigger.body.who", "trigger.method", "steps.second.output.body.rows[1]",
             "steps.first.input.body", "steps.first.output.status"],
)  # fmt: skip
def test_every_value_is_the_same_as_of_the_whole_run(path: str) -> None:
    events = a_large_run()
    found: Any = value_of(events, parse_path(path))
    wanted = look_up(values_of(fold(events)), parse_path(path))
    assert (msgspec.json.decode(found) if isinstance(found, msgspec.Raw) else found) == wanted
    assert wanted is not MISSING


@pytest.mark.parametrize(
    "path", ["trigger.body.nope", "trigger.body.rows[99999999]", "steps.nope.output", "steps.first"]
)
def test_what_is_not_there_is_missing(path: str) -> None:
    events = a_large_run()
    assert value_of(events, parse_path(path)) == look_up(values_of(fold(events)), parse_path(path))


@pytest.mark.parametrize(
    "request_event",
    [
        asked(BODY, "text/plain"),
        asked(BODY, "application/json; charset=latin-1"),
        asked(BODY, raw=True),
        asked(BODY, "application/cloudevents+json"),
        msgspec.structs.replace(asked(BODY), request=BROKEN),
    ],
)  # fmt: skip
def test_a_body_that_is_not_plain_json_is_shown_as_ever(request_event: RunRequested) -> None:
    events = stored([request_event, RunCompleted()])
    assert large(events) == bounded(fold(events))


def test_the_path_to_a_value_goes_on_behind_what_is_no_object() -> None:
    events = stored([asked(ROWS), RunCompleted()])
    assert next(left_out(shown(large(events))["trigger"]))["path"] == "trigger.body"
    assert msgspec.json.decode(_raw(value_of(events, parse_path("trigger.body[3].id")))) == 3


def _raw(found: object) -> msgspec.Raw:
    assert isinstance(found, msgspec.Raw)
    return found


def peak(events: Sequence[StoredEvent]) -> int:
    tracemalloc.start()
    try:
        large(events)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_large_body_takes_a_few_times_its_bytes() -> None:
    """Parsed, these take twenty times theirs."""
    events = a_large_run()
    assert peak(events) < 4 * sum(len(event.data) for event in events)
