"""A trigger that asks a service for what is new, as the file of its connector says: like any other that polls."""

from collections.abc import Awaitable, Callable

import msgspec

from domain.connection.hosts import fixed_host
from domain.connection.kinds import HTTP_KINDS, Kind
from domain.connector.config import BadConfig
from domain.connector.cursor import before
from domain.connector.descriptor import TriggerDescriptor
from domain.connector.http_client import HttpRequest
from domain.connector.poll import (
    LEAST_S,
    MAX_ANSWER,
    MAX_EVERY_S,
    MAX_ITEMS,
    PACE,
    TIMEOUT_S,
    Found,
    Item,
    Poll,
    PollContext,
    PollFailed,
    start_problem,
)
from domain.connector.uses import Uses
from domain.declared.action import filled
from domain.declared.fields import schema_of_fields
from domain.declared.file import ConnectorFile, Polled, Preset
from domain.declared.filling import fill_base, fill_fields, fill_path, slots
from domain.declared.form import problems, read
from domain.values.json import Json, JsonObject


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """One poll as http.poll makes it: `config` without its request, which is `request`."""

    config: JsonObject
    request: JsonObject
    asks_from_cursor: bool


class Ways(msgspec.Struct, frozen=True):
    """Polls as http.poll does, and the JSON that one more request gives. Both raise PollFailed."""

    ask: Callable[[Asking, PollContext], Awaitable[Found]]
    whole: Callable[[HttpRequest, PollContext], Awaitable[Json]]


def polled(file: ConnectorFile, name: str, preset: Preset, ways: Ways) -> TriggerDescriptor:
    """The trigger as the catalog and the scheduler have it."""
    assert preset.poll
    trigger = _Trigger(file, preset.poll, ways)
    kinds: tuple[Kind, ...] = tuple(
        kind for kind in HTTP_KINDS if kind in (file.connection.kind, *file.connection.kinds)
    )
    return TriggerDescriptor(
        type=f"{file.connector}.{name}",
        name=f"{file.name}: {preset.name}",
        description=preset.description or f"{preset.name}: starts a run for each; trigger.body is what is new.",
        icon=file.icon,
        schema=trigger.schema,
        example=next(iter(preset.samples.values()), None),
        check=trigger.check,
        poll=Poll(run=trigger.run, source=trigger.source),
        connection=Uses(host=trigger.host, kinds=kinds, required=file.connection.required) if kinds else None,
    )


class _Trigger:
    def __init__(self, file: ConnectorFile, poll: Polled, ways: Ways) -> None:
        self._file = file
        self._poll = poll
        self._ways = ways
        self._fields = schema_of_fields(poll.input)
        self.schema = _with_pace(self._fields, poll)

    def check(self, config: JsonObject) -> dict[str, str]:
        """What is wrong with a config as saved, by path."""
        found = problems(self.schema, config, rendered=True)
        start = config.get("start_from", "now")
        if "start_from" not in found and (wrong := start_problem(str(start), dated=bool(self._poll.cursor))):
            found["start_from"] = wrong
        return found

    def source(self, config: JsonObject) -> Json:
        """All but how often and how much."""
        return {name: value for name, value in config.items() if name not in PACE}

    def host(self, config: JsonObject) -> str:
        """Where a config leads; empty where it does not say."""
        try:
            return fixed_host(fill_base(self._file.base_url, config))
        except BadConfig:
            return ""

    async def run(self, config: JsonObject, context: PollContext) -> Found:
        """What the service has. Raises PollFailed."""
        poll = self._poll
        overlap_s = poll.cursor.overlap_s if poll.cursor else 0
        cursor: JsonObject = {"cursor": before(context.place.cursor, overlap_s)} if context.place.cursor else {}
        try:
            given = read(self._fields, self._own(config))
            base = self._file.base_url.rstrip("/")
            sent = filled(base, poll.request, {"input": given, **cursor}, self._file.hosts)
        except BadConfig as error:
            raise PollFailed("bad_config", str(error)) from None
        sent = self._with_headers(sent)
        said = {name: config[name] for name in PACE if name in config}
        found = await self._ways.ask(
            Asking(
                config={"every_s": poll.every_s, "max_items": poll.max_items, **said, **_as_http_poll(poll)},
                request=sent,
                asks_from_cursor=any(slot.name == "cursor" for slot in slots(msgspec.to_builtins(poll.request))),
            ),
            context,
        )
        if not poll.detail or (context.beginning and config.get("start_from", "now") == "now"):
            return found
        most = said.get("max_items", poll.max_items)
        return await self._detailed(found, sent, context, most if isinstance(most, int) else poll.max_items)

    async def _detailed(self, found: Found, sent: JsonObject, context: PollContext, most: int) -> Found:
        """With the whole of those that may start runs: the oldest that are new, as many as one poll may take."""
        fresh = {item.key for item in [item for item in found.items if not context.is_known(item)][:most]}
        items = [await self._whole(item, sent, context) if item.key in fresh else item for item in found.items]
        return msgspec.structs.replace(found, items=tuple(items))

    async def _whole(self, item: Item, sent: JsonObject, context: PollContext) -> Item:
        assert self._poll.detail
        fields = item.body if isinstance(item.body, dict) else {}
        try:
            url = self._file.base_url.rstrip("/") + fill_path(self._poll.detail, fields)
        except BadConfig as error:
            raise PollFailed("no_detail", str(error)) from None
        headers = sent.get("headers")
        own = [(name, str(value)) for name, value in headers.items()] if isinstance(headers, dict) else []
        request = HttpRequest(method="GET", url=url, headers=own, timeout_s=TIMEOUT_S, max_bytes=MAX_ANSWER)
        return msgspec.structs.replace(item, body=await self._ways.whole(request, context))

    def _own(self, config: JsonObject) -> JsonObject:
        return {name: value for name, value in config.items() if name not in PACE}

    def _with_headers(self, sent: JsonObject) -> JsonObject:
        own = sent.get("headers")
        headers = {**fill_fields(self._file.headers, {}), **(own if isinstance(own, dict) else {})}
        return {**{name: sent[name] for name in sent if name != "body_type"}, "headers": headers}


def _as_http_poll(poll: Polled) -> JsonObject:
    """The settings of http.poll, whose paths begin with `body`."""
    found: JsonObject = {"key": poll.key, "changed_by": list(poll.changed_by), "order": poll.order, "rows": poll.rows}
    found["items"] = f"body.{poll.items}" if poll.items else "body"
    if poll.cursor:
        found["cursor"] = {"path": poll.cursor.path}
    if poll.next_page:
        page = poll.next_page
        found["next_page"] = {"token": f"body.{page.token}", "param": page.param, "in": page.in_}
    return found


def _with_pace(fields: JsonObject, poll: Polled) -> JsonObject:
    own = fields["properties"]
    assert isinstance(own, dict)
    every: Json = {
        "type": "integer", "title": "Every so many seconds", "minimum": LEAST_S, "maximum": MAX_EVERY_S,
        "default": poll.every_s,
    }  # fmt: skip
    start: Json = {
        "type": "string", "title": "Start from", "default": "now",
        "description": "What the first poll does with what is there: now (nothing of it starts a run), all, or a date",
    }  # fmt: skip
    most: Json = {
        "type": "integer", "title": "Items of one poll at most; the rest follows at once", "minimum": 1,
        "maximum": MAX_ITEMS, "default": poll.max_items,
    }  # fmt: skip
    return {**fields, "properties": {**own, "every_s": every, "start_from": start, "max_items": most}}
