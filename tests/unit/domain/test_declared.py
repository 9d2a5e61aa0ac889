"""Files of connectors: every mistake is told at once and by its pointer, and input stays where it belongs."""

import re
from importlib.resources import files
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.connectors import declared as declared_files
from consumers.connectors.shipped import shipped
from domain.connector.config import BadConfig
from domain.connector.descriptor import ActionContext
from domain.connector.outcome import Failed, Outcome, Retry, Succeeded
from domain.declared import form
from domain.declared.action import Declared, declared, descriptor, request, short
from domain.declared.answers import settled
from domain.declared.check import BadFile, load, loaded
from domain.declared.fields import schema_of
from domain.declared.file import ConnectorFile, ErrorRule, Output
from domain.declared.filling import fill, fill_path
from domain.declared.reading import Unreadable, read
from domain.values.json import Json, JsonObject
from tests.support.clock import FixedClock
from tests.support.strategies import json_values

FILE = b"""
connector: shop
version: 1.0.0
name: Shop
base_url: https://api.shop.example/v2
headers: {X-Client: hub}
connection: {kind: bearer}
actions:
  add_line:
    name: Add a line
    idempotency: header:Idempotency-Key
    input:
      order: {type: string, required: true}
      sku: {type: string, required: true, choices: skus}
      count: {type: integer, default: 1, minimum: 1}
      note: {type: string}
      tags: {type: array}
    request:
      method: POST
      path: /orders/{order}/lines
      query: {notify: "{{ input.note }}"}
      json:
        line: {sku: "{{ input.sku }}", count: "{{ input.count }}", tags: "{{ input.tags }}"}
        note: "N: {{ input.note }}"
    output: {pick: line, sample: {id: 1}}
choices:
  skus:
    request: {path: /skus, query: {q: "{{ search }}", page: "{{ cursor }}"}}
    items: data
    value: sku
"""
WRONG = b"""
connector: Shop
versoin: 1.0.0
name: Shop
base_url: http://api.shop.example/v2?x=1
hosts: []
connection: {kind: beerer, test: {methd: GET, path: /me}}
errors:
  - {when: {status: x}, outcome: retri}
actions:
  add line:
    name: ""
    input: {order: {type: strin}}
    request: {path: /x}
    output: {}
"""
WRONG_INSIDE = b"""
connector: shop
version: 1.0.0
name: Shop
base_url: http://api.shop.example/v2?x=1
connection: {kind: api_key}
headers: {"X Y": "1"}
errors:
  - {when: {body: {"a b": 1}}, outcome: fail, message: "x y"}
actions:
  add:
    name: Add
    input:
      order: {type: string, choices: ordres, depends_on: [shop], default: 5}
      idle: {type: string}
    request:
      method: GET
      path: /orders/{ordre}/../{order}
      query: {a: "{{ input.odrer }}", b: "{{ trigger.body }}", c: "{{ input.order | upcase }}", d: "{{ secret }}"}
      json: {}
      form: {}
    example: {order: 3, ordr: 1}
choices:
  orders: {request: {path: /x, query: {a: "{{ input.order }}"}}, value: "x y"}
triggers:
  hook: {name: Hook, config: {verification: {preset: githug}}}
"""


def wrong(content: bytes) -> dict[str, str]:
    with pytest.raises(BadFile) as raised:
        load(content)
    found = raised.value.mistakes
    assert [mistake.at for mistake in found] == sorted(mistake.at for mistake in found)
    assert all(mistake.as_json()["pointer"] == mistake.pointer for mistake in found)
    return {mistake.pointer: mistake.code for mistake in found}


WRONG_TRIGGERS = b"""
connector: shop
version: 1.0.0
name: Shop
base_url: https://api.shop.example/v2
triggers:
  asked:
    name: A row
    poll:
      input: {every_s: {type: integer}, table: {required: true, choices: tables}}
      request: {path: "/{tabel}/rows", query: {since: "{{ cursor }}", b: "{{ search }}"}}
      key: "a b"
      changed_by: [ok, "not ok"]
      next_page: {token: "[x", param: page}
      detail: rows/{id}
  told:
    name: An event
    register:
      input: {repo: {type: integer, default: seven}}
      find: {request: {path: /hooks}, url: "a b", id: id}
      create: {method: POST, path: "/{repo}/hooks", json: {a: "{{ input.rep }}", b: "{{ key }}"}}
      id: "[id"
      secret: "a b"
      remove: {method: GET, path: "/hooks/{hook_id}", json: {}}
"""


