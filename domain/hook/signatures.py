"""The signature schemes. Each check raises Refusal, or returns the delivery id that the signature covers, if any.

Signatures are compared as text in the one spelling that signers use: decoding first would let many spellings
of one signature through. Every comparison takes the same time wherever the first difference is.
"""

import hashlib
import hmac
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeAlias
from urllib.parse import parse_qs, parse_qsl, urlsplit, urlunsplit

from domain.hook.presets import GitHub, Hmac, Razorpay, Shopify, Slack, Stripe
from domain.hook.signed_request import Refusal, SignedRequest

Keys: TypeAlias = Sequence[bytes]

MAX_SIGNATURES = 32
"""Signatures in one header: a sender that rotates its secret also signs with the old ones."""
MAX_FORM_FIELDS = 1_000

SCHEMES: dict[type, Hmac] = {
    GitHub: Hmac(header="X-Hub-Signature-256", prefix="sha256="),
    Shopify: Hmac(header="X-Shopify-Hmac-SHA256", encoding="base64"),
    Razorpay: Hmac(header="X-Razorpay-Signature"),
    Slack: Hmac(
        header="X-Slack-Signature",
        prefix="v0=",
        timestamp_header="X-Slack-Request-Timestamp",
        template="v0:{timestamp}:{body}",
    ),
}
"""Presets that are rows of the generic scheme."""

_TIMESTAMP = re.compile(r"[0-9]{1,15}")
_UNITS = {"s": 1, "ms": 1_000}


def check_hmac(scheme: Hmac, tolerance_s: int, request: SignedRequest, keys: Keys, now: datetime) -> None:
    """One HMAC in one header, with or without the time of sending in another."""
    given = request.header(scheme.header)
    timestamp = ""
    if scheme.timestamp_header is not None:
        timestamp = request.header(scheme.timestamp_header)
        check_window(timestamp, tolerance_s, now, in_a_second=_UNITS[scheme.timestamp_unit])
    urls = _url_spellings(request.url) if "{url}" in scheme.template else {""}
    parts = [_around(scheme.template, timestamp, request.method, url) for url in urls]
    digests = (_digest(key, scheme.algorithm, before, request.body, after) for key in keys for before, after in parts)
    encode = _ENCODINGS[scheme.encoding]
    _require_match([given], (scheme.prefix + text for digest in digests for text in encode(digest)))


def _around(template: str, timestamp: str, method: str, url: str) -> tuple[bytes, bytes]:
    """What is signed before and after the body."""
    values = {"timestamp": timestamp, "method": method, "url": url}
    before, after = (
        re.sub(r"\{(timestamp|method|url)\}", lambda found: values[found[1]], part).encode("utf-8", "surrogatepass")
        for part in template.split("{body}")
    )
    return before, after


