"""Approvals and callbacks: forms, links, what is told when a zap is saved, and what comes of an answer."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.flow.forms import MAX_FORM, Field, fields, filled_in, mistake_in_form, wrong
from domain.flow.steps import ApprovalStep, SetStep, Step, WaitForStep
from domain.run.links import Links, run_of, token_hash
from domain.values.json import Json, JsonObject
from domain.zap.advice import advice
from domain.zap.check import validate
from domain.zap.definition import Definition, Trigger
from domain.zap.settings import Concurrency, ZapSettings
from tests.support.clock import START
from tests.support.strategies import json_values
from tests.unit.domain.test_flow_mistakes import CATALOG, branch, paths, send, told

LINKS = Links("a secret", "https://hub.example.com")
RUN = UUID("01900000-0000-7000-8000-000000000003")
ASK = {"id": "ok", "kind": "approval", "title": "Refund {{ trigger.body.total }}?", "to": [{"email": "a@example.com"}]}
WAIT = {"id": "paid", "kind": "wait_for"}


def form(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


class TestForms:
    def test_each_kind_of_field_is_filled_in_in_its_own_way(self) -> None:
        schema = form(
            text={"type": "string", "title": "A text"}, long={"type": "string", "maxLength": 1_000},
            number={"type": "integer", "default": 7}, day={"type": "string", "format": "date"},
            choice={"enum": ["a", 1]}, box={"type": ["null", "boolean"]}, list={"type": "array"},
        ) | {"required": ["text"]}  # fmt: skip
        assert list(fields(schema)) == [
            Field(name="text", title="A text", kind="text", required=True),
            Field(name="long", title="long", kind="long"),
            Field(name="number", title="number", kind="number", default="7"),
            Field(name="day", title="day", kind="date"),
            Field(name="choice", title="choice", kind="choice", choices=("a", "1")),
            Field(name="box", title="box", kind="check"),
            Field(name="list", title="list", kind="json"),
        ]

    @pytest.mark.parametrize(
        ("rules", "text", "value"),
        [
            ({"type": "integer"}, "17", 17),
            ({"type": "integer"}, " -3 ", -3),
            ({"type": "number"}, "1.5e3", 1500.0),
            ({"type": "integer"}, "1.5", 1.5),
            ({"type": "integer"}, "many", "many"),
            ({"type": "integer"}, "9" * 400, "9" * 400),
            ({"type": "number"}, "1e999", "1e999"),
            ({"type": "boolean"}, "on", True),
            ({"type": "boolean"}, "maybe", "maybe"),
            ({"type": "string"}, "17", "17"),
            ({"enum": [1, "a"]}, "1", 1),
            ({"type": "array"}, "[1]", [1]),
            ({"type": "array"}, "[1", "[1"),
            ({"type": "object"}, "[" * 10_000, "[" * 10_000),
        ],
    )
    def test_a_text_becomes_the_value_or_stays_a_text(self, rules: Json, text: str, value: Json) -> None:
        assert filled_in(form(x=rules), {"x": text}) == {"x": value}

    def test_what_is_left_empty_is_left_out_and_a_box_is_not_ticked(self) -> None:
        assert filled_in(form(x={"type": "string"}, y={"type": "boolean"}), {"x": ""}) == {"y": False}

    @pytest.mark.parametrize(
        ("schema", "reason"),
        [
            ({"type": "objekt"}, "JSON Schema"),
            ({"type": "string"}, "type object"),
            ({"type": "object", "properties": []}, ""),
            (form(decision={"type": "string"}), "field of every answer"),
            (form(comment={}), "field of every answer"),
            (form(**{"a\nb": {}}), "printable"),
            (form(**{"": {}}), "1 to 100"),
            (form(**{f"f{n}": {} for n in range(51)}), "50 fields"),
            (form(x={"description": "x" * MAX_FORM}), "16,384 bytes"),
            (form(x={"$ref": "https://example.com/schema.json"}), "no references"),
        ],
    )
    def test_what_is_no_form_is_told(self, schema: dict[str, Json], reason: str) -> None:
        found = mistake_in_form(schema)
        assert found is not None
        assert reason in found

    @given(st.dictionaries(st.text(max_size=5), json_values, max_size=5), st.dictionaries(st.text(), st.text()))
    def test_nothing_raises_whatever_a_form_holds(self, properties: dict[str, Json], given_: dict[str, str]) -> None:
        schema: dict[str, Json] = {"type": "object", "properties": properties}
        if mistake_in_form(schema) is None:
            list(fields(schema))
            wrong(schema, filled_in(schema, given_), complete=True)


class TestLinks:
    def test_each_who_is_asked_has_another(self) -> None:
        urls = {
            LINKS.approval_url(run, step, number, LINKS.new_token_hash(run, step, number))
            for run in (RUN, UUID(int=1)) for step in ("ok", "ok2") for number in range(3)
        }  # fmt: skip
        assert len(urls) == 12
        assert all(url and url.startswith("https://hub.example.com/approve/") for url in urls)

    def test_a_token_leads_to_its_run_and_the_log_has_only_its_hash(self) -> None:
        known = LINKS.new_token_hash(RUN, "ok", 0)
        url = LINKS.approval_url(RUN, "ok", 0, known)
        assert url is not None
        token = url.rpartition("/")[2]
        assert run_of(token) == RUN
        assert token_hash(token) == known
        assert LINKS.approval_url(RUN, "ok", 1, known) is None

    @given(st.text(max_size=300))
    def test_what_was_not_made_here_is_unknown(self, token: str) -> None:
        assert LINKS.read_callback(token) is None
        run_of(token)

    @given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,63}", fullmatch=True))
    def test_a_callback_names_its_run_and_step(self, step_id: str) -> None:
        token = LINKS.callback_url(RUN, step_id).rpartition("/")[2]
        found = LINKS.read_callback(token)
        assert found is not None
        assert (found.run_id, found.step_id) == (RUN, step_id)
        for at in (0, 20, 30, len(token) - 1):
            other = "A" if token[at] != "A" else "B"
            changed = LINKS.read_callback(token[:at] + other + token[at + 1 :])
            assert changed is None


class TestMistakes:
    def test_waits_that_are_right_are_taken(self) -> None:
        rejected = {"steps": [send("tell", "{{ steps.ok.output.comment }}")]}
        recipients = [{"email": "a@example.com"}, {"role": "editor"}]
        assert not told(
            send("early", "{{ callback.paid.url }} {{ callback.inner.url }}"),
            ASK | {"to": recipients, "required": 2, "form": form(x={"type": "string"}), "rejected": rejected},
            paths(branch("a", {"id": "inner", "kind": "wait_for"})),
            WAIT,
            send("after", "{{ steps.paid.output.body }} {{ steps.ok.output.by }}"),
        )

    @pytest.mark.parametrize(
        ("steps", "pointer", "reason"),
        [
            ([ASK | {"to": [{"role": "editor"}, {"role": "editor"}]}], "/steps/0/to/1", "there already"),
            (
                [ASK | {"to": [{"email": "a@example.com"}, {"email": "A@Example.com"}]}],
                "/steps/0/to/1",
                "there already",
            ),
            ([ASK | {"required": 2}], "/steps/0/required", "only 1"),
            ([ASK | {"form": {"type": "string"}}], "/steps/0/form", "type object"),
            ([ASK | {"title": "{{ steps.no.output }}"}], "/steps/0/title", "there is no steps.no"),
            ([ASK | {"message": "{{ trigger.boddy }}"}], "/steps/0/message", "trigger.body"),
            (
                [ASK | {"rejected": {"steps": [send("tell")]}}, send("after", "{{ steps.tell.output }}")],
                "/steps/1/config/body",
                "never there",
            ),
            ([WAIT, send("late", "{{ callback.paid.url }}")], "/steps/1/config/body", "no step ahead"),
            ([send("early", "{{ callback.payd.url }}"), WAIT], "/steps/0/config/body", "callback.paid.url"),
            ([send("early", "{{ callback.paid.uri }}"), WAIT], "/steps/0/config/body", "callback.paid.url"),
        ],
    )
    def test_a_mistake_is_told_at_its_place(self, steps: list[Any], pointer: str, reason: str) -> None:
        ((at, said),) = told(*steps)
        assert at == pointer
        assert reason in said

    @pytest.mark.parametrize(
        "step",
        [
            {k: v for k, v in ASK.items() if k != "to"},
            ASK | {"to": []},
            ASK | {"to": [{}]},
            ASK | {"to": [{"email": "a@example.com", "role": "editor"}]},
            ASK | {"to": [{"email": "not one"}]},
            ASK | {"to": [{"role": "king"}]},
            ASK | {"deadline_s": 0},
            ASK | {"on_deadline": "wait"},
            ASK | {"required": 0},
            WAIT | {"on_deadline": "reject"},
            WAIT | {"deadline_s": 10**10},
        ],
    )
    def test_what_no_step_can_be_is_refused(self, step: dict[str, Any]) -> None:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(step, Step)

    def test_every_wait_has_a_deadline(self) -> None:
        for step in (ASK, WAIT):
            made = msgspec.convert(step, ApprovalStep | WaitForStep)
            assert made.deadline_s > 0


class TestAdvice:
    def test_mails_without_a_server_and_runs_that_hold_up_others_are_told(self) -> None:
        steps = msgspec.convert([ASK, WAIT, paths(branch("a"))], tuple[Step, ...])
        serial = ZapSettings(concurrency=Concurrency(mode="serial"))
        definition = Definition(Trigger("webhook.catch"), steps, serial)
        validate(definition, CATALOG)
        found = [(one.path, one.code) for one in advice(definition, CATALOG.actions, START, has_mail=False)]
        assert found == [
            ("steps.0.to", "no_mail_server"), ("steps.0", "blocks_others"), ("steps.1", "blocks_others"),
            ("steps.2.paths", "no_otherwise"),
        ]  # fmt: skip
        plain = msgspec.structs.replace(definition, settings=msgspec.UNSET)
        assert [one.code for one in advice(plain, {}, START, has_mail=True)] == ["no_otherwise"]

    def test_names_that_look_like_templates_are_told(self) -> None:
        step = SetStep("v", {"plain": "{{ trigger.body.x }}", "more": [{"{{ trigger.body.k }}": 1}]})
        (told,) = advice(Definition(Trigger("webhook.catch"), (step,)), {}, START, has_mail=True)
        assert (told.code, told.at[:4]) == ("literal_name", ("steps", "0", "values", "more"))

    def test_steps_behind_the_end_of_the_run_are_told(self) -> None:
        send_, stop = send("a", "x"), {"id": "s", "kind": "stop"}
        inner = branch("b", {"id": "r", "kind": "return", "value": 1}, send("c", "x"), send("d", "x"))
        steps = msgspec.convert([paths(inner) | {"otherwise": {"steps": [stop]}}, stop, send_], tuple[Step, ...])
        told = list(advice(Definition(Trigger("webhook.catch"), steps), CATALOG.actions, START, has_mail=True))
        assert [(one.path, one.code) for one in told] == [
            ("steps.2", "never_reached"),
            ("steps.0.paths.0.steps.1", "never_reached"),
        ]
        assert "s before it ends the run" in told[0].reason

    @pytest.mark.parametrize(
        ("delay", "is_told"),
        [
            ({"until": "2020-01-01T00:00:00Z", "if_past": "fail"}, True),
            ({"until": "2020-01-01", "if_past": "fail", "time_zone": "Europe/Berlin"}, True),
            ({"until": "2020-01-01T00:00:00Z"}, False),
            ({"until": "2020-01-01T00:00:00Z", "if_past": "continue"}, False),
            ({"until": "2999-01-01T00:00:00Z", "if_past": "fail"}, False),
            ({"until": "09:00", "if_past": "fail"}, False),
            ({"until": "{{ trigger.body.at }}", "if_past": "fail"}, False),
            ({"for_s": 1}, False),
        ],
    )
    def test_a_delay_that_fails_every_run_is_told(self, delay: dict[str, Any], is_told: bool) -> None:
        step = msgspec.convert({"id": "d", "kind": "delay", **delay}, Step)
        told = list(advice(Definition(Trigger("webhook.catch"), (step,)), {}, START, has_mail=True))
        assert [(one.path, one.code) for one in told] == [("steps.0.until", "always_past")] * is_told

    def test_an_action_gives_advice_of_its_own(self) -> None:
        action = msgspec.structs.replace(CATALOG.actions["http.request"], advise=lambda config: {"text": str(config)})
        step = msgspec.convert(send("a", "x"), Step)
        (told,) = advice(Definition(Trigger("webhook.catch"), (step,)), {"http.request": action}, START, has_mail=True)
        assert (told.path, told.code) == ("steps.0.config.text", "not_as_meant")


@pytest.mark.parametrize("name", ["$ref", "$dynamicRef", "$recursiveRef"])
def test_a_form_has_no_references(name: str) -> None:
    form: JsonObject = {"type": "object", "properties": {"a": {"allOf": [{name: "#"}] * 2}}}
    assert mistake_in_form(form) == "a form has no references: write each field out"
    assert (
        mistake_in_form({"type": "object", "properties": {"a": {"type": "string", "description": f'"{name}"'}}}) is None
    )