def test_each_kind_of_mistake_is_told_at_once_by_its_pointer() -> None:
    assert wrong(WRONG) == {
        "/connector": "invalid",
        "/versoin": "unknown_field",
        "/version": "required",
        "/connection/kind": "invalid",
        "/connection/test/methd": "unknown_field",
        "/errors/0/when/status": "invalid",
        "/errors/0/outcome": "invalid",
        "/actions/add line": "invalid",
        "/actions/add line/name": "invalid",
        "/actions/add line/input/order/type": "invalid",
        "/actions/add line/output/sample": "required",
    }


def test_what_is_named_and_is_not_there_is_told_at_once_as_well() -> None:
    found = wrong(WRONG_INSIDE)
    assert found == {
        "/base_url": "invalid",
        "/connection/name": "required",
        "/headers/X Y": "invalid",
        "/errors/0/message": "invalid",
        "/errors/0/when/body/a b": "invalid",
        "/actions/add/input/order/choices": "unknown_choices",
        "/actions/add/input/order/depends_on": "unknown_field",
        "/actions/add/input/order/default": "invalid",
        "/actions/add/input/idle": "unused",
        "/actions/add/output": "required",
        "/actions/add/request/path": found["/actions/add/request/path"],
        "/actions/add/request/json": "not_allowed",
        "/actions/add/request/form": "not_allowed",
        "/actions/add/request/query/a": "unknown_field",
        "/actions/add/request/query/b": "invalid",
        "/actions/add/request/query/c": "invalid",
        "/actions/add/request/query/d": "invalid",
        "/actions/add/example/order": "invalid",
        "/actions/add/example/ordr": "invalid",
        "/choices/orders/request/query/a": "unknown_field",
        "/choices/orders/value": "invalid",
        "/triggers/hook/config/verification/preset": "invalid",
    }


def test_mistakes_in_triggers_are_told_at_once_as_well() -> None:
    assert wrong(WRONG_TRIGGERS) == {
        "/triggers/asked/poll/input/every_s": "taken",
        "/triggers/asked/poll/input/table/choices": "unknown_choices",
        "/triggers/asked/poll/request/path": "unknown_field",
        "/triggers/asked/poll/request/query/b": "invalid",
        "/triggers/asked/poll/cursor": "required",
        "/triggers/asked/poll/key": "invalid",
        "/triggers/asked/poll/changed_by/1": "invalid",
        "/triggers/asked/poll/next_page/token": "invalid",
        "/triggers/asked/poll/detail": "invalid",
        "/triggers/told/register/input/repo/default": "invalid",
        "/triggers/told/register/create/json/a": "unknown_field",
        "/triggers/told/register/create/json/b": "invalid",
        "/triggers/told/register/id": "invalid",
        "/triggers/told/register/secret": "invalid",
        "/triggers/told/register/find/url": "invalid",
        "/triggers/told/register/remove/json": "not_allowed",
    }


def test_guesses_help() -> None:
    with pytest.raises(BadFile) as raised:
        load(WRONG)
    shown = {mistake.pointer: mistake.as_json() for mistake in raised.value.mistakes}
    assert shown["/versoin"]["did_you_mean"] == "version"
    assert shown["/connection/kind"]["did_you_mean"] == "bearer"
    assert shown["/actions/add line/input/order/type"]["allowed"] == [
        *("string", "integer", "number", "boolean", "object", "array", "any")
    ]


def shop() -> Declared:
    (action,) = declared(load(FILE))
    return action


def sent(**given: Json) -> Any:
    return request(shop(), form.read(schema_of(shop().action), given), "run.step")


