"""The trigger `http.poll`: asks any API for a list, page by page, and hands on its items."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urljoin

import msgspec

from consumers.connectors.http.body import pairs
from consumers.connectors.http.poll_config import HttpPoll, PollRequest, check, source
from consumers.connectors.http.rows import by_header
from domain.connector.config import BadConfig, read
from domain.connector.cursor import before, greatest, rank, text_of
from domain.connector.descriptor import TriggerDescriptor
from domain.connector.http_client import HttpReply, HttpRequest
from domain.connector.poll import (
    MAX_ANSWER,
    NOT_MODIFIED,
    TIMEOUT_S,
    Found,
    Item,
    Place,
    Poll,
    PollContext,
    PollFailed,
    as_trigger,
    fetched,
    moved,
    unchanged_since,
)
from domain.connector.url import with_query
from domain.connector.uses import Uses, host_at
from domain.language.moments import moment_of
from domain.language.scope import Heavy
from domain.language.template import TemplateError, compiled, templates
from domain.starting.polling import Asking, Ways
from domain.values.json import Json, JsonObject, MalformedJson, parse
from domain.values.path import Missing, Path, look_up, parse_path

MAX_PAGES = 100
PAGES_FOR = timedelta(seconds=15)
"""How long a poll goes on to further pages."""
MAX_BYTES = 2 * MAX_ANSWER
"""Of the pages of one poll; what is behind them is asked for at the next one, at once."""


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    """`next`: the address of the next page, or the token that goes into the body; empty for the last one.

    `known`: how many of its items are no news; `ends_known`: its last one is none.
    """

    items: tuple[Item, ...]
    cursors: tuple[Json, ...]
    next: str
    etag: str
    last_modified: str
    known: int
    ends_known: bool


async def poll(saved: JsonObject, context: PollContext) -> Found:
    """The items of the source, page by page until one brings no news. Raises PollFailed."""
    config = _read(saved)
    return await found_at(config, _request(config, context), context, asks_from_cursor=_asks_from_cursor(config))


async def asked(asking: Asking, context: PollContext) -> Found:
    """The same for a trigger of a connector's file, whose request is ready. Raises PollFailed."""
    config = msgspec.convert({**asking.config, "request": asking.request}, HttpPoll)
    request = _sent(msgspec.convert(asking.request, PollRequest, strict=False), context)
    return await found_at(config, request, context, asks_from_cursor=asking.asks_from_cursor, may_lack_items=True)


async def whole(request: HttpRequest, context: PollContext) -> Json:
    """What one more request gives. Raises PollFailed."""
    reply = await fetched(context, request)
    try:
        return await asyncio.to_thread(parse, reply.body)
    except MalformedJson as error:
        raise PollFailed("answer_not_json", f"what is new is no JSON: {error}") from None


WAYS = Ways(asked, whole)


async def found_at(
    config: HttpPoll, first: HttpRequest, context: PollContext, *, asks_from_cursor: bool, may_lack_items: bool = False
) -> Found:
    """The same for the request of the first page as it goes out."""
    reading = _Reading(config, first, context, asks_from_cursor, may_lack_items)
    pages = await _pages(reading)
    if not pages:
        return Found(items=(), place=context.place)
    items = [item for page in pages for item in page.items]
    cursors = [cursor for page in pages for cursor in page.cursors]
    before_these = [context.place.cursor] if context.place.cursor else []
    rest = pages[-1].next if _goes_on(reading, pages) else ""
    passed = context.place.passed if context.place.resume else 0
    alone = len(pages) == 1 and not (config.cursor or pages[0].next or context.place.resume)
    place = Place(
        cursor=greatest([*cursors, *before_these], context.moment),
        etag=pages[0].etag if alone else "",
        last_modified=pages[0].last_modified if alone else "",
        resume=rest,
        passed=passed + len(items) if rest else 0,
    )
    return Found(items=_oldest_first(config, items, cursors), place=place)


class _Reading(msgspec.Struct, frozen=True):
    """A poll on its way. `may_lack_items`: an answer without a list has none."""

    config: HttpPoll
    first: HttpRequest
    context: PollContext
    asks_from_cursor: bool
    may_lack_items: bool


async def _pages(reading: _Reading) -> list[_Page]:
    """The pages up to one behind which there are no news; none where nothing has changed."""
    context = reading.context
    pages: list[_Page] = []
    request, size = _at(reading, context.place.resume), 0
    while len(pages) < MAX_PAGES:
        reply = await fetched(context, request)
        if reply.status == NOT_MODIFIED:
            break
        pages.append(await asyncio.to_thread(_page, reading, reply, request.url))
        size += len(reply.body)
        enough = size > MAX_BYTES or context.clock() - context.moment > PAGES_FOR
        if enough or not _goes_on(reading, pages):
            break
        request = _at(reading, pages[-1].next)
    return pages


def _at(reading: _Reading, page: str) -> HttpRequest:
    """The request of a page: the first one where it names none, or one that other settings have left."""
    first, wanted = reading.first, reading.config.next_page
    if not wanted or not page:
        return first
    in_body = wanted.in_ == "body"
    if in_body == page.startswith(("http://", "https://")):
        return first
    if not in_body:
        return moved(first, page)
    fields = msgspec.json.decode(first.body, type=dict[str, msgspec.Raw]) if isinstance(first.body, bytes) else {}
    return msgspec.structs.replace(first, body=msgspec.json.encode({**fields, wanted.param: page}))


