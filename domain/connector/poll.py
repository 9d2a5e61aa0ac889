"""What a trigger that polls does: it asks a source what is there, and hands on items. What is new of them is not its
matter, nor when it is asked again.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Annotated, TypeAlias
from urllib.parse import urljoin, urlsplit

import msgspec
from msgspec import Meta

from domain.connection.kinds import Account
from domain.connector.http_client import HttpClient, HttpReply, HttpRequest, Unreachable
from domain.dialogue.questions import Dialogue
from domain.dialogue.topic import Position, Skipped
from domain.language.moments import iso_moment
from domain.log.ports import Clock
from domain.values.json import Json, JsonObject

LEAST_S = 10
MAX_EVERY_S = 31 * 24 * 3600
MAX_ITEMS = 10_000
MAX_ANSWER = 4 * 2**20
"""Bytes of one answer."""
MAX_PASSED = 5_000
"""Items that a poll passes again: some services give no more than 10,000, and refuse the page behind them for ever."""
MAX_ITEM = 2**20
"""Bytes of an item's JSON."""
TIMEOUT_S = 30.0
MAX_REDIRECTS = 5
NOT_MODIFIED = 304
PACE = ("every_s", "start_from", "max_items")
"""What every trigger that polls has, besides its own fields."""
_SAME_METHOD = frozenset({307, 308})
_REDIRECTS = _SAME_METHOD | {301, 302, 303}

Every = Annotated[int, Meta(title="Every so many seconds", ge=LEAST_S, le=MAX_EVERY_S)]
Start = Annotated[
    str,
    Meta(
        title="Start from",
        description="What the first poll does with what is there: now (nothing of it starts a run), all, or the date "
        "from which on items start one",
        max_length=40,
    ),
]
Most = Annotated[int, Meta(title="Items of one poll at most; the rest follows at once", ge=1, le=MAX_ITEMS)]


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the source has. `key` is its own and stays; `state` changes where it counts as changed.

    `at` is its date, where it has one.
    """

    key: str
    body: Json
    state: str = ""
    at: datetime | None = None


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a source has been read. `cursor` is handed to its next request; `etag` and `last_modified` are those of
    its last answer; `resume` is the page where the next poll goes on, its address or a token, and `passed` how many
    items there were before it: where that page is lost, the next poll passes them again. `positions` are those of a
    topic's partitions.
    """

    cursor: str = ""
    etag: str = ""
    last_modified: str = ""
    resume: str = ""
    passed: int = 0
    positions: Mapping[int, Position] = {}


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The items of a source, the oldest first, and how far it has been read. `more`: there is more at once.

    `skipped` is what can never start a run, and is told of instead.
    """

    items: tuple[Item, ...]
    place: Place
    skipped: tuple[Skipped, ...] = ()
    more: bool = False


class PollFailed(Exception):
    """The source gave nothing that can be used: a stable code, and a sentence for the zap's owner."""

    def __init__(self, code: str, message: str, *, after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.after_s = after_s


class PollContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a poll may use. `is_known` tells whether an item is no news, so that paging can stop.

    `place` is how far the source was read before; `moment` is when the poll began. `beginning`: it is the first one,
    or goes on with that. `account`: what the trigger's connection logs in with, where it is of such a kind; it raises
    Unreachable.
    """

    http: HttpClient
    dialogue: Dialogue
    place: Place
    moment: datetime
    clock: Clock
    beginning: bool
    is_known: Callable[[Item], bool]
    account: Callable[[], Awaitable[Account]] | None = None


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """How a trigger polls. `source` gives the part of its config that says which source it is: another part may change
    without that what is known of the source is forgotten. `run` raises PollFailed.

    `by_position`: the source is read on from a position, so all that it gives is new, from the first poll on.
    """

    run: Callable[[JsonObject, PollContext], Awaitable[Found]]
    source: Callable[[JsonObject], Json]
    by_position: bool = False


def as_trigger(item: Json) -> JsonObject:
    """What a run sees that an item has started: there is no request around it."""
    return {"method": "", "path": "", "query": {}, "query_string": "", "headers": {}, "body": item}


def start_of(text: str) -> datetime | None:
    """The moment of a date or time, in UTC where it names no zone; None for what is none."""
    try:
        return iso_moment(text)
    except ValueError:
        return None


def start_problem(start_from: str, *, dated: bool) -> str | None:
    """What is wrong with the start of a poll, whose items may have dates; None where nothing is."""
    if start_from in {"now", "all"}:
        return None
    if start_of(start_from) is None:
        return "now, all, or a date such as 2027-01-01"
    return None if dated else "a date needs a cursor, whose path leads to the date of an item"


Headers: TypeAlias = list[tuple[str, str]]


async def fetched(context: PollContext, request: HttpRequest) -> HttpReply:
    """The answer with a 2xx, or 304, over a few redirects. Raises PollFailed for any other."""
    for _hop in range(MAX_REDIRECTS + 1):
        try:
            reply = await context.http.request(request)
        except Unreachable as error:
            raise PollFailed(error.code, error.message, after_s=error.after_s) from None
        if reply.status not in _REDIRECTS or not reply.header("location"):
            return _usable(reply, context.moment)
        request = _redirected(request, reply)
    raise PollFailed("too_many_redirects", f"more than {MAX_REDIRECTS} redirects")


def moved(request: HttpRequest, url: str) -> HttpRequest:
    """The request to another place. What may be secret stays with the host that it was meant for."""
    try:
        same = urlsplit(url)[:2] == urlsplit(request.url)[:2]
    except ValueError:
        raise PollFailed("bad_redirect", "the source leads to what is no URL") from None
    pairs = request.headers.items() if isinstance(request.headers, Mapping) else request.headers
    kept = [(name, value) for name, value in pairs if same or name.lower() in {"accept", "content-type"}]
    return msgspec.structs.replace(request, url=url, headers=kept, bare=request.bare or not same)


def _redirected(request: HttpRequest, reply: HttpReply) -> HttpRequest:
    try:
        there = moved(request, urljoin(request.url, reply.header("location")))
    except ValueError:
        raise PollFailed("bad_redirect", "the source redirects to what is no URL") from None
    return there if reply.status in _SAME_METHOD else msgspec.structs.replace(there, method="GET", body=None)


def _usable(reply: HttpReply, moment: datetime) -> HttpReply:
    if reply.status == NOT_MODIFIED:
        return reply
    if not 200 <= reply.status < 300:
        wish = reply.retry_after_s(moment) if reply.status in {429, 503} else None
        raise PollFailed(f"http_{reply.status}", f"the source answered {reply.status}", after_s=wish)
    if reply.truncated:
        raise PollFailed("answer_too_large", f"the answer has more than {MAX_ANSWER:,} bytes")
    return reply


def unchanged_since(place: Place) -> Headers:
    """Headers that have a source say so where nothing has changed (RFC 9110 §13.1)."""
    found = [("If-None-Match", place.etag), ("If-Modified-Since", place.last_modified)]
    return [(name, value) for name, value in found if value]
