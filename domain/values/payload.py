"""What a webhook's body says, as JSON for templates and conditions. The raw bytes stay the record.

An authentic body that does not parse is kept as text with the reason: refusing it would make senders switch the
webhook off, or never send it again.
"""

import codecs
import re
from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias
from urllib.parse import parse_qsl

import msgspec
from multipart import MultipartError, parse_options_header

from domain.values.json import Json, JsonObject, MalformedJson, parse
from domain.values.multipart import parse_multipart
from domain.values.xml import MalformedXml, parse_xml

MAX_FORM_FIELDS = 1_000

Kind: TypeAlias = Literal["json", "form", "multipart", "xml", "text", "binary"]


class Payload(msgspec.Struct, frozen=True):
    """`data` is None for an empty body and for binary content. `error` says why it is not what it claims to be."""

    data: Json
    kind: Kind
    error: str = ""


class _Malformed(ValueError):
    pass


_Options: TypeAlias = dict[str, str]
_BOM = codecs.BOM_UTF8
_BINARY = re.compile(r"application/octet-stream|(?:image|audio|video|font)/.*")
# Only real text: Python also has codecs like punycode and idna, whose cost is quadratic.
_CHARSETS = re.compile(
    r"ascii|utf-8|utf-16(?:-[lb]e)?|utf-32(?:-[lb]e)?|iso8859-\d+|cp\d+|koi8-[rtu]|mac-roman"
    r"|shift_jis(?:_2004|x0213)?|euc_(?:jp|kr|jis_2004|jisx0213)|iso2022_(?:jp|kr)\w*|gb2312|gbk|gb18030|big5|big5hkscs"
)


def parse_payload(content_type: str, body: bytes) -> Payload:
    """A body as its content type describes it; without one, as it looks. Never raises."""
    try:
        media_type, options = _media_type(content_type)
        kind = _kind(media_type, body)
        if not body:
            return Payload(None, kind)
        return Payload(_PARSERS[kind](body, options), kind)
    except (_Malformed, MalformedJson, MalformedXml, MultipartError, RecursionError) as error:
        return Payload(_text(body, {}), "text", str(error) or type(error).__name__)


def _media_type(content_type: str) -> tuple[str, _Options]:
    media_type, options = parse_options_header(content_type[:1_000])
    return str(media_type), options


def _kind(media_type: str, body: bytes) -> Kind:
    if _is_json(media_type):
        return "json"
    if media_type == "multipart/form-data":
        return "multipart"
    if media_type in {"application/xml", "text/xml"} or media_type.endswith("+xml"):
        return "xml"
    if media_type in {"", "application/x-www-form-urlencoded"} and _looks_like_json(body):
        return "json"  # curl -d says form whatever it sends; true forms never begin with a bracket
    if media_type == "application/x-www-form-urlencoded":
        return "form"
    if media_type.startswith("text/"):
        return "text"
    return "binary" if _BINARY.fullmatch(media_type) or not _is_text(body) else "text"


def _is_json(media_type: str) -> bool:
    return media_type in {"application/json", "text/json"} or media_type.endswith("+json")


def _looks_like_json(body: bytes) -> bool:
    if body.removeprefix(_BOM).lstrip()[:1] not in {b"{", b"["}:
        return False
    try:
        _json(body, {})
    except MalformedJson:
        return False
    return True


def _is_text(body: bytes) -> bool:
    try:
        return "\0" not in body.decode()
    except UnicodeDecodeError:
        return False


def _json(body: bytes, options: _Options) -> Json:
    # RFC 8259 §8.1 wants UTF-8; some senders name another charset, and mean it.
    if _charset(options) not in {"utf-8", "ascii"}:
        body = _text(body, options).encode("utf-8", "surrogatepass")
    return parse(body.removeprefix(_BOM))


def _form(body: bytes, _options: _Options) -> Json:
    """Fields by name. GitHub and Slack put JSON into a field `payload`, which is given as what it says."""
    try:
        fields = parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, errors="replace", max_num_fields=MAX_FORM_FIELDS
        )
    except ValueError:
        raise _Malformed(f"a form has at most {MAX_FORM_FIELDS} fields") from None
    form = collect(fields)
    payload = form.get("payload")
    if isinstance(payload, str) and payload.startswith("{"):
        inner = payload.encode("utf-8", "surrogatepass")
        form["payload"] = parse(inner) if _looks_like_json(inner) else payload
    return form


def _multipart(body: bytes, options: _Options) -> Json:
    return collect(parse_multipart(options.get("boundary", ""), body))


def _text(body: bytes, options: _Options) -> str:
    return body.decode(_charset(options), "replace").removeprefix("\ufeff")


def _charset(options: _Options) -> str:
    try:
        name = codecs.lookup(options.get("charset", "utf-8")).name
    except (LookupError, ValueError):
        return "utf-8"
    return name if _CHARSETS.fullmatch(name) else "utf-8"


_PARSERS: dict[Kind, Callable[[bytes, _Options], Json]] = {
    "json": _json,
    "form": _form,
    "multipart": _multipart,
    "xml": lambda body, _options: parse_xml(body),
    "text": _text,
    "binary": lambda _body, _options: None,
}


def collect(fields: Iterable[tuple[str, Json]]) -> JsonObject:
    """Fields by name; a name that comes again makes a list."""
    lists: dict[str, list[Json]] = {}
    for name, value in fields:
        lists.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in lists.items()}
