"""Everything that reads what strangers wrote, each as a function of bytes that raises for a fault and for nothing else.

`tests/unit/test_fuzz_targets.py` tries each for a moment, `make fuzz-parsers` for as long as it is told to.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from json import loads
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from liquid.exceptions import LiquidError

from app.accounts.tokens import BadToken, Tokens, is_api_key
from app.http.api.own_zaps import parse_if_match
from app.http.inputs import Moment
from app.http.paging import decode_cursor
from app.http.problems import Problem
from app.intake.reading.checks import excerpt, idempotency_key
from app.intake.reading.headers import stored_headers, stored_query
from app.intake.refusals import HeadersTooLarge
from consumers.connectors import catalog
from consumers.connectors.http.answer import NotAsAsked, output
from consumers.connectors.http.config import media_type_of
from consumers.connectors.rss import entries
from consumers.outbound.client import checked
from consumers.outbound.coding import codings_of, undone
from domain import envelope
from domain.connector import headers, url
from domain.connector.http_client import HttpReply, Unreachable
from domain.connector.poll import PollFailed
from domain.hook import config as hook_config
from domain.hook.cloudevent import MalformedEvent, read_event
from domain.hook.hops import Hops
from domain.hook.presets import (
    Basic,
    Bearer,
    GitHub,
    GitLab,
    HeaderToken,
    Preset,
    Slack,
    StandardWebhooks,
    Stripe,
    Twilio,
    Unverified,
)
from domain.hook.request import Request, request_body, trigger_data
from domain.hook.signed_request import SignedRequest
from domain.hook.verification import verify
from domain.language import condition, template
from domain.language.filters import FILTERS
from domain.language.moments import moment_of, written
from domain.language.operators import OPERATORS
from domain.language.scope import Heavy
from domain.log.errors import DomainError, Invalid
from domain.values import json, payload, redaction
from domain.values.charset import charset_of, text_of
from domain.values.email import canonical, is_email
from domain.values.headers import filename_of
from domain.values.inflate import inflate
from domain.values.path import look_up, parse_path
from domain.zap.check import validate
from domain.zap.definition import Definition

Target = Callable[[bytes], object]

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
LIMIT = 100_000
CONTEXT: dict[str, Any] = {
    "trigger": {
        "body": {"n": 3, "t": "a\r\nb", "l": [3, "x", None, {"k": 1.5}, [1]], "o": {"k": [1]}, "d": "2026-11-26"},
        "headers": {"x-id": "7"},
    },
    "steps": {"one": {"output": {"status": 200, "headers": {"Content-Type": "text/html"}, "body": "é"}}},
}
_CATALOG = catalog()
_TYPES = (
    "", "application/json", "application/json; charset=utf-16", "text/plain", "text/plain; charset=iso-2022-jp",
    "application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=shift_jis", "application/xml",
    "text/xml; charset=euc-kr", "multipart/form-data; boundary=XX", "application/octet-stream", "image/png",
    "application/cloudevents+json",
)  # fmt: skip
_CODINGS = ("gzip", "deflate", "br", "zstd")
_PRESETS: tuple[Preset, ...] = (
    Unverified(), StandardWebhooks(), Stripe(), GitHub(), Slack(), GitLab(), GitLab(mode="signing"), Twilio(),
    Basic(username="a"), Bearer(), HeaderToken(header="x-key"),
)  # fmt: skip
_SIGNED = (
    b"webhook-id", b"webhook-timestamp", b"webhook-signature", b"stripe-signature", b"x-slack-signature",
    b"x-slack-request-timestamp", b"x-hub-signature-256", b"x-twilio-signature", b"authorization", b"x-key",
    b"content-type", b"ce-specversion", b"ce-id", b"x-gitlab-token",
)  # fmt: skip
_tokens = Tokens("x" * 32)


def text(raw: bytes) -> str:
    """Any text, half surrogate pairs included."""
    return raw.decode("utf-8", "surrogateescape")


def chosen(raw: bytes, options: tuple[Any, ...]) -> tuple[Any, bytes]:
    """One of the options, by the first byte, and the rest."""
    return options[raw[0] % len(options)] if raw else options[0], raw[1:]


def _json(raw: bytes) -> None:
    """The three readers agree, and what is read can be written."""
    taken = []
    for read in (json.parse, json.check, json.utf8):
        try:
            read(raw)
            taken.append(True)
        except json.MalformedJson:
            taken.append(False)
    assert len(set(taken)) == 1, taken
    if taken[0]:
        json.parse(json.utf8(raw))
    with suppress(json.MalformedJson):
        json.parse_strictly(raw)


def _payload(raw: bytes) -> None:
    content_type, body = chosen(raw, _TYPES)
    found = payload.parse_payload(content_type, body)
    if content_type.startswith("application/json") and not payload.flaw(content_type, body):
        assert (found.kind, found.error) == ("json", "")
    stored, encoding = request_body(body)
    trigger_data(Request(headers={"content-type": content_type}, body=stored, encoding=encoding, query="a=1"))


def _content_type(raw: bytes) -> None:
    payload.parse_payload(raw.decode("latin-1"), b'{"a": 1}')
    media_type_of(text(raw))
    codings_of(text(raw))
    filename_of(raw.decode("latin-1"))
    text_of(raw, charset_of(text(raw[:40])))


def _inflated(raw: bytes) -> None:
    coding, body = chosen(raw, _CODINGS)
    found = undone(body, [coding], LIMIT)
    assert not isinstance(found, bytes) or len(found) <= LIMIT
    inflate(coding, body, LIMIT)


def _url(raw: bytes) -> None:
    """A URL that may be called is a URL with a host, and the same once more."""
    given = text(raw)
    url.check(given)
    with suppress(url.BadUrl):
        url.exact(url.with_query(given, [("a b", "ü")]))
    with suppress(Unreachable):
        target = checked(given, ())
        assert target.raw_host
        assert not set(str(target)) & set(" \r\n\t")


def _headers(raw: bytes) -> None:
    name, _, value = raw.partition(b":")
    wrong = headers.problem([(text(name), text(value))])
    assert wrong is not None or not set(text(name) + text(value)) & set("\r\n\0")
    with suppress(HeadersTooLarge):
        stored_headers([(name, value)])
    stored_query(raw, secrets=("secret",))
    with suppress(DomainError):
        idempotency_key(text(raw))
    Hops("secret").read(text(raw))
    HttpReply(status=503, headers={"retry-after": text(raw)}, body=b"").retry_after_s(NOW)


def _path(raw: bytes) -> None:
    with suppress(ValueError):
        look_up(CONTEXT, parse_path(text(raw)))


def _moment(raw: bytes) -> None:
    found = moment_of(text(raw))
    with suppress(ValueError):
        written(found or NOW, text(raw))
    with suppress(ValueError):
        Moment.decode(text(raw))


def _template(raw: bytes) -> None:
    """In place where it can be, else as a process for that does it; both give the same."""
    with suppress(template.TemplateError):
        template.check(text(raw))
        made = template.render(text(raw), CONTEXT, NOW)
        with suppress(Heavy):
            assert template.compiled(text(raw)).quick(CONTEXT, NOW) == made
    with suppress(LiquidError, RecursionError):
        template.parse(text(raw))


def _condition(raw: bytes) -> None:
    try:
        wanted = json.parse(raw)
    except json.MalformedJson:
        return
    if not condition.check(wanted):
        loaded = condition.load(wanted)
        assert condition.explain(loaded, CONTEXT).holds == condition.evaluate(loaded, CONTEXT)


def _operators(raw: bytes) -> None:
    """Each operator with any value, over any text."""
    for name in OPERATORS:
        rule: Any = {"field": "trigger.body", "operator": name, "value": text(raw[:200])}
        if not condition.check(rule):
            condition.evaluate(condition.load(rule), {"trigger": {"body": text(raw)}})


def _definition(raw: bytes) -> None:
    try:
        value = json.parse(raw)
    except json.MalformedJson:
        return
    if isinstance(value, dict):
        hook_config.problems(value)
    with suppress(msgspec.ValidationError, Invalid, RecursionError):
        validate(msgspec.convert(value, Definition), _CATALOG)


def _credentials(raw: bytes) -> None:
    for read_token in (_tokens.read_access, _tokens.read_refresh):
        with suppress(BadToken):
            read_token(text(raw))
    is_api_key(text(raw))
    for read in (decode_cursor, parse_if_match):
        with suppress(Problem):
            read(text(raw))
    if is_email(text(raw)):
        assert "\n" not in canonical(text(raw))


def _signed(raw: bytes) -> None:
    """Nobody without the secret is let in, whatever the headers."""
    preset, rest = chosen(raw, _PRESETS)
    value, _, body = rest.partition(b"\n")
    request = SignedRequest(method="POST", url="https://h/x?" + text(value), body=body,
                            headers=[(name, value) for name in _SIGNED])  # fmt: skip
    answer = verify(preset, request, ["a secret that nobody knows"], NOW)
    assert isinstance(preset, Unverified) or type(answer).__name__ == "Refused"
    with suppress(MalformedEvent):
        read_event([(b"content-type", value), (b"ce-specversion", b"1.0")], body)


def _message(raw: bytes) -> None:
    with suppress(envelope.NotAnEnvelope):
        envelope.decode_header(raw)
    with suppress(msgspec.DecodeError, ValueError):
        envelope.decode(raw).stored()


def _answer(raw: bytes) -> None:
    content_type, body = chosen(raw, _TYPES)
    reply = HttpReply(status=200, headers={"content-type": content_type}, body=body, size=len(body))
    for how in ("auto", "json", "text", "binary"):
        with suppress(NotAsAsked):
            msgspec.json.encode(output(reply, how))


def _feed(raw: bytes) -> None:
    content_type, body = chosen(raw, _TYPES)
    reply = HttpReply(status=200, headers={"content-type": content_type}, body=body, size=len(body))
    with suppress(PollFailed):
        msgspec.json.encode([item.body for item in entries(reply)])


def _shown(raw: bytes) -> None:
    redaction.shown_text(text(raw))
    redaction.shown_query(text(raw))
    redaction.shown({"url": text(raw), "headers": {text(raw): text(raw)}, "query": text(raw)})
    assert len(excerpt(raw, 1_024, ("secret",))) <= 1_024


TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "json": _json, "payload": _payload, "content_type": _content_type, "inflated": _inflated, "url": _url,
        "headers": _headers, "path": _path, "moment": _moment, "template": _template, "condition": _condition,
        "operators": _operators, "definition": _definition, "credentials": _credentials, "signed": _signed,
        "message": _message, "answer": _answer, "feed": _feed, "shown": _shown,
    }
)  # fmt: skip
"""By name."""

TOKENS: tuple[bytes, ...] = tuple(
    token.encode("utf-8", "surrogateescape")
    for token in (
        *loads((Path(__file__).parent.parent / "data" / "fuzz_tokens.json").read_text("utf-8")),
        *(f" | {name}: " for name in FILTERS),
        *OPERATORS,
    )
)
"""What the inputs are made of, so that they are nearly right."""
