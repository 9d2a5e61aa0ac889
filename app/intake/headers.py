"""Which headers of a webhook are kept, and how: lower-case names, no hop-by-hop ones, nothing that opens doors."""

from collections.abc import Iterable
from functools import lru_cache

from app.refusals.problems import Problem

MAX_HEADERS = 100
MAX_HEADERS_SIZE = 32 * 1024
"""Bytes of all names and values."""
REDACTED = "[redacted]"

_HOP_BY_HOP = frozenset(  # RFC 9110 §7.6.1
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_SECRET_WORDS = ("authorization", "authenticat", "cookie", "token", "secret", "password", "api-key", "apikey")


def stored_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers as the log keeps them; repeated ones are joined (RFC 9110 §5.3). Raises Problem."""
    kept: dict[str, str] = {}
    count = size = 0
    for raw_name, raw_value in headers:
        count += 1
        size += len(raw_name) + len(raw_value)
        name, secret = _treatment(raw_name)
        if name:
            value = REDACTED if secret else raw_value.decode("latin-1")
            kept[name] = f"{kept[name]}, {value}" if name in kept else value
    if count > MAX_HEADERS or size > MAX_HEADERS_SIZE:
        raise Problem("headers_too_large", f"at most {MAX_HEADERS} headers with {MAX_HEADERS_SIZE} bytes in all")
    return kept


@lru_cache(maxsize=1024)
def _treatment(raw_name: bytes) -> tuple[str, bool]:
    """The name to keep ("" for none), and whether its value is a secret."""
    name = raw_name.decode("latin-1").lower()
    if name in _HOP_BY_HOP:
        return "", False
    return name, any(word in name for word in _SECRET_WORDS)
