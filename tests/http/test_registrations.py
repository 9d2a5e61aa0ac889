"""Hooks that their services are told of: once, also through crashes and failures, and never in the way of a publish."""

import asyncio
import hashlib
import hmac
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from aiohttp import web

from consumers.connectors import catalog, presets
from consumers.credentials.losses import connected
from consumers.dialogues.dialogues import Dialogues
from consumers.outbound.addresses import parse_networks
from consumers.outbound.client import Outbound
from consumers.outbound.targets import Targets
from consumers.registering.registrar import Registrar
from consumers.scheduler.polls import Polls
from consumers.scheduler.source import Sources
from consumers.scheduler.timed_zaps import TimedZaps
from consumers.scheduler.timers import Scheduler
from domain.starting.registering import Registering
from projections.engine.freshness import wait_until
from sql.log.event_store import PgEventStore
from sql.process.clock import new_id, now
from sql.tables.connectors import ConnectorTables
from sql.tables.rate_limits import RateLimits
from tests.support.api import ENCRYPTION_KEY, HOOK_URL, Person, running_api, sign_up
from tests.support.postgres import cloned_database
from tests.support.projected import following
from tests.support.service import HookService, hook_service
from tests.support.stores import patient_store

TOKEN = "canary-8f3a-token"
LOOPBACK = parse_networks("127.0.0.0/8")


class World:
    """An API, a service, and a scheduler whose time tests set."""

    def __init__(
        self, dsn: str, api: httpx.AsyncClient, store: PgEventStore, http: Outbound, service: HookService
    ) -> None:
        self.dsn = dsn
        self.api = api
        self.store = store
        self.service = service
        self.moment = now()
        self.targets = Targets(http, RateLimits(store.pool), clock=now, monotonic=self._seconds, random=random.random)
        self.polls, self.scheduler = self.another()

    def another(self) -> tuple[Polls, Scheduler]:
        """One more scheduler beside."""
        zaps = TimedZaps(self.store)
        sources = Sources(self.store, zaps, catalog(), self.targets, Dialogues(()), clock=self._now, new_id=new_id)
        registrar = Registrar(
            self.store,
            self._presets_of,
            self.targets,
            connected(self.store, ENCRYPTION_KEY, now, self.targets, new_id),
            ring=ENCRYPTION_KEY,
            public_url=HOOK_URL,
            clock=self._now,
            new_id=new_id,
        )
        polls = Polls(self.store, sources, self._now, registrar)
        return polls, Scheduler(self.store, zaps, polls)

    async def _presets_of(self, tenant_id: UUID, at: str) -> Registering | None:
        found = await presets(ConnectorTables(self.store.pool))(tenant_id, at)
        file = msgspec.structs.replace(found.file, base_url=self.service.url) if found else None
        return msgspec.structs.replace(found, file=file) if found and file else None

    def _now(self) -> datetime:
        return self.moment

    def _seconds(self) -> float:
        return self.moment.timestamp()

    async def settle(self, seconds: float = 0) -> None:
        """Time goes by, and what is due is done."""
        self.moment = max(self.moment, now()) + timedelta(seconds=seconds)
        await self.scheduler.fire_due(self.moment)
        await self.polls.settle()

    async def told(self) -> list[str]:
        """The names of what is on record of hooks."""
        names = "select type from es.events where type like 'zap.hook.%' order by position"
        return [row[0].removeprefix("zap.hook.") for row in await self.store.pool.fetch(names)]

    async def timers(self) -> int:
        count: int = await self.store.pool.fetchval("select count(*) from es.timers")
        return count


