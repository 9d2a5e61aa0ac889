"""Webhooks: start a run for each request to the zap's catch URL."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from domain.connector.descriptor import Connector, TriggerDescriptor
from domain.hook import config as hook
from domain.values.json import Json, JsonObject


class Catch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a hook; domain.hook.config reads and checks them."""

    verification: Annotated[
        dict[str, Json],
        Meta(
            title="Verification",
            description="How senders prove who they are, such as {preset: github}. Secrets are set apart from the zap.",
        ),
    ] = msgspec.field(default_factory=lambda: {"preset": "none"})
    dedupe: Annotated[
        dict[str, Json] | UnsetType,
        Meta(
            title="One delivery, one run",
            description="Where a delivery's id is: {from: sender | header | body | none, name, path, window_days}.",
        ),
    ] = UNSET
    filter: Annotated[
        dict[str, Json] | UnsetType,
        Meta(
            title="Filter",
            description="A condition on trigger.body, trigger.headers, trigger.query; other requests start no run.",
        ),
    ] = UNSET
    reply: Annotated[
        dict[str, Json] | UnsetType,
        Meta(
            title="Answer",
            description="{mode: immediate | custom | wait, status, headers, body, timeout_s}; the body is a template.",
        ),
    ] = UNSET
    split: Annotated[
        Json,
        Meta(
            title="Split",
            description="true, or a path into the body: each item of the list there has a run of its own.",
        ),
    ] = None
    methods: Annotated[
        list[hook.Method] | UnsetType,
        Meta(title="Methods", description="Which methods start runs; by default all but GET and HEAD."),
    ] = UNSET
    limit: Annotated[
        dict[str, Json] | UnsetType,
        Meta(title="Limit", description="{per_minute}: further requests are answered 429."),
    ] = UNSET


_EXAMPLE: JsonObject = {
    "method": "POST",
    "path": "",
    "query": {"source": "shop"},
    "query_string": "source=shop",
    "headers": {"content-type": "application/json"},
}

CONNECTOR = Connector(
    triggers=(
        TriggerDescriptor(
            type="webhook.catch",
            name="Catch a webhook",
            description="Starts a run for every request to the zap's URL. The request is stored before it is answered.",
            icon="webhook",
            config=Catch,
            example={**_EXAMPLE, "body": {"id": "evt_1"}},
            check=hook.problems,
        ),
        TriggerDescriptor(
            type="webhook.catch_raw",
            name="Catch a raw webhook",
            description="The same, with the body as text that is never parsed; what is not text is base64.",
            icon="webhook",
            config=Catch,
            example={**_EXAMPLE, "body": '{"id": "evt_1"}'},
            check=hook.problems,
        ),
    )
)