def test_what_is_not_set_is_left_out_and_types_are_kept() -> None:
    assert sent(order="7", sku="A", note="hi", tags=[1, None]) == {
        "method": "POST",
        "url": "https://api.shop.example/v2/orders/7/lines",
        "query": {"notify": "hi"},
        "headers": {"X-Client": "hub", "Idempotency-Key": "run.step"},
        "body": {"line": {"sku": "A", "count": 1, "tags": [1, None]}, "note": "N: hi"},
        "body_type": "json",
        "response": "json",
    }
    assert sent(order=7, sku="A", count="3")["url"] == "https://api.shop.example/v2/orders/7/lines"
    assert sent(order="7", sku="A", count="3")["body"] == {"line": {"sku": "A", "count": 3}}


def test_an_object_is_left_out_with_the_field_that_it_is_for() -> None:
    wanted: Json = {
        "a": {"$if": "{{ input.a }}", "type": "doc", "text": "{{ input.a }}"},
        "b": [{"$if": "{{ input.b }}"}, 1],
    }
    assert fill(wanted, {"input": {"a": "x"}}) == {"a": {"type": "doc", "text": "x"}, "b": [1]}
    assert fill(wanted, {"input": {}}) == {"b": [1]}


@given(st.text(min_size=1))
def test_a_value_stays_one_segment_of_the_path(value: str) -> None:
    try:
        path = fill_path("/orders/{id}/lines", {"id": value})
    except BadConfig:
        assert value in {".", ".."} or "/" in value
        return
    assert path.startswith("/orders/")
    assert path.endswith("/lines")
    assert path.count("/") == 3
    assert not {"?", "#", "\\", " "} & set(path)


@pytest.mark.parametrize("value", ["", ".", "..", None, {}, []])
def test_a_segment_that_would_lead_elsewhere_is_refused(value: Json) -> None:
    with pytest.raises(BadConfig):
        fill_path("/orders/{id}", {"id": value})
    with pytest.raises(BadConfig):
        fill_path("/files/{id*}", {"id": f"a/{value}/b" if isinstance(value, str) else value})


def test_several_segments_are_wanted_where_the_file_says_so() -> None:
    assert fill_path("/files/{path*}", {"path": "a b/c?d"}) == "/files/a%20b/c%3Fd"


def test_a_form_is_checked_with_templates_and_read_without() -> None:
    schema = schema_of(shop().action)
    assert form.problems(schema, {"order": "{{ trigger.body.id }}", "sku": "A", "count": "{{ x }}"}) == {}
    found = form.problems(schema, {"ordr": 1, "sku": 5, "count": 0})
    assert set(found) == {"order", "ordr", "sku", "count"}
    assert "did you mean order?" in found["ordr"]
    with pytest.raises(BadConfig, match="count: must be a whole number"):
        form.read(schema, {"order": "1", "sku": "A", "count": "many"})


@pytest.mark.parametrize(
    ("type_", "value", "wanted"),
    [("integer", 1999.0, "1999"), ("integer", "1999.00", "1999"), ("integer", "1e3", "1000"), ("number", 2.0, "2.0"),
     ("number", "2.50", "2.5"), ("integer", "7", "7")],
)  # fmt: skip
def test_a_whole_number_goes_out_as_one(type_: str, value: Json, wanted: str) -> None:
    schema: dict[str, Json] = {"type": "object", "properties": {"amount": {"type": type_}}}
    assert str(form.read(schema, {"amount": value})["amount"]) == wanted


@pytest.mark.parametrize("text", ["1.5", "nan", "inf", "1e400", "-inf"])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(BadConfig):
        form.read({"type": "object", "properties": {"amount": {"type": "integer"}}}, {"amount": text})


def test_a_short_key_is_the_same_for_the_same_step_and_fits() -> None:
    """Discord takes 25 characters, and the key of a step has more."""
    keys = [f"0199c0de-0001-7abc-8def-0123456789ab.{step}" for step in ("a", "a", "b")]
    first, again, other = map(short, keys)
    assert (first, len(first)) == (again, 24)
    assert other != first


