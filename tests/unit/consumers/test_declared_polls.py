"""Triggers of files that ask a service for what is new: what goes over the wire, and what comes of each answer."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from consumers.connectors.http.poll import WAYS
from consumers.connectors.http.rows import by_header
from consumers.connectors.shipped import ShippedTriggers, names, shipped
from consumers.dialogues.dialogues import Dialogues
from consumers.outbound.client import Outbound
from consumers.trial.stand_in import StandIn, stand_in
from domain.connector.descriptor import TriggerDescriptor
from domain.connector.poll import Found, Item, Place, PollContext, PollFailed
from domain.declared.fields import schema_of_fields
from domain.declared.given import sample_of
from domain.starting.polling import polled
from domain.values.json import JsonObject
from sql.process.clock import now

WIRE = Path(__file__).parents[2] / "golden" / "wire"
TYPES = list(ShippedTriggers(WAYS))
OLD = "2026-11-26T08:00:00Z"


@pytest.fixture(scope="module")
async def service() -> AsyncIterator[StandIn]:
    async with stand_in() as service:
        yield service


def trigger_at(type_: str, address: str) -> tuple[TriggerDescriptor, JsonObject]:
    """The trigger with the stand-in for its service, and a config of it."""
    name, _, id_ = type_.partition(".")
    file = msgspec.structs.replace(shipped(name), base_url=address)
    preset = file.triggers[id_]
    assert preset.poll
    form = schema_of_fields(preset.poll.input)
    given = sample_of(form, form)
    assert isinstance(given, dict)
    return polled(file, id_, preset, WAYS), given


def answer_of(type_: str) -> tuple[bytes, bool]:
    """What the service answers with one item, and whether that item has more behind it."""
    name, _, id_ = type_.partition(".")
    preset = shipped(name).triggers[id_]
    poll, sample = preset.poll, next(iter(preset.samples.values()))
    assert poll
    assert isinstance(sample, dict)
    if poll.rows == "header":
        cells = sample["values"]
        assert isinstance(cells, dict)
        return msgspec.json.encode({poll.items: [list(cells), list(cells.values())]}), False
    return msgspec.json.encode({poll.items: [sample]} if poll.items else [sample]), bool(poll.detail)


async def found_by(
    service: StandIn, http: Outbound, type_: str, *, cursor: str = "", beginning: bool = False, **more: Any
) -> Found:
    trigger, given = trigger_at(type_, service.address)
    assert trigger.poll
    assert trigger.problems(given | more) == {}
    async with aclosing(Dialogues(())) as dialogues:
        context = PollContext(
            http=http, dialogue=dialogues.of(UUID(int=1)),
            place=Place(cursor=cursor), moment=now(), clock=now, beginning=beginning, is_known=lambda _item: False,
        )  # fmt: skip
        return await trigger.poll.run({**given, **more}, context)


@pytest.mark.parametrize("type_", TYPES)
async def test_what_goes_over_the_wire_is_as_it_was_reviewed(
    type_: str, service: StandIn, http: Outbound, pytestconfig: pytest.Config
) -> None:
    """Write it anew with: pytest tests/unit/consumers/test_declared_polls.py --write-golden"""
    content, _ = answer_of(type_)
    service.says(200, content)
    before = len(service.requests)
    found = await found_by(service, http, type_, cursor=OLD)
    wire = [one.shown(shipped(type_.partition(".")[0]).base_url) for one in service.requests[before:]]
    path = WIRE / f"{type_}.json"
    if pytestconfig.getoption("--write-golden", default=False) or not path.exists():
        path.write_text(json.dumps(wire, indent=2, ensure_ascii=False) + "\n", "utf-8")
    assert wire == json.loads(path.read_text("utf-8"))
    assert [item.key != "" for item in found.items] == [True]


@pytest.mark.parametrize("type_", TYPES)
async def test_every_kind_of_answer_has_its_outcome(type_: str, service: StandIn, http: Outbound) -> None:
    service.says(200, b"{}")
    poll = shipped(type_.partition(".")[0]).triggers[type_.partition(".")[2]].poll
    assert poll
    if poll.items:
        assert (await found_by(service, http, type_)).items == ()
    for status, code, after_s in ((400, "http_400", None), (401, "http_401", None), (500, "http_500", None)):
        service.says(status, b'{"error": {"message": "no"}}')
        with pytest.raises(PollFailed) as failed:
            await found_by(service, http, type_)
        assert (failed.value.code, failed.value.after_s) == (code, after_s)
    service.says(429, b"{}", ("Retry-After", "7"))
    with pytest.raises(PollFailed) as failed:
        await found_by(service, http, type_)
    assert failed.value.after_s == 7
    service.says(200, b"<html>Sign in</html>", content_type="text/html")
    with pytest.raises(PollFailed, match="not JSON"):
        await found_by(service, http, type_)


async def test_the_whole_of_a_mail_is_fetched_for_those_that_may_start_runs_only(
    service: StandIn, http: Outbound
) -> None:
    listed = {"messages": [{"id": f"m{number}", "threadId": "t"} for number in range(5)]}
    service.says(200, msgspec.json.encode({**listed, "id": "whole"}))
    before = len(service.requests)
    found = await found_by(service, http, "gmail.new_mail", max_items=2)
    assert [one.target.partition("?")[0] for one in service.requests[before:]] == [
        "/users/me/messages", "/users/me/messages/m4", "/users/me/messages/m3",
    ]  # fmt: skip
    assert ["messages" in item.body for item in found.items if isinstance(item.body, dict)] == [
        True,
        True,
        *[False] * 3,
    ]
    before = len(service.requests)
    await found_by(service, http, "gmail.new_mail", beginning=True)
    assert len(service.requests) == before + 1


def test_rows_are_objects_by_their_header_and_have_keys_that_stay() -> None:
    rows: list[Any] = [["Name", "Total", "", "Name"], ["Ada", 17], [], ["Ada", 17], ["Bob", 1, "x", "y", "z"]]
    found: list[Any] = by_header(rows)
    assert [one["row"] for one in found] == [2, 4, 5]
    assert found[0]["values"] == {"Name": "Ada", "Total": 17, "column_3": "", "column_4": ""}
    assert found[2]["values"]["column_5"] == "z"
    assert len({one["key"] for one in found}) == 3
    again: list[Any] = by_header([rows[0], ["New", 1], *rows[1:]])
    assert [one["key"] for one in again][1:] == [one["key"] for one in found]
    assert by_header([]) == []


def test_a_trigger_that_polls_is_in_the_catalog_with_its_form() -> None:
    triggers = ShippedTriggers(WAYS)
    assert len(triggers) == len(TYPES) == 8
    for type_ in TYPES:
        trigger = triggers[type_]
        assert {"every_s", "start_from", "max_items"} < set(trigger.form["properties"])  # type: ignore[arg-type]
        assert trigger.connection is not None
        assert trigger.example is not None
        assert trigger.problems({"every_s": 5})
    assert {type_.partition(".")[0] for type_ in TYPES} <= set(names())


def test_a_source_stays_the_same_whatever_is_set_of_when_and_how_much() -> None:
    trigger, given = trigger_at("google_sheets.new_row", "https://sheets.googleapis.com/v4")
    assert trigger.poll
    assert trigger.poll.source(given) == trigger.poll.source({**given, "every_s": 60, "max_items": 5})
    assert trigger.poll.source(given) != trigger.poll.source({**given, "range": "Other"})
    assert Item(key="k", body=1).state == ""
