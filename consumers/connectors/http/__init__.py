"""How is a request sent to any API, and what is made of its answer?"""

from consumers.connectors.http.answer import NotAsAsked, headers_of, output
from consumers.connectors.http.body import encoded, pairs
from consumers.connectors.http.body import problem as body_problem
from consumers.connectors.http.config import RequestConfig, as_defined
from consumers.connectors.http.config import check as config_problems
from consumers.connectors.http.poll import HTTP_POLL
from domain.connector.config import BadConfig, read
from domain.connector.descriptor import ActionContext, ActionDescriptor, Connector
from domain.connector.http_client import HttpReply, HttpRequest, Unreachable
from domain.connector.outcome import Failed, Outcome, Retry, Succeeded, unreached
from domain.connector.url import with_query
from domain.connector.uses import Uses, host_at
from domain.hook.hops import HEADER
from domain.values.json import JsonObject

LOOP_DETECTED = 508
"""RFC 5842 §7.2. A retry would only continue the loop."""
RETRIED_STATUSES = frozenset({408, 425, 429})
"""Statuses below 500 that may pass (RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4)."""


async def request(config: JsonObject, context: ActionContext) -> Outcome:
    """Send one request; the step's idempotency key goes along, so that a repeat can be recognised."""
    try:
        wanted = read(RequestConfig, _given(config))
        headers, body = _headers_and_body(wanted, context.idempotency_key)
        headers = _with_hop(headers, context.hop)
    except BadConfig as error:
        return Failed(code="bad_config", message=str(error))
    try:
        reply = await context.http.request(
            HttpRequest(
                method=wanted.method,
                url=with_query(wanted.url, pairs(wanted.query)),
                headers=headers,
                body=body,
                timeout_s=wanted.timeout_s,
                max_bytes=wanted.max_bytes,
            )
        )
    except Unreachable as error:
        return unreached(error)
    return _outcome(reply, wanted, context)


def check(saved: JsonObject) -> dict[str, str]:
    """What is wrong with a config as saved, by path."""
    found = config_problems(saved)
    wrong = None if found else body_problem(as_defined(saved))
    return {"body": wrong} if wrong else found


def _given(config: JsonObject) -> JsonObject:
    """The fields that are set: a template may give an empty text, and the method in any case."""
    given = {name: value for name, value in config.items() if name == "body" or value not in (None, "")}
    method = given.get("method")
    return {**given, "method": method.upper()} if isinstance(method, str) else given


def _headers_and_body(wanted: RequestConfig, idempotency_key: str) -> tuple[list[tuple[str, str]], bytes | None]:
    """The headers that the step sets and those that we add, and the body. Raises BadConfig."""
    headers = [(name, value.strip()) for name, value in pairs(wanted.headers)]
    own = {name.lower(): value for name, value in headers}
    if len([name for name, _ in headers if name.lower() == "idempotency-key"]) > 1:
        raise BadConfig("headers.Idempotency-Key: a request has one of them")
    if "idempotency-key" not in own:
        headers.append(("Idempotency-Key", idempotency_key))
    if wanted.body is None and wanted.body_type != "json":
        return headers, None
    content_type = own.get("content-type")
    content = encoded(wanted.body_type or "json", wanted.body, content_type, idempotency_key)
    if content_type is None:
        headers.append(("Content-Type", content.content_type))
    elif "boundary=" in content.content_type:
        headers = [(n, content.content_type if n.lower() == "content-type" else v) for n, v in headers]
    return headers, content.body


def _with_hop(headers: list[tuple[str, str]], hop: str) -> list[tuple[str, str]]:
    """Set the header that counts how many runs have started one another; the step cannot set it."""
    others = [(name, value) for name, value in headers if name.lower() != HEADER.lower()]
    return [*others, (HEADER, hop)] if hop else others


def _outcome(reply: HttpReply, wanted: RequestConfig, context: ActionContext) -> Outcome:
    code, message = f"http_{reply.status}", f"the target answered {reply.status}"
    succeeded = 200 <= reply.status < 300
    if succeeded and reply.truncated:
        return _too_large(reply, wanted)
    try:
        found = output(reply, wanted.response if succeeded else "auto")
    except NotAsAsked as error:
        return Failed(code="answer_not_json", message=str(error), output=output(reply, "auto"))
    if succeeded:
        return Succeeded(found)
    if reply.status == LOOP_DETECTED:
        return Failed(code="loop_detected", message="the target says that runs start one another", output=found)
    if reply.status in RETRIED_STATUSES or reply.status >= 500:
        return Retry(code=code, message=message, after_s=reply.retry_after_s(context.clock()), output=found)
    return Failed(code=code, message=message, output=found)


def _too_large(reply: HttpReply, wanted: RequestConfig) -> Failed:
    return Failed(
        code="answer_too_large",
        message=f"the answer has at least {reply.size:,} bytes; this step's limit, max_bytes, is {wanted.max_bytes:,}",
        output={"status": reply.status, "headers": headers_of(reply), "size": reply.size},
    )


CONNECTOR = Connector(
    triggers=(HTTP_POLL,),
    actions=(
        ActionDescriptor(
            type="http.request",
            name="Send an HTTP request",
            description="Calls any API. Connection errors, time-outs, 408, 425, 429 and 5xx are retried.",
            icon="globe",
            run=request,
            config=RequestConfig,
            check=check,
            prepare=as_defined,
            connection=Uses(host=host_at("url")),
            sample={"status": 200, "headers": {}, "body": {}, "content_type": "application/json", "size": 2},
            example={
                "method": "POST",
                "url": "https://api.example.com/orders",
                "body": {"email": "{{ trigger.body.customer.email }}"},
            },
        ),
    ),
)
