"""By hand: start a run by a call of the API, with input that the zap's owner describes."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from domain.connector.config import problems
from domain.connector.descriptor import Connector, TriggerDescriptor
from domain.connector.input_schema import mistake_in
from domain.values.json import Json, JsonObject


class Manual(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a zap that is started by hand."""

    input_schema: Annotated[
        dict[str, Json] | UnsetType,
        Meta(title="Input", description="A JSON Schema for the input; without it any JSON is taken."),
    ] = UNSET


def _problems(config: JsonObject) -> dict[str, str]:
    found = problems(Manual, config)
    schema = config.get("input_schema")
    if not found and isinstance(schema, dict) and (reason := mistake_in(schema)):
        return {"input_schema": reason}
    return found


CONNECTOR = Connector(
    triggers=(
        TriggerDescriptor(
            type="manual",
            name="Start by hand",
            description="Starts a run when POST /api/v1/zaps/{id}/run is called. The input is trigger.body.",
            icon="play",
            config=Manual,
            example={
                "method": "POST",
                "path": "",
                "query": {},
                "query_string": "",
                "headers": {"content-type": "application/json"},
                "body": {"order": 17},
            },
            check=_problems,
        ),
    )
)