def check_stripe(preset: Stripe, request: SignedRequest, keys: Keys, now: datetime) -> None:
    """`t=…,v1=…[,v1=…]`: HMAC-SHA256 over `t.body`; the key is the whole secret, its prefix included."""
    pairs = [part.strip().partition("=") for part in request.header("Stripe-Signature").split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    if len(times) != 1:
        raise Refusal("malformed_header", "Stripe-Signature has not exactly one t")
    check_window(times[0], preset.tolerance_s, now)
    given = [value for name, _, value in pairs if name == "v1"]
    signed = times[0].encode() + b"."
    _require_match(given, (_digest(key, "sha256", signed, request.body).hex() for key in keys))


def check_standard_webhooks(tolerance_s: int, request: SignedRequest, keys: Keys, now: datetime) -> str:
    """`id.timestamp.body`, signed with HMAC-SHA256 (v1, keys whsec_…) or Ed25519 (v1a, keys whpk_…).

    A key serves its own version only, so that nobody can make a v1 signature with a public key.
    """
    family = "webhook" if request.optional_header("webhook-signature") is not None else "svix"
    message_id, timestamp, header = (request.header(f"{family}-{part}") for part in ("id", "timestamp", "signature"))
    if "." in message_id:
        raise Refusal("malformed_header", f"{family}-id has a dot, so what is signed would be ambiguous")
    check_window(timestamp, tolerance_s, now)
    pairs = [part.partition(",") for part in header.split(" ")]
    message = f"{message_id}.{timestamp}.".encode() + request.body
    macs = [value for version, _, value in pairs if version == "v1"]
    if _matches(macs, (_base64(_digest(key, "sha256", message)) for key in _symmetric(keys))):
        return message_id
    signatures = [value for version, _, value in pairs if version == "v1a"]
    if _ed25519_verifies(_bounded(signatures), message, keys):
        return message_id
    raise _no_match()


def check_twilio(request: SignedRequest, keys: Keys) -> None:
    """HMAC over the public URL and the form's fields, names sorted; any other body by its bodySHA256 in the URL."""
    given = request.header("X-Twilio-Signature")
    settings = request.optional_header("X-Twilio-Webhooks-Signature-Settings") or ""
    algorithm = "sha256" if "algorithm=HMAC_SHA256" in settings.split(",") else "sha1"
    fields = _twilio_fields(request).encode("utf-8", "surrogatepass")
    urls = {url.encode("utf-8", "surrogatepass") for url in _url_spellings(request.url)}
    _require_match([given], (_base64(_digest(key, algorithm, url, fields)) for key in keys for url in urls))


def check_window(timestamp: str, tolerance_s: int, now: datetime, *, in_a_second: int = 1) -> None:
    """Raises Refusal for what is not a whole unix time, or too far from now on either side."""
    if not _TIMESTAMP.fullmatch(timestamp):
        raise Refusal("malformed_header", "the timestamp is not a number of seconds")
    if abs(now.timestamp() - int(timestamp) / in_a_second) > tolerance_s:
        raise Refusal("outside_window", f"sent more than {tolerance_s} s before or after now")


def _digest(key: bytes, algorithm: str, *parts: bytes) -> bytes:
    mac = hmac.new(key, digestmod=algorithm)
    for part in parts:  # and not joined: a body may be large
        mac.update(part)
    return mac.digest()


def _base64(digest: bytes) -> str:
    return b64encode(digest).decode()


def _hex(digest: bytes) -> tuple[str, ...]:
    return digest.hex(), digest.hex().upper()  # .NET writes capitals


def _base64url(digest: bytes) -> tuple[str, ...]:
    text = urlsafe_b64encode(digest).decode()
    return text, text.rstrip("=")


_ENCODINGS: dict[str, Callable[[bytes], tuple[str, ...]]] = {
    "hex": _hex,
    "base64": lambda digest: (_base64(digest),),
    "base64url": _base64url,
}


def _matches(given: Sequence[str], expected: Iterable[str]) -> bool:
    candidates = [text.encode() for text in _bounded(given)]
    return any(hmac.compare_digest(wanted.encode(), text) for wanted in expected for text in candidates)


def _require_match(given: Sequence[str], expected: Iterable[str]) -> None:
    if not _matches(given, expected):
        raise _no_match()


def _no_match() -> Refusal:
    return Refusal("bad_signature", "no signature fits the body and a live secret")


def _bounded(given: Sequence[str]) -> Sequence[str]:
    if len(given) > MAX_SIGNATURES:
        raise Refusal("malformed_header", f"more than {MAX_SIGNATURES} signatures")
    return given


def _symmetric(keys: Keys) -> list[bytes]:
    decoded = [_decoded(key.removeprefix(b"whsec_")) for key in keys if not key.startswith((b"whpk_", b"whsk_"))]
    return [key for key in decoded if key]


def _decoded(text: bytes) -> bytes:
    """Base64 with or without its padding; nothing where it is not."""
    try:
        return b64decode(text.rstrip(b"=") + b"=" * (-len(text.rstrip(b"=")) % 4), validate=True)
    except ValueError:
        return b""


def _ed25519_verifies(signatures: Sequence[str], message: bytes, keys: Keys) -> bool:
    public = [_decoded(key.removeprefix(b"whpk_")) for key in keys if key.startswith(b"whpk_")]
    decoded = [(text, _decoded(text.encode())) for text in signatures]
    canonical = [raw for text, raw in decoded if _base64(raw) == text]  # base64 has idle bits at its end
    return any(_ed25519(raw, message, key) for key in public for raw in canonical)


def _ed25519(signature: bytes, message: bytes, public_key: bytes) -> bool:
    # Loaded at the first use: few senders have asymmetric keys, and it is several megabytes.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _twilio_fields(request: SignedRequest) -> str:
    claimed = parse_qs(urlsplit(request.url).query, max_num_fields=MAX_FORM_FIELDS).get("bodySHA256")
    if claimed is not None:
        actual = hashlib.sha256(request.body).hexdigest()
        if not hmac.compare_digest(actual.encode(), claimed[0].encode("utf-8", "surrogatepass")):
            raise Refusal("bad_signature", "bodySHA256 is not that of the body")
        return ""
    if not request.body:
        return ""
    content_type = (request.optional_header("content-type") or "").partition(";")[0].strip().lower()
    if content_type != "application/x-www-form-urlencoded":
        raise Refusal("bad_signature", "nothing in the signature covers this body")
    fields = parse_qsl(request.body.decode(), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
    # Each value once, as Twilio's own validators do.
    return "".join(name + value for name, value in sorted(set(fields)))


def _url_spellings(url: str) -> set[str]:
    """The URL as it is, with its port, and without: the sender's proxy may have written either."""
    parts = urlsplit(url)
    host = parts.netloc.removesuffix(f":{parts.port}")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {url, *(urlunsplit(parts._replace(netloc=netloc)) for netloc in (host, f"{host}:{port}"))}
