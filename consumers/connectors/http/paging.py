"""Further pages of an answer: which request asks for the next one, and when there is none."""

import re
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import msgspec
from msgspec import Meta

from consumers.connectors.http.redirects import moved
from domain.connector.http_client import HttpRequest
from domain.connector.url import with_query
from domain.values.json import Json, JsonObject
from domain.values.path import Missing, look_up, parse_path

MAX_PAGES = 100
_NEXT = re.compile(r'<([^<>]{1,8000})>[^,<]{0,1000}?;\s{0,9}rel\s{0,9}=\s{0,9}"?next\b', re.IGNORECASE)
"""A link to the next page (RFC 8288)."""
_PARAMS = {"cursor": "cursor", "page": "page", "offset": "offset"}
Place = Annotated[str, Meta(max_length=500)]


class Paging(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the pages of a list follow one another.

    `items`: where the list is in an answer. `cursor`: where the next cursor, or the next URL, is. `param`: the query
    parameter that says which page is asked for.
    """

    kind: Annotated[
        Literal["cursor", "page", "offset", "link", "next_url"],
        Meta(title="How pages follow", description="By a cursor, a number, an offset, the header Link, or a whole URL"),
    ]
    items: Annotated[Place, Meta(title="Where the items are", description="In an answer: body, or body.data")] = "body"
    cursor: Annotated[
        Place, Meta(title="Where the next cursor or URL is", description="Such as body.next; for cursor and next_url")
    ] = ""
    param: Annotated[
        str,
        Meta(max_length=100, title="Query parameter", description="For cursor, page and offset; without it their name"),
    ] = ""
    max_pages: Annotated[
        int, Meta(ge=1, le=MAX_PAGES, title="Pages at most", description="Where it stops there, stopped_at says so")
    ] = 10


class NoList(ValueError):
    """There is no list where the pages should have one."""


def problems(paging: Paging) -> dict[str, str]:
    """What is wrong with it, by path."""
    found: dict[str, str] = {}
    for name, path in (("items", paging.items), ("cursor", paging.cursor)):
        try:
            if path:
                parse_path(path)
        except ValueError as error:
            found[f"paging.{name}"] = str(error)
    if paging.kind in {"cursor", "next_url"} and not paging.cursor:
        found["paging.cursor"] = "where in the answer the next cursor or URL is, such as body.next"
    return found


def items_of(paging: Paging, answer: JsonObject) -> list[Json]:
    """The items of one page. Raises NoList."""
    found = look_up(answer, parse_path(paging.items))
    if not isinstance(found, list):
        raise NoList(f"there is no list at {paging.items}")
    return found


def next_request(paging: Paging, request: HttpRequest, answer: JsonObject, *, count: int) -> HttpRequest | None:
    """The request for the page behind this one, which has `count` items; None for the last.

    Raises BadRedirect.
    """
    match paging.kind:
        case "cursor":
            cursor = _text(answer, paging.cursor)
            return _asking(request, paging, cursor) if cursor else None
        case "page":
            first = _given(request, paging, 1)
            return _asking(request, paging, str(first + 1)) if count else None
        case "offset":
            return _asking(request, paging, str(_given(request, paging, 0) + count)) if count else None
        case "link":
            header = _text(answer, "headers.link")
            found = _NEXT.search(header)
            return moved(request, found[1]) if found else None
        case "next_url":
            url = _text(answer, paging.cursor)
            return moved(request, url) if url else None


def _asking(request: HttpRequest, paging: Paging, value: str) -> HttpRequest:
    name = paging.param or _PARAMS[paging.kind]
    url = urlsplit(request.url)
    kept = "&".join(part for part in url.query.split("&") if part and part.partition("=")[0] != name)
    bare = urlunsplit((url.scheme, url.netloc, url.path, kept, ""))
    return msgspec.structs.replace(request, url=with_query(bare, [(name, value)]))


def _given(request: HttpRequest, paging: Paging, default: int) -> int:
    name = paging.param or _PARAMS[paging.kind]
    value = dict(parse_qsl(urlsplit(request.url).query)).get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else default


def _text(answer: JsonObject, path: str) -> str:
    found = look_up(answer, parse_path(path))
    if isinstance(found, list):
        found = ", ".join(str(one) for one in found)
    if isinstance(found, Missing) or found is None or isinstance(found, dict | bool):
        return ""
    return found if isinstance(found, str) else str(found)
