"""A step that says whether a value is as a JSON Schema wants it."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from domain.connector.input_schema import mistake_in, violations
from domain.data.operation import Operation, Unfit
from domain.values.json import Json, JsonObject


class Check(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value, and what it should be."""

    value: Annotated[Json, Meta(title="Value")]
    schema: Annotated[JsonObject, Meta(title="JSON Schema")]


def check(wanted: Check, _now: datetime) -> Json:
    """Whether it `fits`, and the mistakes in it, each with its JSON pointer."""
    wrong = mistake_in(wanted.schema)
    if wrong:
        raise Unfit(f"schema: {wrong}")
    mistakes: list[Json] = [{"pointer": at, "reason": why} for at, why in violations(wanted.schema, wanted.value)]
    return {"fits": not mistakes, "mistakes": mistakes}


def _problems(saved: JsonObject) -> dict[str, str]:
    schema = saved.get("schema")
    wrong = mistake_in(schema) if isinstance(schema, dict) else None
    return {"schema": wrong} if wrong else {}


SCHEMAS = {
    "data.check": Operation(
        name="Check a value",
        description="Says whether a value fits a JSON Schema, and what is wrong with it otherwise.",
        icon="badge-check",
        config=Check,
        check=_problems,
        work=check,
        heavy=True,
        example={
            "value": "{{ trigger.body }}",
            "schema": {"type": "object", "properties": {"email": {"type": "string"}}, "required": ["email"]},
        },
        sample={"fits": False, "mistakes": [{"pointer": "/email", "reason": '17 is not of type "string"'}]},
    ),
}
