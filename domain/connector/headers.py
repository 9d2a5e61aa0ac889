"""Which headers a request may carry: names and values as in RFC 9110, and none that is the connection's business."""

import re
from functools import lru_cache

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A token (RFC 9110 §5.6.2)."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What no value may hold (RFC 9110 §5.5)."""
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
"""Of all names and values of one request; targets refuse more."""

CONNECTION_HEADERS = frozenset(
    {
        "connection", "content-length", "expect", "host", "http2-settings", "keep-alive", "proxy-authenticate",
        "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""They say how a message travels, and where it ends: whoever writes them can make one request look like two."""


@lru_cache(maxsize=1_024)
def name_problem(name: str) -> str | None:
    """Why a request can't carry a header of this name; None where it can. Few names are in use, and again and again."""
    if not _NAME.fullmatch(name):
        return "a header's name has letters, digits and !#$%&'*+-.^_`|~ only, and no blanks"
    if name.lower() in CONNECTION_HEADERS:
        return "TriggerHub sets this header itself: it belongs to the connection"
    return None


def value_problem(value: str) -> str | None:
    """Why a header can't have this value; None where it can."""
    if _CONTROL.search(value):
        return "a header's value can't hold line breaks or control characters"
    if not value.isascii() and not _is_unicode(value):
        return "a header's value can't hold half a surrogate pair"
    return None


def problem(headers: "list[tuple[str, str]]") -> str | None:
    """Why a request can't carry these headers, with the path of the first that is wrong; None where it can."""
    if len(headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        return f"headers: at most {MAX_HEADERS} of them, of {MAX_HEADER_BYTES:,} characters in all"
    for name, value in headers:
        wrong = name_problem(name) or value_problem(value)
        if wrong:
            return f"headers.{name[:100]}: {wrong}"
    return None


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
