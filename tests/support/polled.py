"""Polls in tests: an API with a list in pages, which answers as it is told, and a scheduler whose time tests set."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from aiohttp import web

from consumers.connectors import catalog
from consumers.dialogues.dialogues import Dialogues
from consumers.outbound.client import Outbound
from consumers.outbound.targets import Targets
from consumers.scheduler.polls import Polls
from consumers.scheduler.source import Sources
from consumers.scheduler.timed_zaps import TimedZaps
from consumers.scheduler.timers import Scheduler
from domain.aggregates import ZAP
from domain.hook.request import trigger_data
from domain.log.event import Metadata, NewEvent
from domain.log.stream import facts, handle, load_of
from domain.registry import decode
from domain.run.events import RunRequested
from domain.values.json import JsonObject
from domain.zap import zap
from domain.zap.definition import Definition, Trigger
from domain.zap.ticks import TriggerTicked
from domain.zap.zap import CreateZap, PublishZap, ZapCommand
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id, now
from sql.tables.rate_limits import RateLimits
from tests.support.builders import TENANT


class PolledApi:
    """`items` are given in this order, `page_size` at a time, with the address of the next page in `next`, or to a POST
    with the token of the next page, which its body names as `after`.

    With `answer` it says that instead, whatever it is; `before_answer` is awaited first. `asked` has the query of
    each request. Tokens that are `lost` are refused, once.
    """

    def __init__(self) -> None:
        self.url = ""
        self.items: list[dict[str, Any]] = []
        self.page_size = 1_000
        self.answer: web.Response | None = None
        self.etag = ""
        self.before_answer: Callable[[], Awaitable[object]] | None = None
        self.asked: list[dict[str, str]] = []
        self.lost: set[str] = set()
        self.headers: list[dict[str, str]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        self.asked.append(dict(request.query))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.before_answer is not None:
            await self.before_answer()
        if self.answer is not None:
            return web.Response(status=self.answer.status, headers=self.answer.headers, body=self.answer.body)
        if self.etag and request.headers.get("If-None-Match") == self.etag:
            return web.Response(status=304)
        asked = await request.json() if request.method == "POST" else {}
        token = str(asked.get("after", request.query.get("start", "0")))
        if token in self.lost:
            self.lost.remove(token)
            return web.Response(status=410)
        start = int(token)
        page = self.items[start : start + self.page_size]
        behind = start + self.page_size
        following = f"?start={behind}" if behind < len(self.items) else None
        if asked:
            following = str(behind) if following else None
        headers = {"ETag": self.etag} if self.etag else {}
        return web.json_response({"results": page, "next": following}, headers=headers)


@asynccontextmanager
async def polled_api() -> AsyncIterator[PolledApi]:
    """The API on a free loopback port."""
    api = PolledApi()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", api.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        api.url = f"http://127.0.0.1:{runner.addresses[0][1]}/list"
        yield api
    finally:
        await runner.cleanup()


EVENTS = "select type, schema_version, data from es.events where type = $1 order by position"


class World:
    """A scheduler that polls, at a moment that tests set, and what it polls."""

    def __init__(self, store: PgEventStore, http: Outbound, dialogues: Dialogues, api: PolledApi) -> None:
        self.store = store
        self.api = api
        self.dialogues = dialogues
        self.http = http
        self.moment = now()
        self.polls, self.scheduler = self.another()

    def another(self) -> tuple[Polls, Scheduler]:
        """One more scheduler beside."""
        zaps = TimedZaps(self.store)
        limits = RateLimits(self.store.pool)
        targets = Targets(self.http, limits, clock=now, monotonic=self._seconds, random=random.random)
        sources = Sources(self.store, zaps, catalog(), targets, self.dialogues, clock=self._now, new_id=new_id)
        polls = Polls(self.store, sources, self._now)
        return polls, Scheduler(self.store, zaps, polls)

    def _now(self) -> datetime:
        return self.moment

    def _seconds(self) -> float:
        return self.moment.timestamp()

    async def poll(self, seconds: float = 60) -> None:
        """Time goes by, and what is due is polled."""
        self.moment += timedelta(seconds=seconds)
        await self.scheduler.fire_due(self.moment)
        await self.polls.settle()

    async def publish(self, config: JsonObject, kind: str = "http.poll") -> UUID:
        zap_id = new_id()
        command = CreateZap("z", Definition(Trigger(kind, config)))
        events = [NewEvent(new_id(), event) for event in zap.decide(command, zap.INITIAL)]
        await self.store.append(facts(zap_id, TENANT, *events, metadata=Metadata(actor="test"), expected=0))
        await self.execute(zap_id, PublishZap())
        return zap_id

    async def execute(self, zap_id: UUID, command: ZapCommand) -> None:
        loaded = await load_of(self.store, ZAP, zap_id, TENANT)
        await handle(self.store, new_id, loaded, lambda state: zap.decide(command, state), Metadata(actor="test"))

    async def bodies(self) -> list[Any]:
        """What the runs have as trigger.body, in their order."""
        found = [decode(*row) for row in await self.store.pool.fetch(EVENTS, "zap.run.requested")]
        runs = [event for event in found if isinstance(event, RunRequested)]
        assert {run.source for run in runs} <= {"poll"}
        return [trigger_data(run.request)["body"] for run in runs]

    async def values(self) -> list[Any]:
        """What runs of messages have as trigger.body.value."""
        return [body["value"] for body in await self.bodies()]

    async def ids(self) -> list[Any]:
        return [body["id"] for body in await self.bodies()]

    async def ticks(self) -> list[TriggerTicked]:
        found = [decode(*row) for row in await self.store.pool.fetch(EVENTS, "zap.trigger.ticked")]
        return [event for event in found if isinstance(event, TriggerTicked)]