@pytest.fixture
async def world(postgres_server: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(cloned_database(postgres_server))
        service = await stack.enter_async_context(hook_service())
        api = await stack.enter_async_context(running_api(dsn, catalog=catalog(), outbound_allow=LOOPBACK))
        store = await stack.enter_async_context(patient_store(dsn))
        http = await stack.enter_async_context(Outbound(LOOPBACK))
        yield World(dsn, api, store, http, service)


@pytest.fixture
async def ada(world: World) -> Person:
    return await sign_up(world.api)


def trigger(connection: str | None, **given: Any) -> dict[str, Any]:
    wish = {"at": "github.webhook", "input": {"owner": "octocat", "repo": "hello", **given}}
    found: dict[str, Any] = {
        "type": "webhook.catch",
        "config": {"verification": {"preset": "github"}, "register": wish},
    }
    return found | ({"connection": connection} if connection else {})


async def connect(world: World, ada: Person) -> str:
    hosts = ["api.github.com", world.service.url.removeprefix("http://")]
    body = {"name": "G", "kind": "bearer", "config": {"hosts": hosts}, "secrets": {"token": TOKEN}}
    return str((await ada("POST", "/connections", json=body)).json()["id"])


async def published(world: World, ada: Person, **given: Any) -> dict[str, Any]:
    """A zap that is live, and whose service has not been told yet."""
    step = {"id": "stop", "kind": "stop", "as": "completed"}
    body = {"name": "z", "trigger": trigger(await connect(world, ada), **given), "steps": [step]}
    saved = await ada("POST", "/zaps", json=body)
    assert saved.status_code == 201, saved.text
    answer = await ada("POST", f"/zaps/{saved.json()['id']}/publish")
    assert answer.status_code == 200, answer.text
    zap: dict[str, Any] = answer.json()
    return zap


async def standing(ada: Person, zap: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await ada("GET", f"/zaps/{zap['id']}/registration")).json()
    return found


async def test_a_service_is_told_on_publish_and_on_pause_and_what_it_sends_starts_runs(
    world: World, ada: Person
) -> None:
    zap = await published(world, ada, events=["push", "issues"])
    assert (await standing(ada, zap))["status"] == "registering"
    await world.settle()
    ((number, hook),) = world.service.hooks.items()
    assert (hook["events"], hook["config"]["url"]) == (["push", "issues"], zap["hook_url"])
    assert world.service.tokens == {f"Bearer {TOKEN}"}
    found = await standing(ada, zap)
    assert (found["status"], found["at"], found["hook_id"]) == ("registered", "github.webhook", str(number))

    body = b'{"action": "opened"}'
    signed = "sha256=" + hmac.new(hook["config"]["secret"].encode(), body, hashlib.sha256).hexdigest()
    sent = {"content": body, "headers": {"Content-Type": "application/json", "X-Hub-Signature-256": signed}}
    assert (await world.api.post(zap["hook_url"], **sent)).json()["status"] == "accepted"  # type: ignore[arg-type]
    assert (await world.api.post(zap["hook_url"], content=body)).status_code == 401

    await ada("POST", f"/zaps/{zap['id']}/pause")
    assert (await standing(ada, zap))["status"] == "removing"
    await world.settle()
    assert world.service.hooks == {}
    assert (await standing(ada, zap))["status"] == "removed"
    await ada("POST", f"/zaps/{zap['id']}/enable")
    await world.settle()
    assert len(world.service.hooks) == 1
    await ada("DELETE", f"/zaps/{zap['id']}")
    await world.settle()
    assert world.service.hooks == {}
    assert await world.told() == ["called", "registered", "called", "removed"] * 2
    await world.settle(25 * 3_600)  # those of the days before have nothing to do
    assert await world.timers() == 0
    secret = hook["config"]["secret"]
    log = await world.store.pool.fetchval("select string_agg(convert_from(data, 'UTF8'), ' ') from es.events")
    assert secret not in log
    assert TOKEN not in log


async def test_a_version_that_changes_what_is_wanted_has_the_hook_made_anew_and_another_one_does_not(
    world: World, ada: Person
) -> None:
    zap = await published(world, ada, events=["push"])
    await world.settle()
    connection = (await ada("GET", f"/zaps/{zap['id']}")).json()["draft"]["trigger"]["connection"]
    for events, made in ((["push"], 1), (["issues"], 2), (["issues"], 2)):
        etag = (await ada("GET", f"/zaps/{zap['id']}")).headers["etag"]
        step = {"id": f"stop{made}", "kind": "stop", "as": "completed"}
        body = {"name": f"z{made}", "trigger": trigger(connection, events=events), "steps": [step]}
        changed = await ada("PUT", f"/zaps/{zap['id']}", json=body, headers={"If-Match": etag})
        assert changed.status_code == 200, changed.text
        await ada("POST", f"/zaps/{zap['id']}/publish")
        await world.settle()
        assert [hook["events"] for hook in world.service.hooks.values()] == [events]
        assert list(world.service.hooks) == [made]
    body = {"name": "z", "trigger": {"type": "webhook.catch"}, "steps": [step]}
    etag = (await ada("GET", f"/zaps/{zap['id']}")).headers["etag"]
    await ada("PUT", f"/zaps/{zap['id']}", json=body, headers={"If-Match": etag})
    await ada("POST", f"/zaps/{zap['id']}/publish")
    await world.settle()
    assert world.service.hooks == {}


async def test_a_scheduler_that_dies_behind_the_services_answer_leaves_one_hook(world: World, ada: Person) -> None:
    """The next one looks the hook up by its address, and has another secret and id than anybody knows of replaced."""
    zap = await published(world, ada)

    async def dies() -> None:
        for task in list(world.polls._under_way.values()):
            task.cancel()
        await asyncio.sleep(0)

    world.service.after_create = dies
    await world.settle()
    assert (len(world.service.hooks), await world.told()) == (1, ["called"])
    world.service.after_create = None
    polls, scheduler = world.another()
    for seconds in (3, 61, 10):
        world.moment += timedelta(seconds=seconds)
        await scheduler.fire_due(world.moment)
        await polls.settle()
    assert world.service.lead_to(zap["hook_url"]) == [2]
    assert (await standing(ada, zap))["hook_id"] == "2"


async def test_two_schedulers_and_a_pause_in_between_leave_what_is_wanted(world: World, ada: Person) -> None:
    zap = await published(world, ada)
    polls, scheduler = world.another()
    world.service.after_create = lambda: ada("POST", f"/zaps/{zap['id']}/pause")
    world.moment = now() + timedelta(seconds=1)
    await asyncio.gather(world.scheduler.fire_due(world.moment), scheduler.fire_due(world.moment))
    await asyncio.gather(world.polls.settle(), polls.settle())
    world.service.after_create = None
    await world.settle(3)
    assert world.service.hooks == {}
    assert await world.told() == ["called", "registered", "called", "removed"]


async def test_a_service_that_fails_is_asked_again_later_and_later_and_one_that_refuses_is_not(
    world: World, ada: Person
) -> None:
    world.service.refuses = web.json_response({"message": "try later"}, status=503)
    zap = await published(world, ada)
    await world.settle()
    found = await standing(ada, zap)
    assert (await ada("GET", f"/zaps/{zap['id']}")).json()["flags"] == [], "it is tried again"
    assert (found["status"], found["code"], found["failures"]) == ("failed", "http_503", 1)
    assert found["message"] == "the target answered 503: try later"
    await world.settle(5)
    assert (await standing(ada, zap))["failures"] == 1
    await world.settle(10)
    assert (await standing(ada, zap))["failures"] == 2
    world.service.refuses = web.json_response({"message": f"no hooks with {TOKEN}"}, status=422)
    await world.settle(60)
    found = await standing(ada, zap)
    assert (found["code"], found["next_at"]) == ("http_422", None)
    assert TOKEN not in found["message"]
    assert await world.timers() == 0
    (flag,) = (await ada("GET", f"/zaps/{zap['id']}")).json()["flags"]
    assert flag["kind"] == "unregistered"
    assert flag["detail"] == f"github.webhook is not told of the hook any more: {found['message']}"
    world.service.refuses = None
    assert (await ada("POST", f"/zaps/{zap['id']}/register")).status_code == 200
    await world.settle()
    assert (await standing(ada, zap))["status"] == "registered"
    assert (await ada("GET", f"/zaps/{zap['id']}")).json()["flags"] == []


async def test_a_hook_that_the_service_has_lost_is_made_anew_and_one_it_will_not_remove_is_told_of(
    world: World, ada: Person
) -> None:
    zap = await published(world, ada)
    await world.settle()
    world.service.hooks.clear()
    await world.settle(24 * 3_600 + 1)
    assert world.service.lead_to(zap["hook_url"]) == [2]
    assert (await ada("POST", f"/zaps/{zap['id']}/register")).status_code == 200
    await world.settle()
    assert world.service.lead_to(zap["hook_url"]) == [3]
    world.service.refuses = web.json_response({"message": "you may not"}, status=403)
    await ada("POST", f"/zaps/{zap['id']}/pause")
    await world.settle()
    found = await standing(ada, zap)
    assert (found["status"], found["message"]) == ("removed", "the target answered 403: you may not")
    refused = await ada("POST", f"/zaps/{zap['id']}/register")
    assert refused.json()["code"] == "wrong_status"


@pytest.mark.parametrize(
    "said", ["<html>Sign in</html>", '"later"', "17", ""], ids=["page", "text", "number", "nothing"]
)
async def test_a_service_that_does_not_say_which_hooks_it_has_gets_no_second_one(
    world: World, ada: Person, said: str
) -> None:
    """A page of its maintenance, say, with a 200."""
    zap = await published(world, ada)
    await world.settle()
    page = web.Response(text=said, content_type="text/html" if said.startswith("<") else "text/plain")
    world.service.lists = page
    await ada("POST", f"/zaps/{zap['id']}/register")
    await world.settle()
    assert ((await standing(ada, zap))["code"], len(world.service.hooks)) == ("answer_unreadable", 1)
    world.service.lists = None
    await world.settle(11)
    assert ((await standing(ada, zap))["status"], list(world.service.hooks)) == ("registered", [2])
    world.service.lists = page
    await world.settle(24 * 3_600 + 1)
    assert list(world.service.hooks) == [2]


async def test_a_hook_that_the_service_does_not_list_is_replaced_and_not_doubled(world: World, ada: Person) -> None:
    """As where it lists a hundred of many."""
    zap = await published(world, ada)
    await world.settle()
    world.service.lists = web.json_response([])
    for _day in range(3):
        await world.settle(24 * 3_600 + 1)
        assert len(world.service.lead_to(zap["hook_url"])) == 1


async def test_words_of_a_service_that_no_database_keeps_stop_nothing(world: World, ada: Person) -> None:
    world.service.refuses = web.Response(
        text='{"message": "a\\u0000b\\ud800c"}', content_type="application/json", status=422
    )
    zap = await published(world, ada)
    await world.settle()
    assert (await standing(ada, zap))["code"] == "http_422"
    assert len((await ada("GET", f"/zaps/{zap['id']}")).json()["flags"]) == 1
    async with following(world.dsn, world.store):
        assert await wait_until(world.store.pool, "zap_list", await world.store.head(), 10)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"register": {"at": "github.nothing"}}, "trigger.config.register.at"),
        ({"register": {"at": "github.webhook", "input": {"owner": "o"}}}, "trigger.config.register.input.repo"),
        ({"verification": {"preset": "none"}}, "trigger.config.verification"),
    ],
)
async def test_a_wish_that_cannot_be_carried_out_is_refused_with_its_place(
    world: World, ada: Person, changes: dict[str, Any], path: str
) -> None:
    wish = trigger(None)
    wish["config"] |= changes
    answer = await ada("POST", "/zaps", json={"name": "z", "trigger": wish, "steps": []})
    assert answer.status_code == 422
    paths = [error["path"] for error in answer.json()["errors"]]
    assert path in paths
    assert ("trigger.connection" in paths) == (path != "trigger.config.register.at")


