"""Where an answer sends a request on to. Each hop goes through the guard; what may be secret stays with its host."""

from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

import msgspec

from domain.connector.http_client import HttpClient, HttpReply, HttpRequest
from domain.hook.hops import HEADER

MAX_REDIRECTS = 10
_SAME_METHOD = frozenset({307, 308})
_REDIRECTS = _SAME_METHOD | {301, 302, 303}
_GO_ON = frozenset({"accept", "content-type", "idempotency-key", HEADER.lower()})
"""Headers that go to another host, too."""


class BadRedirect(Exception):
    """The answer leads nowhere, or on and on."""


async def sent(http: HttpClient, request: HttpRequest, most: int) -> HttpReply:
    """The answer after at most so many redirects; with 0 the redirect itself. Raises BadRedirect and Unreachable."""
    for _hop in range(most + 1):
        reply = await http.request(request)
        if not most or reply.status not in _REDIRECTS or not reply.header("location"):
            return reply
        request = _on(request, reply)
    raise BadRedirect(f"more than {most} redirects")


def moved(request: HttpRequest, url: str) -> HttpRequest:
    """The request to another place, without what is meant for this host only. Raises BadRedirect."""
    try:
        there = urljoin(request.url, url)
        same = urlsplit(there)[:2] == urlsplit(request.url)[:2]
    except ValueError:
        raise BadRedirect("the answer leads to what is no URL") from None
    kept = [(name, value) for name, value in _pairs(request) if same or name.lower() in _GO_ON]
    return msgspec.structs.replace(request, url=there, headers=kept, bare=request.bare or not same)


def _on(request: HttpRequest, reply: HttpReply) -> HttpRequest:
    if reply.status not in _SAME_METHOD and request.method not in {"GET", "HEAD"}:
        headers = [(name, value) for name, value in _pairs(request) if name.lower() != "content-type"]
        request = msgspec.structs.replace(request, method="GET", body=None, headers=headers)
    return moved(request, reply.header("location"))


def _pairs(request: HttpRequest) -> list[tuple[str, str]]:
    return list(request.headers.items() if isinstance(request.headers, Mapping) else request.headers)
