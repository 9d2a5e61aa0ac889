"""Feeds: start a run for each new entry of an RSS or Atom feed."""

import asyncio
from datetime import UTC
from typing import Annotated

import msgspec
from msgspec import Meta

from domain.connector import url as urls
from domain.connector.config import BadConfig, fixed_problems, read
from domain.connector.descriptor import Connector, TriggerDescriptor
from domain.connector.http_client import HttpReply, HttpRequest
from domain.connector.poll import (
    MAX_ANSWER,
    NOT_MODIFIED,
    TIMEOUT_S,
    Every,
    Found,
    Item,
    Most,
    Place,
    Poll,
    PollContext,
    PollFailed,
    Start,
    as_trigger,
    fetched,
    start_problem,
    unchanged_since,
)
from domain.connector.uses import Uses, host_at
from domain.language.moments import moment_of
from domain.values.json import Json, JsonObject
from domain.values.payload import parse_payload

_ACCEPT = "application/rss+xml, application/atom+xml, application/rdf+xml, application/xml, text/xml;q=0.9, */*;q=0.1"


class Feed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a feed."""

    url: Annotated[str, Meta(title="Address of the feed", min_length=1)]
    every_s: Every = 900
    start_from: Start = "now"
    max_items: Most = 1_000


def check(saved: JsonObject) -> dict[str, str]:
    """What is wrong with a config as saved, by path."""
    found = fixed_problems(Feed, saved)
    if found:
        return found
    config = msgspec.convert(saved, Feed)
    wrong = {"url": urls.check(config.url), "start_from": start_problem(config.start_from, dated=True)}
    if "{{" in config.url:
        wrong["url"] = "an address without templates: there is no data yet"
    return {name: reason for name, reason in wrong.items() if reason}


async def poll(saved: JsonObject, context: PollContext) -> Found:
    """The entries of the feed. Raises PollFailed."""
    try:
        config = read(Feed, saved)
    except BadConfig as error:
        raise PollFailed("bad_config", str(error)) from None
    request = HttpRequest(
        method="GET",
        url=config.url,
        headers=[("Accept", _ACCEPT), *unchanged_since(context.place)],
        timeout_s=TIMEOUT_S,
        max_bytes=MAX_ANSWER,
    )
    reply = await fetched(context, request)
    if reply.status == NOT_MODIFIED:
        return Found(items=(), place=context.place)
    items = await asyncio.to_thread(entries, reply)
    return Found(items=items, place=Place(etag=reply.header("etag"), last_modified=reply.header("last-modified")))


def entries(reply: HttpReply) -> tuple[Item, ...]:
    """The entries, the oldest first; in a thread, as a feed may be large. Raises PollFailed."""
    media_type, _, options = reply.header("content-type").partition(";")
    payload = parse_payload(f"application/xml;{options}", reply.body)
    if payload.error and media_type.strip().lower() == "text/html":
        raise PollFailed(
            "not_a_feed", "the answer is not a feed but a web page: its source may name the feed's address"
        )
    if payload.error or not isinstance(payload.data, dict):
        raise PollFailed("not_a_feed", f"the answer is not a feed: {payload.error or 'it is empty'}")
    listed = [_item(entry) for entry in _listed(payload.data)]
    listed.reverse()
    return tuple(sorted(listed, key=lambda item: item.at.timestamp() if item.at else 0.0) if _dated(listed) else listed)


def _dated(items: list[Item]) -> bool:
    return all(item.at for item in items)


def _listed(document: JsonObject) -> list[JsonObject]:
    """The entries of RSS 2.0, Atom, and RDF (RSS 1.0), as the document has them."""
    root, content = next(iter(document.items()))
    name = root.rpartition(":")[2]
    if not isinstance(content, dict) or name not in {"rss", "feed", "RDF"}:
        raise PollFailed("not_a_feed", f"the answer is not RSS, Atom or RDF: its first element is {root[:50]}")
    holder = content.get("channel") if name == "rss" else content
    found = _all(holder if isinstance(holder, dict) else {}, "entry" if name == "feed" else "item")
    prefix = root.removesuffix(name)
    return [_plain(entry, prefix) if isinstance(entry, dict) else {"title": entry} for entry in found]


def _plain(element: JsonObject, prefix: str) -> JsonObject:
    """An element without the prefix that the feed gives the names of its own kind, such as `atom:`."""
    return {
        name.removeprefix(prefix): _plain(inner, prefix) if isinstance(inner, dict) else inner
        for name, inner in element.items()
    }


def _all(holder: JsonObject, name: str) -> list[Json]:
    found: list[Json] = []
    for key, value in holder.items():
        if key.rpartition(":")[2] == name:
            found += value if isinstance(value, list) else [value]
    return found


def _item(entry: JsonObject) -> Item:
    published = _text(entry, "published", "pubDate", "dc:date", "issued", "updated")
    updated = _text(entry, "updated", "modified")
    body: JsonObject = {
        "id": _text(entry, "id", "guid", "@rdf:about") or _link(entry),
        "title": _text(entry, "title"),
        "link": _link(entry),
        "published": _iso(published),
        "updated": _iso(updated),
        "author": _author(entry),
        "summary": _text(entry, "summary", "description"),
        "content": _text(entry, "content:encoded", "content"),
        "categories": [_label(category) for category in _all(entry, "category")],
        "enclosures": [_without_marks(one) for one in _all(entry, "enclosure")],
    }
    key = body["id"] or f"{body['title']} {published}"
    return Item(key=str(key)[:2_000], body=body, at=moment_of(published))


def _text(entry: JsonObject, *names: str) -> str:
    """The text of the first of these elements that has one."""
    for name in names:
        found = entry.get(name)
        first = found[0] if isinstance(found, list) and found else found
        text = _words(first) if isinstance(first, dict) and first.get("@type") == "xhtml" else _own_text(first)
        if text:
            return text
    return ""


def _own_text(element: Json) -> str:
    text = element.get("#text") if isinstance(element, dict) else element
    return text if isinstance(text, str) else ""


def _words(element: Json) -> str:
    """The texts of an element and of all inside it, as Atom's `xhtml` has its text (RFC 4287 §3.1.1.3).

    As JSON does not say where in a text an element stands, those inside come behind it.
    """
    if isinstance(element, dict):
        inner = [value for name, value in element.items() if name[:1] not in "@#"]
        return " ".join(text for value in (_own_text(element), *inner) if (text := _words(value)))
    if isinstance(element, list):
        return " ".join(text for value in element if (text := _words(value)))
    return element if isinstance(element, str) else ""


def _link(entry: JsonObject) -> str:
    """The address of the entry: the text of a link, or of Atom's links the one to the entry itself."""
    links = _all(entry, "link")
    for link in links:
        if isinstance(link, str) and link:
            return link
    marked = [link for link in links if isinstance(link, dict)]
    own = [link for link in marked if link.get("@rel", "alternate") == "alternate"] or marked
    return str(own[0].get("@href") or own[0].get("#text") or "") if own else ""


def _author(entry: JsonObject) -> str:
    author = entry.get("author")
    first = author[0] if isinstance(author, list) and author else author
    return _text(first, "name", "email") if isinstance(first, dict) else _text(entry, "author", "dc:creator")


def _label(category: Json) -> Json:
    return (category.get("@term") or category.get("#text") or "") if isinstance(category, dict) else category


def _without_marks(element: Json) -> Json:
    if not isinstance(element, dict):
        return element
    return {name.removeprefix("@"): value for name, value in element.items()}


def _iso(text: str) -> str | None:
    moment = moment_of(text)
    return moment.astimezone(UTC).isoformat() if moment else None


def source(config: JsonObject) -> Json:
    """The address."""
    return config.get("url")


CONNECTOR = Connector(
    triggers=(
        TriggerDescriptor(
            type="rss.feed",
            name="New entries of a feed",
            description="Starts a run for each new entry of an RSS 2.0, Atom or RDF feed. The entry is trigger.body.",
            icon="rss",
            config=Feed,
            example=as_trigger({"id": "urn:1", "title": "News", "link": "https://example.com/1", "published": None}),
            check=check,
            poll=Poll(run=poll, source=source),
            connection=Uses(host=host_at("url")),
        ),
    )
)