def _goes_on(reading: _Reading, pages: Sequence[_Page]) -> bool:
    """Whether there may be news behind these pages.

    Where the newest come first there are none behind a page that ends with what is known, unless it was passed before;
    and what is there at the beginning, of which nothing starts, need not be known to its end.
    """
    config, context, last = reading.config, reading.context, pages[-1]
    if not last.next or config.order == "oldest_first" or reading.asks_from_cursor:
        return bool(last.next)
    if context.beginning and config.start_from == "now" and sum(len(page.items) for page in pages) >= config.max_items:
        return False
    again = 0 if context.place.resume else context.place.passed
    return not last.ends_known or (again > 0 and sum(page.known for page in pages) <= again)


def _asks_from_cursor(config: HttpPoll) -> bool:
    """Whether the request says from where on it wants items: then all that comes may be new."""
    return any("cursor" in text for _place, text in templates(msgspec.to_builtins(config.request)))


def _read(saved: JsonObject) -> HttpPoll:
    try:
        return read(HttpPoll, saved)
    except BadConfig as error:
        raise PollFailed("bad_config", str(error)) from None


def _request(config: HttpPoll, context: PollContext) -> HttpRequest:
    overlap_s = config.cursor.overlap_s if config.cursor else 0
    cursor = before(context.place.cursor, overlap_s) if context.place.cursor else None
    try:
        rendered = compiled(msgspec.to_builtins(config.request)).quick({"cursor": cursor}, context.moment)
        request = msgspec.convert(rendered, PollRequest, strict=False)
        return _sent(request, context)
    except (TemplateError, Heavy, msgspec.ValidationError) as error:
        raise PollFailed("bad_config", f"request: {error}") from None


def _sent(request: PollRequest, context: PollContext) -> HttpRequest:
    body = msgspec.json.encode(request.body) if request.body is not None else None
    headers = [("Accept", "application/json"), *unchanged_since(context.place)]
    headers += [("Content-Type", "application/json")] if body is not None else []
    own = {name.lower() for name, _value in pairs(request.headers)}
    return HttpRequest(
        method=request.method,
        url=with_query(request.url, [(name, value) for name, value in pairs(request.query) if value != ""]),
        headers=[*((name, value) for name, value in headers if name.lower() not in own), *pairs(request.headers)],
        body=body,
        timeout_s=TIMEOUT_S,
        max_bytes=MAX_ANSWER,
    )


def _page(reading: _Reading, reply: HttpReply, url: str) -> _Page:
    """What an answer holds; in a thread, as it may be large. Raises PollFailed."""
    config = reading.config
    try:
        body = parse(reply.body)
    except MalformedJson as error:
        kind = reply.header("content-type") or "nothing that is named"
        raise PollFailed("answer_not_json", f"the answer is not JSON but {kind}: {error}") from None
    headers: JsonObject = {name: msgspec.to_builtins(value) for name, value in reply.headers.items()}
    answer: JsonObject = {"status": reply.status, "headers": headers, "body": body}
    listed = look_up(answer, parse_path(config.items))
    if isinstance(listed, Missing) and reading.may_lack_items:
        listed = []
    if not isinstance(listed, list):
        raise PollFailed("no_items", f"there is no list at {config.items}")
    listed = by_header(listed) if config.rows == "header" else listed
    path = parse_path(config.cursor.path) if config.cursor else None
    cursors = [_value(item, path) if path else None for item in listed]
    items = tuple(_item(config, number, *pair) for number, pair in enumerate(zip(listed, cursors, strict=True)))
    return _Page(
        items=items,
        cursors=tuple(cursors),
        next=_next(reading, answer, url),
        etag=reply.header("etag"),
        last_modified=reply.header("last-modified"),
        known=sum(map(reading.context.is_known, items)),
        ends_known=not items or reading.context.is_known(items[-1]),
    )


def _next(reading: _Reading, answer: JsonObject, url: str) -> str:
    wanted = reading.config.next_page
    if not wanted:
        return ""
    found = look_up(answer, parse_path(wanted.link or wanted.token or ""))
    if not isinstance(found, str) or not found:
        return ""
    if wanted.in_ == "body":
        return found
    return urljoin(url, found) if wanted.link else with_query(reading.first.url, [(wanted.param, found)])


def _item(config: HttpPoll, number: int, item: Json, cursor: Json) -> Item:
    key = look_up(item, parse_path(config.key))
    if isinstance(key, Missing | list | dict) or key is None or key == "":
        raise PollFailed("no_key", f"item {number} of the list has nothing at {config.key} that could be its key")
    values = [_value(item, parse_path(path)) for path in config.changed_by]
    return Item(
        key=text_of(key),
        body=item,
        state=msgspec.json.encode(values, order="deterministic").decode() if values else "",
        at=moment_of(cursor),
    )


def _value(item: Json, path: Path) -> Json:
    found = look_up(item, path)
    return None if isinstance(found, Missing) else found


def _oldest_first(config: HttpPoll, items: list[Item], cursors: list[Json]) -> tuple[Item, ...]:
    if config.cursor:
        order = sorted(range(len(items)), key=lambda index: rank(cursors[index]))
        return tuple(items[index] for index in order)
    return tuple(items if config.order == "oldest_first" else reversed(items))


HTTP_POLL = TriggerDescriptor(
    type="http.poll",
    name="Ask an API for what is new",
    description="Starts a run for each new item of a list. The item is trigger.body.",
    icon="download",
    config=HttpPoll,
    example=as_trigger({"id": 17}),
    check=check,
    poll=Poll(run=poll, source=source),
    connection=Uses(host=host_at("request", "url")),
)
