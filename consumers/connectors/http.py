"""HTTP: send a request to any API."""

from urllib.parse import urlencode

import msgspec

from domain.connector.descriptor import (
    ActionContext,
    ActionDescriptor,
    Connector,
    Failed,
    Field,
    HttpReply,
    Outcome,
    Postponed,
    Retry,
    Succeeded,
    Unreachable,
)
from domain.log.ports import Clock
from domain.values.json import Json, JsonObject, MalformedJson, parse

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
RETRIED_STATUSES = frozenset({408, 425, 429})
"""Statuses below 500 that time may heal (RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4)."""
DEFAULT_TIMEOUT_S = 30.0
MAX_TIMEOUT_S = 300.0
FORBIDDEN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "idempotency-key"})
"""Headers that are ours to set."""


class BadConfig(ValueError):
    """The rendered config can not be sent; the message names the field."""


async def request(config: JsonObject, context: ActionContext) -> Outcome:
    """Send one request; the step's idempotency key goes along, so that a repeat can be recognised."""
    try:
        method, url, timeout_s = _method(config), _url(config), _timeout_s(config)
        headers, body = _headers_and_body(config)
    except BadConfig as error:
        return Failed(code="bad_config", message=str(error))
    headers["Idempotency-Key"] = context.idempotency_key
    try:
        reply = await context.http.request(method, url, headers=headers, body=body, timeout_s=timeout_s)
    except Unreachable as error:
        if error.permanent:
            return Failed(code=error.code, message=error.message)
        if error.after_s is not None:
            return Postponed(code=error.code, message=error.message, after_s=error.after_s)
        return Retry(code=error.code, message=error.message)
    return _outcome(reply, context.clock)


def _outcome(reply: HttpReply, clock: Clock) -> Outcome:
    output = _output(reply)
    if 200 <= reply.status < 300:
        return Succeeded(output)
    code, message = f"http_{reply.status}", f"the target answered {reply.status}"
    if reply.status in RETRIED_STATUSES or reply.status >= 500:
        return Retry(code=code, message=message, after_s=reply.retry_after_s(clock()), output=output)
    return Failed(code=code, message=message, output=output)


def _output(reply: HttpReply) -> JsonObject:
    headers: JsonObject = dict(reply.headers)
    body: Json = None
    if reply.body:
        try:
            body = parse(reply.body)
        except MalformedJson:
            body = reply.body.decode("utf-8", "replace")
    output: JsonObject = {"status": reply.status, "headers": headers, "body": body}
    if reply.truncated:
        output["truncated"] = True
    return output


def _method(config: JsonObject) -> str:
    method = str(config.get("method") or "POST").upper()
    if method not in METHODS:
        raise BadConfig(f"method: must be one of {', '.join(METHODS)}")
    return method


def _url(config: JsonObject) -> str:
    url = str(config.get("url") or "").strip()
    pairs = _strings(config, "query")
    if not pairs:
        return url

    return f"{url}{'&' if '?' in url else '?'}{urlencode(pairs)}"


def _timeout_s(config: JsonObject) -> float:
    value = config.get("timeout_s")
    try:
        seconds = DEFAULT_TIMEOUT_S if value in (None, "") else float(str(value))
    except ValueError:
        raise BadConfig("timeout_s: must be a number of seconds") from None
    if not 0 < seconds <= MAX_TIMEOUT_S:
        raise BadConfig(f"timeout_s: must be above 0 and at most {MAX_TIMEOUT_S:g}")
    return seconds


def _headers_and_body(config: JsonObject) -> tuple[dict[str, str], bytes | None]:
    headers = _strings(config, "headers")
    for name, value in headers.items():
        if name.lower() in FORBIDDEN_HEADERS:
            raise BadConfig(f"headers.{name}: this header is set by TriggerHub")
        if not name.isascii() or any(c in "\r\n\0" for c in name + value):
            raise BadConfig(f"headers.{name}: control and non-ASCII characters are not allowed")
    body = config.get("body")
    if body is None:
        return headers, None
    typed = any(name.lower() == "content-type" for name in headers)
    if isinstance(body, str) and typed:
        return headers, body.encode("utf-8", "replace")
    if not typed:
        headers["Content-Type"] = "application/json"
    if isinstance(body, str) and _is_json(body):
        return headers, body.encode()
    return headers, msgspec.json.encode(body)


def _is_json(text: str) -> bool:
    """A text that is a JSON document already (a template string that renders to one) is sent as it is."""
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        parse(text.encode("utf-8", "replace"))
    except MalformedJson:
        return False
    return True


def _strings(config: JsonObject, field: str) -> dict[str, str]:
    value = config.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadConfig(f"{field}: must be an object")
    return {name: item if isinstance(item, str) else msgspec.json.encode(item).decode() for name, item in value.items()}


CONNECTOR = Connector(
    actions=(
        ActionDescriptor(
            type="http.request",
            name="Send an HTTP request",
            description="Calls any API. Connection errors, time-outs, 408, 425, 429 and 5xx are retried.",
            icon="globe",
            run=request,
            fields=(
                Field(name="method", label="Method", type="string", choices=METHODS, default="POST"),
                Field(name="url", label="URL", type="string", required=True, help="http:// or https://"),
                Field(name="headers", label="Headers", type="object"),
                Field(name="query", label="Query parameters", type="object"),
                Field(name="body", label="Body", type="json", help="JSON with templates inside, or text"),
                Field(name="timeout_s", label="Time limit in seconds", type="number", default=DEFAULT_TIMEOUT_S),
            ),
            example={
                "method": "POST",
                "url": "https://api.example.com/orders",
                "body": {"email": "{{ trigger.body.customer.email }}"},
            },
        ),
    )
)
