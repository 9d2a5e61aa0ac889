"""How is a request sent to any API, and what is made of its answer?"""

from consumers.connectors.http.answer import NotAsAsked, headers_of, keep_of, most_of, output
from consumers.connectors.http.body import encoded, pairs
from consumers.connectors.http.body import problem as body_problem
from consumers.connectors.http.config import MAX_BYTES, RequestConfig, advise, as_defined
from consumers.connectors.http.config import check as config_problems
from consumers.connectors.http.paging import NoList, Paging, items_of, next_request
from consumers.connectors.http.poll import HTTP_POLL
from consumers.connectors.http.redirects import BadRedirect, sent
from consumers.connectors.http.upload import Found, found
from domain.connector.config import BadConfig, read
from domain.connector.descriptor import ActionContext, ActionDescriptor, Connector
from domain.connector.http_client import HttpReply, HttpRequest, Unreachable, Upload
from domain.connector.outcome import Failed, Outcome, Retry, Succeeded, unkept, unreached
from domain.connector.url import with_query
from domain.connector.uses import Uses, host_at
from domain.files.file import FileError
from domain.hook.hops import HEADER
from domain.language import condition
from domain.values.json import Json, JsonObject

LOOP_DETECTED = 508
"""RFC 5842 §7.2. A retry would only continue the loop."""
MOST = 2_000_000
"""Characters that a condition over an answer looks at."""
RETRIED_STATUSES = frozenset({408, 425, 429})
"""Statuses below 500 that may pass (RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4)."""


async def request(config: JsonObject, context: ActionContext) -> Outcome:
    """Send one request; the step's idempotency key goes along, so that a repeat can be recognised."""
    try:
        wanted = read(RequestConfig, _given(config))
        files = await found(wanted.body, context.files)
        headers, body = _headers_and_body(wanted, context.idempotency_key, files)
        headers = _with_hop(headers, context.hop)
        if wanted.success:
            condition.load(wanted.success)  # a template may have made something else of it
    except (BadConfig, condition.InvalidCondition) as error:
        return Failed(code="bad_config", message=str(error))
    except FileError as error:
        return unkept(error)
    asked = HttpRequest(
        method=wanted.method,
        url=with_query(wanted.url, pairs(wanted.query)),
        headers=headers,
        body=body,
        timeout_s=wanted.timeout_s,
        max_bytes=most_of(wanted),
        keep=keep_of(wanted, context.files),
    )
    try:
        return await (_pages(asked, wanted, wanted.paging, context) if wanted.paging else _one(asked, wanted, context))
    except Unreachable as error:
        return unreached(error)
    except FileError as error:
        return _unkept(error, wanted)
    except BadRedirect as error:
        return Failed(code="bad_redirect", message=str(error))


async def _one(asked: HttpRequest, wanted: RequestConfig, context: ActionContext) -> Outcome:
    return _outcome(await sent(context.http, asked, wanted.redirects), wanted, context)


async def _pages(first: HttpRequest, wanted: RequestConfig, paging: Paging, context: ActionContext) -> Outcome:
    """The items of all pages as one list. A page that fails fails the step."""
    items: list[Json] = []
    asked: HttpRequest | None = first
    pages = size = 0
    answer: JsonObject = {}
    while asked is not None and pages < paging.max_pages and size < MAX_BYTES:
        outcome = await _one(asked, wanted, context)
        if not isinstance(outcome, Succeeded) or not isinstance(outcome.output, dict):
            return outcome
        answer, pages = outcome.output, pages + 1
        try:
            more = items_of(paging, answer)
        except NoList as error:
            return Failed(code="no_items", message=f"page {pages}: {error}", output=answer)
        items += more
        of_page = answer["size"]
        size += of_page if isinstance(of_page, int) else 0
        asked = next_request(paging, asked, answer, count=len(more))
    stopped: JsonObject = {} if asked is None else {"stopped_at": pages}
    return Succeeded({**answer, "body": items, "size": size, "pages": pages, **stopped})


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


def _headers_and_body(
    wanted: RequestConfig, idempotency_key: str, files: Found
) -> tuple[list[tuple[str, str]], bytes | Upload | None]:
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
    content = encoded(wanted.body_type or "json", wanted.body, content_type, idempotency_key, files)
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
    is_2xx = 200 <= reply.status < 300
    if is_2xx and reply.truncated:
        return _too_large(reply, wanted)
    try:
        given = output(reply, wanted.response if is_2xx else "auto")
    except NotAsAsked as error:
        return Failed(code="answer_not_json", message=str(error), output=output(reply, "auto"))
    holds = is_2xx
    if wanted.success:
        decision = _decided(wanted.success, given)
        holds, message = decision.holds, f"{message}, and it counts as a success where {decision.reason}"
    if holds:
        return Succeeded(given)
    if is_2xx:
        return Failed(code="not_successful", message=message, output=given)
    if reply.status == LOOP_DETECTED:
        return Failed(code="loop_detected", message="the target says that runs start one another", output=given)
    if reply.status in RETRIED_STATUSES or reply.status >= 500:
        return Retry(code=code, message=message, after_s=reply.retry_after_s(context.clock()), output=given)
    return Failed(code=code, message=message, output=given)


def _decided(wanted: JsonObject, found: JsonObject) -> condition.Decision:
    """Whether an answer counts as a success."""
    prepared = condition.load(wanted)
    if condition.cost(prepared, found, MOST) > MOST:
        return condition.Decision(holds=False, path="", reason="its condition has less to look at")
    return condition.explain(prepared, found)


def _unkept(error: FileError, wanted: RequestConfig) -> Outcome:
    if error.code == "file_too_large" and wanted.max_bytes:
        message = f"the answer is larger than this step's limit, max_bytes, of {wanted.max_bytes:,} bytes"
        return Failed(code="answer_too_large", message=message)
    return unkept(error)


def _too_large(reply: HttpReply, wanted: RequestConfig) -> Failed:
    return Failed(
        code="answer_too_large",
        message=f"the answer has at least {reply.size:,} bytes; this step's limit, max_bytes, is {most_of(wanted):,}",
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
            advise=advise,
            prepare=as_defined,
            connection=Uses(host=host_at("url")),
            gives=("status", "headers", "body", "content_type", "size", "why_text", "truncated", "pages", "stopped_at"),
            sample={"status": 200, "headers": {}, "body": {}, "content_type": "application/json", "size": 2},
            example={
                "method": "POST",
                "url": "https://api.example.com/orders",
                "body": {"email": "{{ trigger.body.customer.email }}"},
            },
        ),
    ),
)
