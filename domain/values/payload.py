"""A webhook's body as JSON for templates and conditions. The log keeps the raw bytes.

One set of rules for the intake and for templates:

* The content type decides. Without one, and for `text/plain` and forms, a body that is a JSON object or list is
  read as JSON (SNS sends JSON as text, curl as a form). The trigger webhook.catch_raw gives the text.
* Text is in the named charset, else in UTF-8, or windows-1252 where it is none; a byte order mark counts more and is
  no part of the text. Bytes that are no text in a named charset become U+FFFD, but JSON in broken UTF-8 does not parse.
  `domain.values.json` reads JSON.
* A type that is binary (`is_binary`) makes base64, whatever its bytes look like; so do bytes of any other type that are
  no text.
* An empty body is null; so is one of white space that says it is JSON.
* On a hook that anybody may call, a body is refused that says it is JSON and is not, or a form with too many fields.
  Anything else that does not parse is kept as text with the reason: after a refusal, authentic senders switch the
  webhook off, or do not send it again.
"""

import base64
import codecs
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Literal, TypeAlias, TypeVar
from urllib.parse import parse_qsl

import msgspec
from multipart import MultipartError, parse_options_header

from domain.values.charset import SHOWS_ITSELF, charset_of, declared, marked, text_of, unescaped
from domain.values.headers import is_binary, is_json, plain_type
from domain.values.json import Json, JsonObject, MalformedJson, check, parse, utf8
from domain.values.multipart import parse_multipart
from domain.values.xml import MalformedXml, parse_xml

T = TypeVar("T")
MAX_FORM_FIELDS = 1_000

Kind: TypeAlias = Literal["json", "form", "multipart", "xml", "text", "binary"]


class Payload(msgspec.Struct, frozen=True):
    """`data` is None for an empty body, and base64 for binary content. `error` says why it is not what it claims."""

    data: Json
    kind: Kind
    error: str = ""


class _Malformed(ValueError):
    pass


