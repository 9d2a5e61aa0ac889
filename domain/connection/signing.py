"""Signatures that a connection's secret makes, for services that are never sent the secret itself. Pure."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeAlias
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

from domain.connection.kinds import Basic, Bearer, Setup

Pairs: TypeAlias = tuple[tuple[str, str], ...]
_SAFE = "-_.~"
_PREFIX = "whsec_"


class AwsSignature(msgspec.Struct, frozen=True):
    """Signature Version 4 of AWS, by a connection with the access key's id as user name and its secret as password."""

    region: str
    service: str


class WebhookSignature(msgspec.Struct, frozen=True):
    """That of Standard Webhooks, by a connection whose token is the secret. `id` is that of the message."""

    id: str


Signing: TypeAlias = AwsSignature | WebhookSignature


class Signable(msgspec.Struct, frozen=True, kw_only=True):
    """What of a request is signed. The URL is as it goes out. `sha256`: of a body that is not here, in hex."""

    method: str
    url: str
    body: bytes
    sha256: str = ""


class NoSigner(ValueError):
    """The connection cannot sign so; the text says why."""


def signature(signing: Signing, setup: Setup, request: Signable, at: datetime) -> Pairs:
    """The headers of the signature. Raises NoSigner."""
    match signing, setup:
        case AwsSignature(), Basic():
            return _aws(signing, setup.config.username, setup.secrets.password, request, at)
        case WebhookSignature(), Bearer():
            return _webhook(signing.id, setup.secrets.token, request.body, at)
        case _:
            raise NoSigner("a connection of this kind signs no such request")


def _webhook(message_id: str, secret: str, body: bytes, at: datetime) -> Pairs:
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise NoSigner("the token is no secret of Standard Webhooks: whsec_ and base64") from None
    sent = str(int(at.timestamp()))
    digest = hmac.digest(key, b".".join((message_id.encode(), sent.encode(), body)), "sha256")
    return (
        ("webhook-id", message_id),
        ("webhook-timestamp", sent),
        ("webhook-signature", f"v1,{base64.b64encode(digest).decode()}"),
    )


def _aws(signing: AwsSignature, key_id: str, secret: str, request: Signable, at: datetime) -> Pairs:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html"""
    moment = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{signing.region}/{signing.service}/aws4_request"
    parts = urlsplit(request.url)
    content = request.sha256 or hashlib.sha256(request.body).hexdigest()
    headers = (("host", parts.netloc), ("x-amz-content-sha256", content), ("x-amz-date", moment))
    names = ";".join(name for name, _value in headers)
    canonical = "\n".join(
        (request.method, parts.path or "/", _query(parts.query), *(f"{n}:{v}" for n, v in headers), "", names, content)
    )
    text = "\n".join(("AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    signed = hmac.new(_derived(secret, scope.split("/")), text.encode(), "sha256").hexdigest()
    authorization = f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signed}"
    return (*headers[1:], ("authorization", authorization))


def _derived(secret: str, scope: Sequence[str]) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _query(query: str) -> str:
    pairs = sorted((quote(n, safe=_SAFE), quote(v, safe=_SAFE)) for n, v in parse_qsl(query, keep_blank_values=True))
    return "&".join(f"{name}={value}" for name, value in pairs)
