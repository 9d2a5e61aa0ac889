"""What the log keeps of a webhook's headers and query: everything as it came, except for the preset's own secret.

Names of headers are in lower case; hop-by-hop headers say nothing about the request, and are left out.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import unquote_plus

from app.intake.refusals import HeadersTooLarge
from domain.hook.credentials import NO_PROOF, Proof
from domain.values.redaction import REDACTED

MAX_HEADERS = 100
MAX_HEADERS_SIZE = 32 * 1024
"""Bytes of all names and values."""

_HOP_BY_HOP = frozenset(  # RFC 9110 §7.6.1
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)


def stored_headers(
    headers: Iterable[tuple[bytes, bytes]], proof: Proof = NO_PROOF, secrets: Sequence[str] = ()
) -> dict[str, str]:
    """The headers as the log keeps them; repeated ones are joined (RFC 9110 §5.3). Raises HeadersTooLarge."""
    kept: dict[str, str] = {}
    count = size = 0
    for raw_name, raw_value in headers:
        count += 1
        size += len(raw_name) + len(raw_value)
        name = _kept_name(raw_name)
        if name:
            value = raw_value.decode("latin-1")
            if name in proof.headers or (secrets and _holds_one(value, secrets)):
                value = REDACTED
            kept[name] = f"{kept[name]}, {value}" if name in kept else value
    if count > MAX_HEADERS or size > MAX_HEADERS_SIZE:
        raise HeadersTooLarge(f"at most {MAX_HEADERS} headers with {MAX_HEADERS_SIZE} bytes in all")
    return kept


def stored_query(query: bytes, proof: Proof = NO_PROOF, secrets: Sequence[str] = ()) -> str:
    """The query string as the log keeps it."""
    text = query.decode("latin-1")
    if not text or not (proof.fields or secrets):
        return text
    return "&".join(_stored_pair(pair, proof, secrets) for pair in text.split("&"))


def _stored_pair(pair: str, proof: Proof, secrets: Sequence[str]) -> str:
    name, equals, value = pair.partition("=")
    if equals and (unquote_plus(name) in proof.fields or _holds_one(unquote_plus(value), secrets)):
        return f"{name}={REDACTED}"
    return pair


def _holds_one(value: str, secrets: Sequence[str]) -> bool:
    return any(secret in value for secret in secrets if secret)


@lru_cache(maxsize=1024)
def _kept_name(raw_name: bytes) -> str:
    """The name to keep, empty for none."""
    name = raw_name.decode("latin-1").lower()
    return "" if name in _HOP_BY_HOP else name
