"""Which delivery a request is: the sender's own name for it, equal on every repeat.

The id is read only after the request was verified, so that nobody can use up the id of a future delivery.
"""

import hashlib

from domain.hook import presets
from domain.hook.cloudevent import MalformedEvent, read_event
from domain.hook.signed_request import MAX_DELIVERY_ID, Refusal, SignedRequest, is_printable
from domain.language.names import in_body
from domain.values.json import Json, MalformedJson, parse
from domain.values.path import Missing, look_up, parse_path
from domain.values.payload import parse_payload

_SENDERS_OWN: dict[type, presets.Dedupe] = {
    presets.Stripe: presets.DedupeBody("id"),
    presets.GitHub: presets.DedupeHeader("X-GitHub-Delivery"),
    presets.Shopify: presets.DedupeHeader("X-Shopify-Webhook-Id"),
    presets.Slack: presets.DedupeBody("event_id"),
    presets.Razorpay: presets.DedupeHeader("X-Razorpay-Event-Id"),
    presets.GitLab: presets.DedupeHeader("Idempotency-Key"),
    presets.Twilio: presets.DedupeHeader("I-Twilio-Idempotency-Token"),
}
_ANYONES = presets.DedupeHeader("Idempotency-Key")


def delivery_id(preset: presets.Preset, request: SignedRequest, signed_id: str | None) -> str | None:
    """The id, None where the request has none. `signed_id` is covered by the signature and counts most."""
    if preset.dedupe is not None:
        return _find(preset.dedupe, request)
    if signed_id is not None:
        return _checked("the signed id", signed_id)
    own = _SENDERS_OWN.get(type(preset))
    return _find(own, request) if own else _find(_ANYONES, request) or _event_id(request)


def _find(source: presets.Dedupe, request: SignedRequest) -> str | None:
    match source:
        case presets.DedupeHeader(name):
            value = request.optional_header(name)
            return None if value is None else _checked(name, value)
        case presets.DedupeBody(path):
            return _as_id(look_up(_body(request), in_body(parse_path(path))))
        case presets.DedupeNone():
            return None


def _event_id(request: SignedRequest) -> str | None:
    try:
        event = read_event(request.headers, request.body)
    except MalformedEvent as error:
        raise Refusal("malformed_event", str(error)) from error
    return None if event is None else _as_id(event.delivery_id)


def _body(request: SignedRequest) -> Json:
    # No signature covers the content type: a replay with another one must still find the same id.
    try:
        return parse(request.body)
    except MalformedJson:
        return parse_payload(request.optional_header("content-type") or "", request.body).data


def _as_id(value: Json | Missing) -> str | None:
    """Text and whole numbers are ids; long or unprintable text is replaced by its hash."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value)
    if len(text) <= MAX_DELIVERY_ID and is_printable(text):
        return text
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() if text else None


def _checked(name: str, value: str) -> str:
    if len(value) > MAX_DELIVERY_ID:
        raise Refusal("malformed_delivery_id", f"{name} is longer than {MAX_DELIVERY_ID} characters")
    return value