async def test_a_zap_without_such_a_hook_has_none(world: World, ada: Person) -> None:
    body = {"name": "z", "trigger": {"type": "webhook.catch"}, "steps": []}
    zap = (await ada("POST", "/zaps", json=body)).json()
    assert (await standing(ada, zap))["status"] == "none"
    assert (await ada("POST", f"/zaps/{zap['id']}/register")).status_code == 409


FORGE = """
connector: forge
version: 1.0.0
name: Forge
base_url: {url}
connection: {{kind: bearer}}
triggers:
  webhook:
    name: Something happens
    config: {{verification: {{preset: header_token, header: X-Token}}}}
    register:
      input: {{topic: {{required: true}}}}
      find: {{request: {{path: /hooks}}, url: config.url, id: id}}
      create:
        method: POST
        path: /hooks
        json: {{topic: "{{{{ input.topic }}}}", config: {{url: "{{{{ hook.url }}}}", token: "{{{{ hook.secret }}}}"}}}}
      id: id
      remove: {{method: DELETE, path: "/hooks/{{hook_id}}"}}
"""


async def forge(world: World, ada: Person, file: str = FORGE) -> str:
    """A connector that the workspace adds, and a connection to its service."""
    uploaded = await ada("POST", "/connectors", json={"file": file.format(url=world.service.url)})
    assert uploaded.status_code == 201, uploaded.text
    body = {"name": "F", "kind": "bearer", "config": {}, "secrets": {"token": TOKEN}}
    return str((await ada("POST", "/connections", json=body)).json()["id"])


