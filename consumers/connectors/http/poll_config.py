"""The config of `http.poll`, and what is decided when a definition is saved."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from domain.connector import url as urls
from domain.connector.config import fixed_problems
from domain.connector.poll import Every, Most, Start, start_problem
from domain.language.mistakes import mistakes
from domain.language.names import Names
from domain.values.json import Json, JsonObject
from domain.values.path import parse_path

_CURSOR = Names(roots=("cursor",))
ItemPath = Annotated[str, Meta(min_length=1, max_length=500)]


class PollRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sent. Its texts may have templates over `cursor`."""

    url: Annotated[str, Meta(title="URL", min_length=1)]
    method: Literal["GET", "POST"] = "GET"
    query: Annotated[JsonObject, Meta(title="Query parameters")] = {}
    headers: Annotated[JsonObject, Meta(title="Headers")] = {}
    body: Annotated[Json, Meta(title="Body, sent as JSON")] = None


class Cursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where in an item its time or number is. The next request can name the greatest one, less `overlap_s` seconds:
    the times of senders do not come in order.
    """

    path: ItemPath
    overlap_s: Annotated[int, Meta(ge=0, le=31 * 24 * 3600)] = 0


class NextPage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where in the answer the address of the next page is, such as `body.next`; or its `token`, which goes into the
    query parameter `param`, or `in` the request's body into the field of this name.
    """

    link: ItemPath | UnsetType = UNSET
    token: ItemPath | UnsetType = UNSET
    param: Annotated[str, Meta(min_length=1, max_length=100)] = "pageToken"
    in_: Literal["query", "body"] = msgspec.field(default="query", name="in")

    def __post_init__(self) -> None:
        if (self.link is UNSET) == (self.token is UNSET):
            raise ValueError("give either link or token")
        if self.link and self.in_ == "body":
            raise ValueError("a link is an address: only a token goes into the body")


class HttpPoll(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a poll."""

    request: Annotated[PollRequest, Meta(title="Request")]
    every_s: Every = 300
    items: Annotated[ItemPath, Meta(title="Items", description="Where the list is, such as body.results")] = "body"
    key: Annotated[ItemPath, Meta(title="Key", description="Where in an item what never changes of it is")] = "id"
    changed_by: Annotated[
        tuple[ItemPath, ...],
        Meta(title="Changed by", description="An item whose values there are others is new again", max_length=20),
    ] = ()
    cursor: Annotated[Cursor, Meta(title="Cursor")] | UnsetType = UNSET
    next_page: Annotated[NextPage, Meta(title="Next page")] | UnsetType = UNSET
    rows: Annotated[
        Literal["objects", "header"],
        Meta(title="Items are", description="Objects; or lists of cells, of which the first names those of the others"),
    ] = "objects"
    order: Annotated[
        Literal["newest_first", "oldest_first"],
        Meta(title="Order", description="How the source lists items, where there is no cursor to order them by"),
    ] = "newest_first"
    start_from: Start = "now"
    max_items: Most = 1_000


def check(saved: JsonObject) -> dict[str, str]:
    """What is wrong with a config as saved, by path."""
    found = fixed_problems(HttpPoll, saved)
    if found:
        return found
    config = msgspec.convert(saved, HttpPoll)
    if wrong := urls.check(config.request.url):
        found["request.url"] = wrong
    for place, path in _paths(config):
        try:
            parse_path(path)
        except ValueError as error:
            found[place] = str(error)
    for mistake in mistakes(saved["request"], ("request",), _CURSOR.wrong):
        found[mistake.path] = mistake.reason
    if wrong := start_problem(config.start_from, dated=config.cursor is not UNSET):
        found["start_from"] = wrong
    if config.next_page and config.next_page.in_ == "body" and not isinstance(config.request.body, dict):
        found["next_page.in"] = "needs a body that is an object, as the token is a field of it"
    return found


def _paths(config: HttpPoll) -> list[tuple[str, str]]:
    found = [("items", config.items), ("key", config.key)]
    found += [(f"changed_by.{index}", path) for index, path in enumerate(config.changed_by)]
    if config.cursor:
        found.append(("cursor.path", config.cursor.path))
    if config.next_page:
        found += [
            (f"next_page.{name}", path) for name in ("link", "token") if (path := getattr(config.next_page, name))
        ]
    return found


def source(config: JsonObject) -> Json:
    """Without its headers, whose secrets change; and without what says when, how much and how to go on."""
    request = config.get("request")
    asked = {name: value for name, value in request.items() if name != "headers"} if isinstance(request, dict) else {}
    return {"request": asked, **{name: config.get(name) for name in ("items", "key", "changed_by")}}
