"""Webhooks: start a run for each request to the zap's catch URL."""

from domain.connector.descriptor import Connector, Field, TriggerDescriptor
from domain.hook import config as hook
from domain.values.json import JsonObject

_FIELDS = (
    Field(
        name="verification",
        label="Verification",
        type="object",
        help="How true senders are told from others, such as {preset: github}. Secrets are set apart from the zap.",
        default={"preset": "none"},
    ),
    Field(
        name="dedupe",
        label="One delivery, one run",
        type="object",
        help="Where a delivery's id is: {from: sender | header | body | none, name, path, window_days}.",
    ),
    Field(
        name="filter",
        label="Filter",
        type="object",
        help="A condition on trigger.body, trigger.headers, trigger.query; other requests start no run.",
    ),
    Field(
        name="reply",
        label="Answer",
        type="object",
        help="{mode: immediate | custom | wait, status, headers, body, timeout_s}; the body is a template.",
    ),
    Field(
        name="split",
        label="Split",
        type="json",
        help="true, or a path into the body: each item of the list there has a run of its own.",
    ),
    Field(name="limit", label="Limit", type="object", help="{per_minute}: further requests are answered 429."),
)
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
            fields=_FIELDS,
            example={**_EXAMPLE, "body": {"id": "evt_1"}},
            check=hook.problems,
        ),
        TriggerDescriptor(
            type="webhook.catch_raw",
            name="Catch a raw webhook",
            description="The same, with the body as text that is never parsed; what is not text is base64.",
            icon="webhook",
            fields=_FIELDS,
            example={**_EXAMPLE, "body": '{"id": "evt_1"}'},
            check=hook.problems,
        ),
    )
)
