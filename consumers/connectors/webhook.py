"""Webhooks: start a run for each request to the zap's catch URL, and send signed ones to others."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from domain.connection.signing import WebhookSignature
from domain.connector import url as urls
from domain.connector.config import BadConfig, present, problems, read
from domain.connector.descriptor import ActionContext, ActionDescriptor, Connector, TriggerDescriptor
from domain.connector.http_client import HttpRequest
from domain.connector.outcome import Failed, Outcome, Retry, Succeeded
from domain.connector.uses import Uses, host_at
from domain.hook import config as hook
from domain.hook.hops import HEADER
from domain.values.json import Json, JsonObject

LOOP_DETECTED = 508
"""RFC 5842 §7.2. A retry would only continue the loop."""


class AtService(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the hook is registered by itself: the trigger of a connector, and what it asks for."""

    at: Annotated[str, Meta(title="Trigger of a connector", description="Such as github.webhook")]
    input: Annotated[dict[str, Json], Meta(title="Its fields", description="Such as {owner, repo, events}")] = {}


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

    register: Annotated[
        AtService | UnsetType,
        Meta(
            title="Register by itself",
            description="Has the service told of the hook on publish, and told that it is gone on pause.",
        ),
    ] = UNSET


class Send(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A webhook as Standard Webhooks has it."""

    url: Annotated[str, Meta(title="URL", min_length=1)]
    type: Annotated[str, Meta(title="Type of the event", max_length=200, pattern=r"^[\w.-]+\Z")]
    data: Annotated[Json, Meta(title="Data", description="Of the event, as JSON")] = None
    timeout_s: Annotated[float, Meta(title="Time limit in seconds", gt=0, le=60)] = 20.0


def check_send(saved: JsonObject) -> dict[str, str]:
    """What is wrong with a config as saved, by path."""
    found, url = problems(Send, saved), saved.get("url")
    if isinstance(url, str) and "url" not in found and (wrong := urls.check(url)):
        found["url"] = wrong
    return found


async def send(rendered: JsonObject, context: ActionContext) -> Outcome:
    """Send an event with the signature of the connection's secret. Raises Unreachable."""
    try:
        config = read(Send, present(rendered))
    except BadConfig as error:
        return Failed(code="bad_config", message=str(error))
    key = context.idempotency_key
    event = {"type": config.type, "timestamp": context.clock().isoformat(), "data": config.data}
    hop = [(HEADER, context.hop)] if context.hop else []
    reply = await context.http.request(
        HttpRequest(
            method="POST",
            url=config.url,
            headers=[("Content-Type", "application/json"), ("Idempotency-Key", key), *hop],
            body=msgspec.json.encode(event),
            timeout_s=config.timeout_s,
            signing=WebhookSignature(key),
        )
    )
    code, message = f"http_{reply.status}", f"the receiver answered {reply.status}"
    output: JsonObject = {"status": reply.status}
    if 200 <= reply.status < 300:
        return Succeeded({**output, "id": key})
    if reply.status in {408, 425, 429} or (reply.status >= 500 and reply.status != LOOP_DETECTED):
        return Retry(code=code, message=message, after_s=reply.retry_after_s(context.clock()), output=output)
    return Failed(code=code, message=message, output=output)


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
    ),
    actions=(
        ActionDescriptor(
            type="webhook.send",
            name="Send a webhook",
            description="Sends an event, signed as Standard Webhooks has it. The connection's token is the secret, "
            "whsec_…, which is never sent.",
            icon="webhook",
            run=send,
            config=Send,
            check=check_send,
            example={"url": "https://example.com/hooks", "type": "order.paid", "data": "{{ trigger.body }}"},
            sample={"status": 200, "id": "0199c0de-0003-7abc-8def-0123456789ab.send"},
            connection=Uses(host=host_at("url"), kinds=("bearer",), required=True),
        ),
    ),
)
