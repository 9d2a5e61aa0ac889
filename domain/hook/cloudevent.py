"""CloudEvents 1.0 over HTTP, binary and structured (cloudevents/bindings/http-protocol-binding.md §3).

A batch stays a list in the body: a receiver gets batches only where it asked for them.
"""

import base64
import re
from urllib.parse import unquote_to_bytes

import msgspec

from domain.hook.signed_request import RawHeaders
from domain.values.json import JsonObject, MalformedJson, parse
from domain.values.payload import Payload, parse_payload

STRUCTURED = "application/cloudevents+json"
_REQUIRED = ("id", "source", "specversion", "type")
_ATTRIBUTE = re.compile(rb"ce-([a-z0-9]{1,100})")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MEMBER = re.compile(r"[a-z0-9]+")


class MalformedEvent(ValueError):
    """The request says that it is a CloudEvent, but is not a valid one."""


class CloudEvent(msgspec.Struct, frozen=True):
    """One event: its context attributes by name (without ce-), and its data."""

    attributes: JsonObject
    payload: Payload

    @property
    def delivery_id(self) -> str:
        """Source and id together name an event (spec §3.1.1); a source has no spaces in it."""
        return f"{self.attributes['source']} {self.attributes['id']}"


def read_event(headers: RawHeaders, body: bytes) -> CloudEvent | None:
    """The event that a request carries, None for an ordinary request. Raises MalformedEvent, and nothing else."""
    content_types = [value for name, value in headers if name.lower() == b"content-type"]
    content_type = content_types[0].decode("latin-1") if content_types else ""
    if content_type.partition(";")[0].strip().lower() == STRUCTURED:
        return _structured(body)
    if any(name.lower() == b"ce-specversion" for name, _ in headers):
        return CloudEvent(_binary_attributes(headers, content_type), parse_payload(content_type, body))
    return None


def _binary_attributes(headers: RawHeaders, content_type: str) -> JsonObject:
    attributes: JsonObject = {}
    for raw_name, raw_value in headers:
        name = _ATTRIBUTE.fullmatch(raw_name.lower())
        if name is None:
            continue
        key = name[1].decode()
        if key in attributes:
            raise MalformedEvent(f"ce-{key} came twice")
        attributes[key] = _header_value(key, raw_value)
    if content_type:
        attributes["datacontenttype"] = content_type
    return _checked(attributes)


def _header_value(key: str, raw: bytes) -> str:
    """Quotes undone, then one round of percent-decoding (binding §3.1.3.2); overlong UTF-8 has to be refused."""
    try:
        text = raw.strip(b" \t").decode()
        quoted = _QUOTED.fullmatch(text)
        return unquote_to_bytes(_ESCAPED.sub(r"\1", quoted[1]) if quoted else text).decode()
    except UnicodeDecodeError:
        raise MalformedEvent(f"ce-{key} is not UTF-8") from None


def _structured(body: bytes) -> CloudEvent:
    try:
        event = parse(body)
    except MalformedJson as error:
        raise MalformedEvent(str(error)) from error
    if not isinstance(event, dict):
        raise MalformedEvent("a structured event is a JSON object")
    attributes: JsonObject = {
        name: value
        for name, value in event.items()
        if name not in {"data", "data_base64"} and _MEMBER.fullmatch(name) and isinstance(value, str | int)
    }
    return CloudEvent(_checked(attributes), _structured_data(event))


def _structured_data(event: JsonObject) -> Payload:
    encoded = event.get("data_base64")
    if encoded is None:
        return Payload(event.get("data"), "json")
    if "data" in event or not isinstance(encoded, str):
        raise MalformedEvent("data_base64 is text, and stands instead of data")
    content_type = event.get("datacontenttype")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise MalformedEvent("data_base64 is not base64") from None
    return parse_payload(content_type if isinstance(content_type, str) else "", raw)


def _checked(attributes: JsonObject) -> JsonObject:
    for name in _REQUIRED:
        value = attributes.get(name)
        if not isinstance(value, str) or not value:
            raise MalformedEvent(f"the attribute {name} is missing")
    if attributes["specversion"] != "1.0":
        raise MalformedEvent("only specversion 1.0 is known")
    if " " in str(attributes["source"]):
        raise MalformedEvent("the attribute source is not a URI reference")
    return attributes