def test_a_field_carries_the_steps_key_unless_it_is_set() -> None:
    (known,) = [one for one in declared(shipped("google_calendar")) if one.id == "create_event"]
    given: JsonObject = {
        "calendar": "primary",
        "summary": "x",
        "start": "2026-12-01T09:00:00Z",
        "end": "2026-12-01T10:00:00Z",
    }

    def id_of(key: str, **more: Json) -> Json:
        body = request(known, {**given, **more}, key)["body"]
        assert isinstance(body, dict)
        return body["id"]

    assert id_of("run.step") == id_of("run.step") != id_of("run.other")
    assert re.fullmatch("[a-v0-9]{5,1024}", str(id_of("run.step")))
    assert id_of("run.step", id="abcde") == "abcde"


def there_already() -> Outcome:
    return Failed(
        code="http_409", message="no", output={"status": 409, "headers": {}, "body": {"error": {"code": 409}}}
    )


@pytest.mark.parametrize(
    ("before", "after", "pointer"),
    [
        (b"outcome: succeed", b"outcome: fail", "/actions/create_event/errors/0/read"),
        (b"/events/{id}", b"/events/{summry}", "/actions/create_event/errors/0/read/path"),
        (b"errors:\n  - {", b"errors:\n  - {read: {path: /x}, ", "/errors/0/read"),
    ],
)
def test_only_an_own_rule_reads_and_what_its_path_names_is_there(before: bytes, after: bytes, pointer: str) -> None:
    text = (files(declared_files) / "google_calendar.yaml").read_bytes()
    assert before in text
    assert pointer in wrong(text.replace(before, after, 1))


async def test_what_an_attempt_before_has_made_is_read_and_is_the_output() -> None:
    (known,) = [one for one in declared(shipped("google_calendar")) if one.id == "create_event"]
    there: JsonObject = {"id": "its own", "summary": "Review"}
    answers: list[Outcome] = [there_already(), Succeeded({"status": 200, "headers": {}, "body": there})]
    asked: list[JsonObject] = []

    async def perform(sent: JsonObject, _context: ActionContext) -> Outcome:
        asked.append(sent)
        return answers[len(asked) - 1]

    given: JsonObject = {"calendar": "a/b", "summary": "Review", "start": "2026-12-01T09:00:00Z"}
    given["end"] = "2026-12-01T10:00:00Z"
    context = ActionContext(None, "run.step", UUID(int=1), FixedClock())  # type: ignore[arg-type] # nobody is asked
    assert await descriptor(known, perform).run(given, context) == Succeeded(there)
    made, read = asked
    assert isinstance(made["body"], dict)
    assert (read["method"], read["url"]) == ("GET", f"{made['url']}/{made['body']['id']}")
    asked.clear()
    answers[1] = Failed(code="http_404", message="no", output={"status": 404, "headers": {}, "body": {}})
    assert isinstance(await descriptor(known, perform).run(given, context), Failed), "no output that is no event"


def test_variants_of_a_form() -> None:
    variants: list[Json] = [{"type": "string"}, {"type": "object", "required": ["id"], "properties": {"id": {}}}]
    schema: dict[str, Json] = {"properties": {"to": {"oneOf": variants}}, "$defs": {"x": {"type": "integer"}}}
    assert form.problems(schema, {"to": "a"}, rendered=True) == {}
    assert form.problems(schema, {"to": {"id": 1}}, rendered=True) == {}
    assert set(form.problems(schema, {"to": {}}, rendered=True)) == {"to.id"}
    assert set(form.problems(schema, {"to": 3}, rendered=True)) == {"to"}
    referring: dict[str, Json] = {**schema, "properties": {"n": {"$ref": "#/$defs/x"}, "loop": {"$ref": "#/$defs/no"}}}
    assert set(form.problems(referring, {"n": "x", "loop": 1}, rendered=True)) == {"n"}


RULES = msgspec.convert(
    [
        {"when": {"body": {"ok": False, "error": "slow"}}, "outcome": "retry", "retry_after": "wait"},
        {"when": {"body": {"ok": False}}, "outcome": "fail", "code": "error", "message": "text"},
        {"when": {"status": 401}, "outcome": "reconnect"},
        {"when": {"status": [404, 410]}, "outcome": "succeed"},
        {"when": {"status": 503, "header": {"X-Busy": "1"}}, "outcome": "fail"},
    ],
    tuple[ErrorRule, ...],
)


