"""The request that started a run: what the log keeps of it, and what templates and conditions see."""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from urllib.parse import parse_qsl

import msgspec

from domain.hook.cloudevent import STRUCTURED, MalformedEvent, read_event
from domain.values.charset import of_header, unescaped
from domain.values.headers import plain_type
from domain.values.inflate import inflate
from domain.values.json import Json, JsonObject
from domain.values.payload import collect, not_as_named, parse_payload

MAX_INFLATED = 64 * 2**20
"""Bytes of a compressed body that are looked at; the intake lets in far less."""
MAX_QUERY_FIELDS = 1_000


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """The tick of a schedule: when it was due, the same as the clocks of its zone show it, and how late it fired."""

    due_at: datetime
    local: str
    late_s: float


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the sender sent, verbatim: `body` is the text itself, or base64 where it is not UTF-8.

    `raw` where templates see that text as well, whatever its format. `tick`: a schedule started the run, and nobody
    sent anything. `trigger_id` and `trigger_type` say which trigger it was, where the zap has several.
    `kept`: what the body was taken to pieces to, where it came as files (domain.files); `body` is empty then.
    """

    method: str = "POST"
    path: str = ""
    query: str = ""
    headers: Mapping[str, str] = {}
    body: str = ""
    encoding: Literal["utf-8", "base64"] = "utf-8"
    raw: bool = False
    tick: Tick | None = None
    trigger_id: str = ""
    trigger_type: str = ""
    kept: Json = None

    def raw_body(self) -> bytes:
        """The bytes that were received."""
        if self.encoding == "base64":
            return base64.b64decode(self.body)
        return self.body.encode("utf-8", "surrogatepass")


def json_request(value: Json) -> Request:
    """The request that a JSON value comes as where nobody sent one."""
    body = msgspec.json.encode(value).decode()
    return Request(method="POST", headers={"content-type": "application/json"}, body=body)


def request_body(raw: bytes) -> tuple[str, Literal["utf-8", "base64"]]:
    """Received bytes as the two fields of Request that keep them."""
    try:
        return raw.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return binascii.b2a_base64(raw, newline=False).decode("ascii"), "base64"


def trigger_data(request: Request) -> JsonObject:
    """The trigger as templates, conditions and the run detail see it.

    `body` is parsed by its content type; a body that does not parse is text, of which `why_text` says why, and bytes
    that are not text are base64.
    Of a schedule it is the tick. For a CloudEvent there is `event`: its attributes and its `data`. `id` and `type` are
    those of the trigger, where the zap has several.
    """
    origin: JsonObject = {"id": request.trigger_id, "type": request.trigger_type} if request.trigger_id else {}
    if (tick := request.tick) is not None:
        return {**origin, "due_at": tick.due_at.isoformat(), "local": tick.local, "late_s": tick.late_s}
    headers: JsonObject = dict(request.headers)
    if not all(map(str.isascii, request.headers.values())):
        headers = {name: of_header(value) for name, value in request.headers.items()}
    data: JsonObject = {
        **origin,
        "method": request.method,
        "path": request.path,
        "query": _query(request.query),
        "query_string": request.query,
        "headers": headers,
        "body": request.body,
    }
    if request.kept is not None:
        data["body"] = request.kept
    elif not request.raw:
        content = _content(request)
        data |= _parsed(request, content)
        event = _cloud_event(request, content)
        if event is not None:
            data["event"] = event
    return data


def _content(request: Request) -> bytes:
    raw = request.raw_body()
    encoding = request.headers.get("content-encoding")
    if not encoding:
        return raw
    content = inflate(encoding, raw, MAX_INFLATED)
    return content if isinstance(content, bytes) else raw


def _parsed(request: Request, content: bytes) -> JsonObject:
    content_type = request.headers.get("content-type", "")
    payload = parse_payload(content_type, content)
    if payload.error:
        media_type = plain_type(content_type.partition(";")[0]).lower()
        return {"body": payload.data, "why_text": not_as_named(media_type, f"cannot be read: {payload.error}")}
    return {"body": payload.data}


def _query(query: str) -> Json:
    if not query:
        return {}
    try:
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS, errors="surrogateescape")
    except ValueError:
        return {}
    if "%" not in query and query.isascii():
        return collect(fields)
    return collect([(unescaped(name), unescaped(value)) for name, value in fields])


def _cloud_event(request: Request, content: bytes) -> Json:
    if "ce-specversion" not in request.headers and STRUCTURED not in request.headers.get("content-type", "").lower():
        return None
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers.items()]
    try:
        event = read_event(raw, content)
    except MalformedEvent:
        return None
    return {**event.attributes, "data": event.payload.data} if event else None