def forge_zap(connection: str, **given: Any) -> dict[str, Any]:
    verification = {"preset": "header_token", "header": "X-Token"}
    config = {"verification": verification, "register": {"at": "forge.webhook", "input": given}}
    start = {"type": "webhook.catch", "connection": connection, "config": config}
    return {"name": "z", "trigger": start, "steps": [{"id": "stop", "kind": "stop", "as": "completed"}]}


async def test_a_connector_of_the_workspace_is_told_of_hooks_like_those_that_come_along(
    world: World, ada: Person
) -> None:
    connection = await forge(world, ada)
    refused = await ada("POST", "/zaps", json=forge_zap(connection))
    assert [error["path"] for error in refused.json()["errors"]] == ["trigger.config.register.input.topic"]
    bob = await sign_up(world.api)
    theirs = await bob("POST", "/zaps", json=forge_zap(connection, topic="orders"))
    assert "trigger.config.register.at" in {error["path"] for error in theirs.json()["errors"]}
    zap = (await ada("POST", "/zaps", json=forge_zap(connection, topic="orders"))).json()
    published = await ada("POST", f"/zaps/{zap['id']}/publish")
    assert published.status_code == 200, published.text
    await world.settle()
    ((_number, hook),) = world.service.hooks.items()
    assert (hook["topic"], hook["config"]["url"]) == ("orders", zap["hook_url"])
    assert world.service.tokens == {f"Bearer {TOKEN}"}
    sent = await world.api.post(zap["hook_url"], json={}, headers={"X-Token": hook["config"]["token"]})
    assert sent.json()["status"] == "accepted"
    await ada("POST", f"/zaps/{zap['id']}/pause")
    await world.settle()
    assert world.service.hooks == {}


async def test_a_service_with_one_hook_keeps_the_one_that_has_taken_ours_place(world: World, ada: Person) -> None:
    """As Telegram has one for a bot, which it knows by its address."""
    one = FORGE.replace("id: id}}", "id: config.url}}").replace("      id: id\n", "").replace("{{hook_id}}", "1")
    connection = await forge(world, ada, one)
    zap = (await ada("POST", "/zaps", json=forge_zap(connection, topic="orders"))).json()
    for taken in (False, True):
        assert (await ada("POST", f"/zaps/{zap['id']}/{'enable' if taken else 'publish'}")).status_code == 200
        world.service.hooks.clear()
        world.service.begin(1)
        await world.settle()
        assert world.service.lead_to(zap["hook_url"]) == [1]
        assert (await standing(ada, zap))["hook_id"] == zap["hook_url"]
        if taken:
            world.service.hooks[1]["config"]["url"] = "https://other.example/hook"
        await ada("POST", f"/zaps/{zap['id']}/pause")
        await world.settle()
        assert list(world.service.hooks) == ([1] if taken else [])