def answered(status: int, body: Json, **headers: Json) -> Outcome:
    answer: dict[str, Json] = {"status": status, "headers": headers, "body": body}
    code, message = f"http_{status}", f"the target answered {status}"
    before: Outcome = Succeeded(answer)
    if status >= 500 or status == 429:
        before = Retry(code=code, message=message, after_s=9, output=answer)
    elif status >= 400:
        before = Failed(code=code, message=message, output=answer)
    return settled(before, RULES, Output(sample=None, pick="data"))


def test_rules_come_before_success_and_the_first_counts() -> None:
    assert answered(200, {"ok": True, "data": [1]}) == Succeeded([1])
    slow = answered(200, {"ok": False, "error": "slow", "wait": 3})
    assert isinstance(slow, Retry)
    assert slow.after_s == 3
    failed = answered(200, {"ok": False, "error": "no_such_channel", "text": "There is none"})
    assert isinstance(failed, Failed)
    assert (failed.code, failed.message) == ("no_such_channel", "There is none")
    refused = answered(401, {"message": "bad token"})
    assert isinstance(refused, Failed)
    assert (refused.code, "bad token" in refused.message) == ("unauthorized", True)
    assert answered(404, {}) == Succeeded(None)
    assert isinstance(answered(503, {}, **{"x-busy": "1"}), Failed)
    assert isinstance(answered(503, {}), Retry)


def test_a_failure_has_the_reason_that_the_service_gives() -> None:
    bodies: list[Json] = [{"error": {"message": "No."}}, {"errors": [{"detail": "No."}]}, {"message": "No."}, "No."]
    for body in bodies:
        found = answered(400, body)
        assert isinstance(found, Failed)
        assert found.message == "the target answered 400: No."
    page = answered(400, "<html>")
    assert isinstance(page, Failed)
    assert page.message == "the target answered 400"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_files_that_editors_mark_with_their_encoding_are_read(encoding: str) -> None:
    for text in ("name: é", '{"name": "é"}'):
        assert read(text.encode(encoding)) == {"name": "é"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a: &x [1]\nb: *x", "anchors"),
        (b"a: !!python/object:os.system x", "tags"),
        (b"a: 1\na: 2", "twice"),
        (b"? [1]\n: 2", "text"),
        (b"[" * 5_000, "nested"),
        (b"a: [1", "line"),
        (b"\xff\xfe\xfa", "not UTF-8"),
        (b"a: 1\n--- \nb: 2", "document"),
        (b"x" * 600_000, "bytes"),
        (b"a: \x00", "not YAML"),
    ],
)
def test_hostile_files_are_refused(content: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read(content)


def test_yaml_means_what_json_means() -> None:
    assert read(b"{a: no, b: yes, c: 1.0.0, d: 010, e: 2026-11-26, f: ~, g: 1e3, h: true, i: 12:30}") == {
        "a": "no",
        "b": "yes",
        "c": "1.0.0",
        "d": 10,
        "e": "2026-11-26",
        "f": None,
        "g": 1000.0,
        "h": True,
        "i": "12:30",
    }
    assert read(b'{"a": [1, null]}') == {"a": [1, None]}
    assert read(b"") is None


@settings(max_examples=200)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_nothing_but_unreadable_comes_of_garbage(content: bytes) -> None:
    try:
        read(content)
    except Unreadable:
        return


VALID = msgspec.to_builtins(load(FILE))


@settings(max_examples=60)
@given(st.sampled_from(sorted(VALID)), json_values, st.sampled_from(sorted(ConnectorFile.__struct_fields__)))
def test_nothing_but_a_bad_file_comes_of_a_file_that_is_wrong_somewhere(name: str, value: Json, other: str) -> None:
    seen = 0
    for broken in ({**VALID, name: value}, {**VALID, other: value}, value):
        try:
            loaded(broken)
        except BadFile as error:
            seen += len(error.mistakes)
    assert seen
