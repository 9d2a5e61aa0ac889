"""The checks of a request before its content is read: the sender's signature, and the bounds of the body."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from litestar.types import HTTPScope

from app.intake.refusals import BadSignature, Malformed, RequestTooLarge, UnsupportedEncoding
from domain.hook.compiled import Hook
from domain.hook.presets import Unknown
from domain.hook.signed_request import MAX_DELIVERY_ID, SignedRequest, is_printable
from domain.hook.verification import Refused, Verified, verify
from domain.log.errors import DomainError
from domain.values.inflate import Corrupt, TooLarge, Unsupported, inflate
from domain.values.payload import flaw
from domain.values.redaction import REDACTED, shown_text

MAX_QUICK_CHECK = 128 * 1024
"""Bytes that are checked in place; more would hold up other senders."""

_NOT_A_FORGERY = frozenset({"malformed_delivery_id", "malformed_event"})
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")


def is_plain(hook: Hook, headers: Mapping[str, str]) -> bool:
    """Whether nothing is to be verified, and no header but Idempotency-Key can name the delivery."""
    return hook.plain and "ce-specversion" not in headers and "cloudevents" not in headers.get("content-type", "")


async def authenticate(hook: Hook, request: SignedRequest, now: datetime) -> Verified:
    """Who sent it, by the zap's preset. Raises BadSignature, or Malformed for a bad delivery id."""
    if len(request.body) <= MAX_QUICK_CHECK:
        answer = verify(hook.preset, request, hook.secrets, now)
    else:
        answer = await asyncio.to_thread(verify, hook.preset, request, hook.secrets, now)
    if isinstance(answer, Verified):
        return answer
    raise _refusal(hook, answer)


def _refusal(hook: Hook, refused: Refused) -> DomainError:
    if hook.open or (refused.code in _NOT_A_FORGERY and not isinstance(hook.preset, Unknown)):
        return Malformed(refused.reason)
    return BadSignature(refused.reason)


def idempotency_key(key: str | None) -> str:
    """The id of a delivery from its header, empty where there is none. Raises Malformed."""
    if key is None:
        return ""
    if len(key) > MAX_DELIVERY_ID or not is_printable(key):
        raise Malformed(f"an Idempotency-Key has 1 to {MAX_DELIVERY_ID} printable ASCII characters")
    return key


async def check_content(headers: Mapping[str, str], raw: bytes, max_body: int, *, is_authentic: bool) -> None:
    """Raises a refusal for a body that grows too large or has an unknown coding, and, unless it is authentic, for one
    that is not what its content type says. An authentic body that does not parse is kept as text.
    """
    encoding = headers.get("content-encoding")
    if not raw or (encoding is None and is_authentic):
        return
    content_type = headers.get("content-type", "")
    if encoding is None and len(raw) <= MAX_QUICK_CHECK:
        _check_claims(content_type, raw)
    else:
        await asyncio.to_thread(_check_decoded, content_type, encoding or "", raw, max_body, is_authentic)


def _check_decoded(content_type: str, encoding: str, raw: bytes, max_body: int, is_authentic: bool) -> None:
    match inflate(encoding, raw, max_body):
        case TooLarge():
            raise RequestTooLarge(f"a webhook body has at most {max_body} bytes, also when it is unpacked")
        case Unsupported():
            raise UnsupportedEncoding("gzip and deflate are the content encodings that are decoded here")
        case Corrupt(name):
            if not is_authentic:
                raise Malformed(f"the body is not valid {name}")
        case content:
            if not is_authentic:
                _check_claims(content_type, content)


def _check_claims(content_type: str, content: bytes) -> None:
    reason = flaw(content_type, content)
    if reason:
        raise Malformed(reason)


def signed_request(scope: HTTPScope, public_url: str, body: bytes) -> SignedRequest:
    """The request as its sender sees it, for verification."""
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope["query_string"]
    client = scope.get("client")
    return SignedRequest(
        method=scope["method"],
        url=public_url + (path + b"?" + query if query else path).decode("latin-1"),
        headers=list(scope["headers"]),
        body=body,
        client_ip=client[0] if client else "",
    )


def excerpt(body: bytes, limit: int, secrets: Sequence[str] = ()) -> str:
    """The beginning of a refused body, fit to be shown."""
    text = shown_text(body[: limit * 2].decode("utf-8", "replace"))
    for secret in secrets:
        text = text.replace(secret, REDACTED) if secret else text
    return _CONTROL.sub("\ufffd", text)[:limit]
