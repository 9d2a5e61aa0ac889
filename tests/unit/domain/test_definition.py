"""What a saved definition keeps to, and how its mistakes are told."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import UNSET, Meta, UnsetType

from domain.connector.catalog import Catalog
from domain.connector.config import config_schema, problems
from domain.connector.descriptor import ActionContext, ActionDescriptor, TriggerDescriptor
from domain.connector.outcome import Outcome, Succeeded
from domain.flow.steps import ActionStep
from domain.log.errors import Invalid
from domain.values.json import Json, JsonObject
from domain.zap.check import validate
from domain.zap.definition import MAX_STEPS, Definition, Trigger, same
from tests.support.builders import a_definition


async def nothing(_config: JsonObject, _context: ActionContext) -> Outcome:
    return Succeeded(None)


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: Annotated[str, Meta(title="URL")]
    method: Annotated[Literal["GET", "POST"], Meta(title="Method")] = "POST"
    count: int | UnsetType = UNSET
    ratio: float | UnsetType = UNSET
    fast: bool = False
    name: Annotated[str, Meta(pattern=r"^[a-z`.]+\Z")] | UnsetType = UNSET
    headers: JsonObject = {}
    body: Json = None


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    note: str = ""


CATALOG = Catalog(
    triggers={
        "webhook.catch": TriggerDescriptor(
            type="webhook.catch",
            name="Webhook",
            description="",
            icon="",
            config=Note,
        )
    },
    actions={
        "http.request": ActionDescriptor(
            type="http.request", name="HTTP", description="", icon="", run=nothing, config=Config
        )
    },
)


def problems_of(definition: Definition) -> dict[str, str]:
    try:
        validate(definition, CATALOG)
    except Invalid as error:
        listed: Any = error.details["errors"]
        return {problem["path"]: problem["reason"] for problem in listed}
    return {}


def with_config(**config: Any) -> Definition:
    return a_definition("send", config={"url": "https://example.com", **config})


def with_ids(*ids: str) -> Definition:
    return a_definition(*ids, config={"url": "https://example.com"})


def test_a_good_definition_is_accepted() -> None:
    assert problems_of(with_config(method="GET", count=1, ratio=1, fast=False, headers={}, body=[1])) == {}
    assert problems_of(a_definition()) == {}


@pytest.mark.parametrize("ids", [("a",), ("a", "b_2"), ("_x",), ("a" * 64,), ("A1",)])
def test_ids_that_templates_can_name_are_accepted(ids: tuple[str, ...]) -> None:
    assert problems_of(with_ids(*ids)) == {}


@pytest.mark.parametrize("step_id", ["", "1", "1st", "a-b", "a b", "ä", "a.b", "a" * 65, "a\n", "²"])
def test_ids_that_templates_can_not_name_are_refused(step_id: str) -> None:
    assert set(problems_of(with_ids(step_id))) == {"steps.0.id"}


def test_an_id_is_used_once() -> None:
    assert "taken" in problems_of(with_ids("a", "b", "a"))["steps.2.id"]


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"url": ""}, "url"),
        ({"url": None}, "url"),
        ({"url": 7}, "url"),
        ({"method": "BREW"}, "method"),
        ({"count": 1.5}, "count"),
        ({"count": True}, "count"),
        ({"ratio": "1"}, "ratio"),
        ({"fast": 1}, "fast"),
        ({"headers": []}, "headers"),
        ({"nonesuch": 1}, "nonesuch"),
        ({"body": "{{ open"}, "body"),
        ({"body": {"a": ["{% nope %}"]}}, "body.a.0"),
    ],
)
def test_a_wrong_field_is_named(config: dict[str, Any], field: str) -> None:
    assert set(problems_of(with_config(**config))) == {f"steps.0.config.{field}"}


@pytest.mark.parametrize("field", ["method", "count", "ratio", "fast", "headers", "body"])
def test_a_template_fits_any_type(field: str) -> None:
    assert problems_of(with_config(**{field: "{{ trigger.body.x }}"})) == {}


def test_a_missing_field_is_named() -> None:
    assert problems_of(a_definition("send")) == {"steps.0.config.url": "required"}


def test_unknown_types_list_what_is_known() -> None:
    found = problems_of(Definition(Trigger("nope"), (ActionStep("a", "nope.too"),)))
    assert "webhook.catch" in found["trigger.type"]
    assert "http.request" in found["steps.0.type"]


def test_a_trigger_is_checked_like_a_step() -> None:
    assert set(problems_of(Definition(Trigger("webhook.catch", {"note": 1, "x": 2})))) == {
        "trigger.config.note",
        "trigger.config.x",
    }


def test_there_is_a_limit_to_steps() -> None:
    ids = [f"s{number}" for number in range(MAX_STEPS + 1)]
    assert problems_of(with_ids(*ids[:-1])) == {}
    assert set(problems_of(with_ids(*ids))) == {"steps"}


def test_every_mistake_is_told_at_once() -> None:
    broken = Definition(Trigger("nope"), (ActionStep("1", "http.request"), ActionStep("b", "nope")))
    assert set(problems_of(broken)) == {"trigger.type", "steps.0.id", "steps.0.config.url", "steps.1.type"}


def test_same_means_the_same_json() -> None:
    assert same(with_config(body={"a": 1, "b": 2}), with_config(body={"b": 2, "a": 1}))
    assert not same(with_config(body=1), with_config(body=True))
    assert not same(with_config(body=1), with_config(body=1.0))


def test_the_catalog_shows_fields_as_json_schema() -> None:
    schema: Any = config_schema(Config)
    assert schema["required"] == ["url"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["method"] == {
        "title": "Method",
        "enum": ["GET", "POST"],
        "default": "POST",
    }
    assert "type" not in schema["properties"]["body"]
    assert schema["properties"]["name"]["pattern"] == "^[a-z`.]+$"
    assert problems(Config, {"url": "x", "name": "a b"}) == {"name": "expected str that matches ^[a-z`.]+$"}