_JSON_BEGINS = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[ \t\r\n\0]*+(?:\xfe\xff[\s\0]*+)?[\[{]")
"""Also in UTF-16 and UTF-32."""
_SEEN_BY_EXPAT = SHOWS_ITSELF - {"utf-8"}
_UTF_16 = re.compile(rb"\s*+(?:\0|.\0)", re.DOTALL)
_FORM = "application/x-www-form-urlencoded"
_MAYBE_JSON = frozenset({"", "text/plain", _FORM})


class _Type(msgspec.Struct, frozen=True):
    """A content type: `charset` is the name of a codec, empty where none is named that is known."""

    media_type: str = ""
    charset: str = ""
    boundary: str = ""
    is_json: bool = False


def parse_payload(content_type: str, body: bytes) -> Payload:
    """A body, read by its content type; without one, by how it looks. Never raises."""
    described = _described(content_type)
    kind = _kind(described, body)
    try:
        return Payload(_PARSERS[kind](body, described) if body else None, kind)
    except (_Malformed, MalformedJson, MalformedXml, MultipartError, RecursionError) as error:
        return Payload(text_of(body, described.charset), "text", str(error) or type(error).__name__)


def flaw(content_type: str, body: bytes) -> str:
    """The fault of a body from an unverified sender, empty for none. `parse_payload` makes text of such a body.

    A body without a content type that begins like JSON has to be JSON. This check makes no objects, so it is quick.
    """
    described = _described(content_type)
    try:
        if described.is_json or (not content_type and begins_like_json(body)):
            _json_text(body, described, check)
        elif described.media_type == _FORM and _kind(described, body) == "form":
            _require_few_fields(_of_form(body, described))
    except MalformedJson as error:
        return f"the body is not valid JSON: {error}"
    except _Malformed as error:
        return str(error)
    return ""


def utf8_json(content_type: str, body: bytes) -> bytes:
    """The bytes of a JSON body in UTF-8, empty for an empty one. Raises MalformedJson."""
    return _json_text(body, _described(content_type), utf8) or b""


def not_as_named(media_type: str, wrong: str) -> str:
    """Why content is not what its type promises, for users: `wrong` goes on from "it"."""
    return f"its content type is {media_type}, but it {wrong}" if media_type else f"it {wrong}"


def begins_like_json(body: bytes) -> bool:
    """Whether it begins as a JSON object or list does, in any UTF."""
    return _JSON_BEGINS.match(body) is not None


@lru_cache(maxsize=1024)
def _described(content_type: str) -> _Type:
    try:
        media_type, options = parse_options_header(content_type[:1_000])
    except (MultipartError, ValueError):
        return _Type()
    name = plain_type(str(media_type))
    return _Type(name, charset_of(options.get("charset", "")), options.get("boundary", ""), is_json(name))


def _kind(described: _Type, body: bytes) -> Kind:
    media_type = described.media_type
    if described.is_json:
        return "json"
    if media_type == "multipart/form-data":
        return "multipart"
    if media_type in {"application/xml", "text/xml"} or media_type.endswith("+xml"):
        return "xml"
    if media_type in _MAYBE_JSON and _holds_json(body, described):
        return "json"
    if media_type == _FORM:
        return "form"
    if media_type.startswith("text/"):
        return "text"
    return "binary" if is_binary(media_type) or not _is_text(body, described) else "text"


def _holds_json(body: bytes, described: _Type) -> bool:
    """Whether it is a JSON object or list."""
    if not begins_like_json(body):
        return False
    try:
        _json_text(body, described, check)
    except MalformedJson:
        return False
    return True


def _is_text(body: bytes, described: _Type) -> bool:
    if described.charset:
        return True
    try:
        return "\0" not in body.decode()
    except UnicodeDecodeError:
        return False


def _json(body: bytes, described: _Type) -> Json:
    return _json_text(body, described, parse)


def _json_text(body: bytes, described: _Type, read: Callable[[bytes], T]) -> T | None:
    """RFC 8259 §8.1 wants UTF-8; some senders name another charset, and mean it."""
    if described.charset not in SHOWS_ITSELF and not marked(body):
        body = body.decode(described.charset, "replace").encode("utf-8", "replace")
    return read(body) if body.removeprefix(codecs.BOM_UTF8).strip() else None


def _form(body: bytes, described: _Type) -> Json:
    """Fields by name. GitHub and Slack put JSON into a field `payload`, which becomes its value."""
    text = _of_form(body, described)
    _require_few_fields(text)
    if described.charset or marked(body):
        # Escapes are bytes of the same charset, if ASCII is part of that.
        charset = "utf-8" if described.charset in SHOWS_ITSELF or marked(body) else described.charset
        fields = parse_qsl(text, keep_blank_values=True, encoding=charset, errors="replace")
    else:
        raw = parse_qsl(text, keep_blank_values=True, errors="surrogateescape")
        fields = [(unescaped(name), unescaped(value)) for name, value in raw]
    if fields and fields[0][0].startswith("\ufeff"):  # a mark that is escaped
        fields[0] = (fields[0][0][1:], fields[0][1])
    form = collect(fields)
    payload = form.get("payload")
    if isinstance(payload, str) and payload.startswith("{"):
        with suppress(MalformedJson):
            form["payload"] = parse(payload.encode("utf-8", "replace"))
    return form


def _of_form(body: bytes, described: _Type) -> str:
    named = described.charset or marked(body)
    return text_of(body, described.charset) if named else body.decode("utf-8", "surrogateescape")


def _require_few_fields(text: str) -> None:
    if text.count("&") >= MAX_FORM_FIELDS:
        raise _Malformed(f"a form has at most {MAX_FORM_FIELDS} fields")


def _multipart(body: bytes, described: _Type) -> Json:
    if not described.boundary:
        raise _Malformed("no boundary is named")
    return collect(parse_multipart(described.boundary, body, described.charset))


def _xml(body: bytes, described: _Type) -> Json:
    """The content type counts (RFC 7303 §3), then the document's own word: expat would take that first, and knows no
    charset of several bytes. It sees UTF-16 by the first bytes; what is declared in ASCII is none, whatever it says.
    """
    charset = marked(body) or described.charset or declared(body)
    if charset in _SEEN_BY_EXPAT and not marked(body):
        if _UTF_16.match(body):
            return parse_xml(body.lstrip(b" \t\r\n"))
        charset = ""
    return parse_xml(text_of(body, charset).lstrip())


_PARSERS: dict[Kind, Callable[[bytes, _Type], Json]] = {
    "json": _json,
    "form": _form,
    "multipart": _multipart,
    "xml": _xml,
    "text": lambda body, described: text_of(body, described.charset),
    "binary": lambda body, _described: base64.b64encode(body).decode(),
}


def collect(fields: Iterable[tuple[str, Json]]) -> JsonObject:
    """Fields by name; a name that comes again makes a list."""
    lists: dict[str, list[Json]] = {}
    for name, value in fields:
        lists.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in lists.items()}
