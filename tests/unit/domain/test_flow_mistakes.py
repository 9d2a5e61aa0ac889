"""What is wrong with filters, paths and other steps is told when a zap is saved, each mistake at its place."""

from typing import Any

import msgspec
import pytest

from consumers.connectors import catalog
from domain.flow.steps import Step
from domain.log.errors import Invalid
from domain.zap.check import validate
from domain.zap.definition import Definition, Trigger

CATALOG = catalog()
HOLDS = {"field": "trigger.body.n", "operator": "equals", "value": 1}


def told(*steps: dict[str, Any]) -> list[tuple[str, str]]:
    """The pointers and reasons of all mistakes."""
    definition = Definition(Trigger("webhook.catch"), msgspec.convert(steps, tuple[Step, ...]))
    try:
        validate(definition, CATALOG)
    except Invalid as error:
        found: Any = error.details["errors"]
        return [(str(mistake["pointer"]), str(mistake["reason"])) for mistake in found]
    return []


def send(step_id: str, body: str = "x", **fields: Any) -> dict[str, Any]:
    config = {"url": "https://example.com", "body": body}
    return {"id": step_id, "kind": "action", "type": "http.request", "config": config, **fields}


def paths(*branches: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "route", "kind": "paths", "paths": list(branches), **fields}


def branch(branch_id: str, *steps: dict[str, Any], condition: object = HOLDS) -> dict[str, Any]:
    return {"id": branch_id, "condition": condition, "steps": list(steps)}


def test_steps_that_are_right_are_taken() -> None:
    assert not told(
        {"id": "less", "kind": "filter", "condition": HOLDS | {"value": "{{ trigger.body.m }}"}},
        {
            "id": "kept", "kind": "action", "type": "data.filter",
            "config": {
                "items": "{{ trigger.body.l }}",
                "condition": {"field": "item.n", "operator": "between", "value": ["{{ trigger.body.m }}", 9]},
            },
        },
        {"id": "big", "kind": "filter", "condition": HOLDS},
        paths(branch("a", send("in_a")), branch("b", send("in_b")), otherwise={"steps": [send("in_c")]}),
        {"id": "v", "kind": "set", "values": {"x": "{{ steps.route.output.result | default: 0 }}"}},
        {
            "id": "safe", "kind": "try", "steps": [send("one")],
            "on_error": {"steps": [send("tell", "{{ steps.one.error }}")]},
        },
        send("after", "{{ steps.in_a.output }} {{ steps.one.output }} {{ steps.safe.output.failed }}"),
        {"id": "answer", "kind": "return", "value": {"n": "{{ steps.v.output.x }}"}},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "pointer", "reason"),
    [
        ([{"id": "f", "kind": "filter", "condition": {}}], "/steps/0/condition", "one of {all}"),
        ([{"id": "d", "kind": "delay", "until": "tomorrow"}], "/steps/0/until", "is not a date and time"),
        ([{"id": "l", "kind": "for_each", "items": "a,b", "steps": []}], "/steps/0/items", "a list, or a template"),
        (
            [{"id": "l", "kind": "for_each", "items": "{{ trigger.body.x | map: 'y' }}", "steps": []}],
            "/steps/0/items", "did you mean {{ trigger.body.x | map: 'y' | parse_json }}?",
        ),
        (
            [{"id": "l", "kind": "for_each", "items": "{{ (1..3) }}", "steps": []}],
            "/steps/0/items", "did you mean {{ (1..3) | parse_json }}?",
        ),
        (
            [{"id": "l", "kind": "for_each", "items": "{% if now %}[]{% endif %}", "steps": []}],
            "/steps/0/items", "this one gives text",
        ),
        ([{"id": "l", "kind": "for_each", "items": None, "steps": []}], "/steps/0/items", "a list, or a template"),
        (
            [{"id": "f", "kind": "filter", "condition": HOLDS | {"value": "{{ body.n }}"}}],
            "/steps/0/condition/value", "did you mean trigger.body.n?",
        ),
        (
            [paths(branch("a", condition={"any": [HOLDS, HOLDS | {"operator": "in", "value": ["{{ steps.x }}"]}]}))],
            "/steps/0/paths/0/condition/any/1/value/0", "no step is before this one",
        ),
        (
            [{"id": "f", "kind": "filter", "condition": HOLDS | {"operator": "exists", "value": "{{ trigger.body }}"}}],
            "/steps/0/condition/value", "takes no value",
        ),
        (
            [{"id": "f", "kind": "filter", "condition": {"all": [HOLDS, HOLDS | {"field": "trigger.bodi"}]}}],
            "/steps/0/condition/all/1/field",
            "did you mean",
        ),
        (
            [{"id": "f", "kind": "filter", "condition": HOLDS | {"field": "steps.later.output"}}, send("later")],
            "/steps/0/condition/field",
            "later comes after this step",
        ),
        ([paths(branch("a"), branch("a"))], "/steps/0/paths/1/id", "taken"),
        ([paths(branch("otherwise"))], "/steps/0/paths/0/id", "no path matches"),
        ([paths(branch("1"))], "/steps/0/paths/0/id", "no digit first"),
        ([paths(branch("a", send("x"))), send("x")], "/steps/1/id", "taken by an earlier step"),
        (
            [paths(branch("a", send("x")), branch("b", send("y", "{{ steps.x.output }}")))],
            "/steps/0/paths/1/steps/0/config/body",
            "in a branch that this step is not on",
        ),
        ([paths(branch("a", send("x", "{{ steps.route.output }}")))], "/steps/0/paths/0/steps/0/config/body", "route"),
        (
            [{"id": "v", "kind": "set", "values": {"x": 1}}, send("t", "{{ steps.v.output.y }}")],
            "/steps/1/config/body", "the output of v has x",
        ),
        ([{"id": "s", "kind": "stop", "message": "{{ nope"}], "/steps/0/message", ""),
        ([{"id": "s", "kind": "set", "values": {"a": "{{ trigger.bodi }}"}}], "/steps/0/values/a", "did you mean"),
        ([{"id": "d", "kind": "delay", "until": "09:00", "time_zone": "Berlin"}], "/steps/0/time_zone", "Europe/B"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_place(steps: list[dict[str, Any]], pointer: str, reason: str) -> None:
    found = told(*steps)
    assert pointer in [at for at, _reason in found], found
    assert any(reason in why for at, why in found if at == pointer), found


def test_in_mode_all_a_branch_sees_the_branches_before_it() -> None:
    first, second = branch("a", send("x")), branch("b", send("y", "{{ steps.x.output }}"))
    assert not told(paths(first, second, mode="all"))
    assert told(paths(second, first, mode="all"))


def test_steps_are_nested_so_deep_and_no_deeper() -> None:
    step = send("deepest")
    for level in range(5):
        step = {"id": f"t{level}", "kind": "try", "steps": [step]}
    assert not told(step)
    (deep,) = told({"id": "more", "kind": "try", "steps": [step]})
    assert "5 levels" in deep[1]


def test_there_is_a_limit_to_paths() -> None:
    assert not told(paths(*(branch(f"b{number}") for number in range(10))))
    with pytest.raises(msgspec.ValidationError, match="<= 10"):
        told(paths(*(branch(f"b{number}") for number in range(11))))
