"""Started on purpose: by a call of the API, or by a step of another zap, with input that the zap's owner describes."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from domain.connector.config import problems
from domain.connector.descriptor import Connector, TriggerDescriptor
from domain.connector.input_schema import mistake_in
from domain.values.json import Json, JsonObject


class WithInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a zap that is started with an input."""

    input_schema: Annotated[
        dict[str, Json] | UnsetType,
        Meta(title="Input", description="A JSON Schema for the input; without it any JSON is taken."),
    ] = UNSET


def _problems(config: JsonObject) -> dict[str, str]:
    found = problems(WithInput, config)
    schema = config.get("input_schema")
    if not found and isinstance(schema, dict) and (reason := mistake_in(schema)):
        return {"input_schema": reason}
    return found


def _trigger(type_: str, name: str, description: str, icon: str) -> TriggerDescriptor:
    return TriggerDescriptor(
        type=type_,
        name=name,
        description=description,
        icon=icon,
        config=WithInput,
        example={
            "method": "POST",
            "path": "",
            "query": {},
            "query_string": "",
            "headers": {"content-type": "application/json"},
            "body": {"order": 17},
        },
        check=_problems,
    )


CONNECTOR = Connector(
    triggers=(
        _trigger(
            "manual",
            "Start by hand",
            "Starts a run when POST /api/v1/zaps/{id}/run is called. The input is trigger.body.",
            "play",
        ),
        _trigger(
            "zap.called",
            "Called by another zap",
            "Starts a run when a `zap` step of another zap calls this one. The input is trigger.body; a `return` step"
            " gives the caller its value.",
            "corner-down-right",
        ),
    )
)
