"""Triggers that poll: each new item is one run, whoever polls, and whatever happens in between."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import web

from consumers.connectors import catalog
from consumers.connectors.http import poll as http_poll
from consumers.dialogues.dialogues import Dialogues
from consumers.outbound.addresses import parse_networks
from consumers.outbound.client import Outbound
from domain.aggregates import ZAP
from domain.log.stream import load_of
from domain.values.json import JsonObject
from domain.zap.definition import Definition, Trigger
from domain.zap.zap import ChangeDraft, EnableZap, PauseZap, PublishZap
from sql.process.clock import now
from sql.tables.polls import PollTables
from tests.support.builders import TENANT
from tests.support.polled import PolledApi, World, polled_api
from tests.support.stores import patient_store


@pytest.fixture
async def world(dsn: str) -> AsyncIterator[World]:
    async with (
        patient_store(dsn) as store,
        Outbound(parse_networks("127.0.0.0/8")) as http,
        polled_api() as api,
        aclosing(Dialogues(())) as dialogues,
    ):
        yield World(store, http, dialogues, api)


def config(api: PolledApi, **fields: Any) -> JsonObject:
    return {"request": {"url": api.url}, "items": "body.results", "every_s": 60, **fields}


def items(*numbers: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"id": number, **fields} for number in numbers]


async def test_what_is_there_at_first_starts_nothing_and_later_items_start_runs_oldest_first(
    world: World,
) -> None:
    world.api.items = items(3, 2, 1)
    await world.publish(config(world.api))
    await world.poll()
    assert await world.ids() == []
    world.api.items = items(5, 4, 3, 2, 1)
    await world.poll()
    await world.poll()
    assert await world.ids() == [4, 5]
    told = await world.ticks()
    assert [(tick.status, tick.new_items, len(tick.run_ids)) for tick in told] == [
        ("empty", 0, 0), ("fired", 2, 2), ("empty", 0, 0),
    ]  # fmt: skip
    assert {tick.kind for tick in told} == {"poll"}


@pytest.mark.parametrize(("start", "ids"), [("all", [1, 2, 3]), ("2026-01-02", [2, 3]), ("now", [])])
async def test_the_first_poll_starts_what_it_is_told_to(world: World, start: str, ids: list[int]) -> None:
    world.api.items = [{"id": day, "at": f"2026-01-0{day}T10:00:00Z"} for day in (3, 2, 1)]
    await world.publish(config(world.api, start_from=start, cursor={"path": "at"}))
    await world.poll()
    await world.poll()
    assert await world.ids() == ids


async def test_fourteen_items_of_one_moment_over_pages_start_one_run_each(world: World) -> None:
    """With a page boundary among them, a sender whose clock is fast, and a publish in between."""
    world.api.page_size = 4
    world.api.items = [{"id": 0, "at": "2026-01-01T00:00:00Z"}]
    asks = {"url": world.api.url, "query": {"since": "{{ cursor | default: '' }}"}}
    settings = config(world.api, request=asks, cursor={"path": "at", "overlap_s": 120}, next_page={"link": "body.next"})
    zap_id = await world.publish(settings)
    await world.poll()
    fast = (world.moment + timedelta(days=3)).isoformat()
    same = [{"id": number, "at": "2026-11-01T12:00:00Z"} for number in range(1, 15)]
    world.api.items = [{"id": 99, "at": fast}, *same[:9], world.api.items[0]]
    await world.poll()
    changed = Definition(Trigger("http.poll", {**settings, "every_s": 30, "max_items": 500}))
    await world.execute(zap_id, ChangeDraft("renamed", changed))
    await world.execute(zap_id, PublishZap())
    world.api.items = [world.api.items[0], *same, {"id": 0, "at": "2026-01-01T00:00:00Z"}]
    await world.poll()
    await world.poll()
    assert sorted(await world.ids()) == [*range(1, 15), 99]
    assert world.api.asked[0] == {}
    latest = [asked["since"] for asked in world.api.asked if "since" in asked][-1]
    assert latest < (world.moment + timedelta(seconds=1)).isoformat()  # a fast clock does not hide what comes next


async def test_two_schedulers_poll_a_source_once_per_turn(world: World) -> None:
    polls, other = world.another()
    world.api.items = items(1)
    await world.publish(config(world.api))
    for turn in range(1, 6):
        world.api.items = items(*range(turn, 0, -1))
        world.moment += timedelta(seconds=60)
        await asyncio.gather(world.scheduler.fire_due(world.moment), other.fire_due(world.moment))
        await world.polls.settle()
        await polls.settle()
    assert len(world.api.asked) == 5
    assert await world.ids() == [2, 3, 4, 5]


async def test_a_scheduler_that_dies_behind_the_runs_starts_none_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.api.items = items(1)
    await world.publish(config(world.api, changed_by=["state"]))
    await world.poll()
    world.api.items = items(3, 2, 1, state="a")

    async def dies(*_arguments: object) -> bool:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(PollTables, "save", dies)
        await world.poll()
    assert await world.ids() == [1, 2, 3]
    await world.poll(3_600)
    assert await world.ids() == [1, 2, 3]
    fired = [tick for tick in await world.ticks() if tick.status == "fired"]
    assert [(tick.new_items, len(tick.run_ids)) for tick in fired] == [(3, 3)]


async def test_an_item_that_changes_is_new_each_time_also_when_it_changes_back(world: World) -> None:
    world.api.items = items(1, state="open")
    await world.publish(config(world.api, changed_by=["state"]))
    for state in ("open", "closed", "closed", "open", "closed"):
        world.api.items = items(1, state=state, seen=random.random())
        await world.poll()
    assert [body["state"] for body in await world.bodies()] == ["closed", "open", "closed"]


async def test_more_than_a_poll_may_take_follows_at_once(world: World) -> None:
    world.api.items = items(*range(14, 0, -1))
    world.api.page_size = 4
    await world.publish(config(world.api, start_from="all", max_items=5, next_page={"link": "body.next"}))
    for _ in range(4):
        await world.poll(2)
    assert await world.ids() == list(range(1, 15))


@pytest.mark.parametrize("pages", [100, 2])
async def test_a_list_that_grows_at_its_end_is_read_to_its_end(
    world: World, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    """Also where one poll does not come to the end: the next ones go on there, and that is still the beginning."""
    monkeypatch.setattr(http_poll, "MAX_PAGES", pages)
    world.api.page_size = 4
    world.api.items = items(*range(1, 23))
    await world.publish(config(world.api, order="oldest_first", next_page={"link": "body.next"}))
    for _ in range(4):
        await world.poll(2)
    assert await world.ids() == []
    world.api.items = items(*range(1, 25))
    for _ in range(5):
        await world.poll(60)
    assert await world.ids() == [23, 24]


async def test_a_token_in_the_body_leads_through_all_pages_and_one_that_is_lost_costs_no_item(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pages a poll: the third is asked for by the next one, which is refused; so the first two are passed again."""
    monkeypatch.setattr(http_poll, "MAX_PAGES", 2)
    world.api.page_size = 4
    world.api.items = items(1)
    asks = {"url": world.api.url, "method": "POST", "body": {"sorts": ["-id"]}}
    by_token = {"token": "body.next", "param": "after", "in": "body"}
    await world.publish(config(world.api, request=asks, next_page=by_token))
    await world.poll()
    world.api.items, world.api.lost = items(*range(15, 0, -1)), {"8"}
    for _ in range(5):
        await world.poll(600)
    assert sorted(await world.ids()) == list(range(2, 16))
    world.api.items = items(17, 16, *range(15, 0, -1))
    asked = len(world.api.asked)
    await world.poll(600)
    assert sorted(await world.ids()) == list(range(2, 18))
    assert len(world.api.asked) == asked + 1, "nothing new is behind a page that ends with what is known"


async def test_polls_that_find_nothing_do_not_fill_the_log(world: World) -> None:
    world.api.items = items(1)
    await world.publish(config(world.api))
    for _ in range(180):
        await world.poll(60)
    told = await world.ticks()
    assert {tick.status for tick in told} == {"empty"}
    assert len(told) <= 4
    world.api.items = items(2, 1)
    await world.poll(60)
    told = await world.ticks()
    assert sum(tick.count for tick in told) == 181
    assert told[-1].status == "fired"


async def test_a_source_that_says_that_nothing_has_changed_is_believed(world: World) -> None:
    world.api.items, world.api.etag = items(1), '"one"'
    await world.publish(config(world.api))
    await world.poll()
    await world.poll()
    assert [headers.get("if-none-match") for headers in world.api.headers] == [None, '"one"']
    world.api.items, world.api.etag = items(2, 1), '"two"'
    await world.poll()
    assert await world.ids() == [2]


async def test_failures_are_told_come_later_and_later_and_are_flagged(world: World) -> None:
    world.api.answer = web.Response(status=500)
    zap_id = await world.publish(config(world.api))
    pauses = []
    for _ in range(8):
        await world.poll(3_600)
        due = await world.store.pool.fetchval("select next_at from proj.polls")
        pauses.append((due - world.moment).total_seconds())
    assert pauses == [120, 240, 480, 960, 1920, 3600, 3600, 3600]
    told = await world.ticks()
    assert [tick.status for tick in told] == ["failed"] * 8
    assert told[0].detail == "http_500: the source answered 500"
    flags = (await load_of(world.store, ZAP, zap_id, TENANT)).state.flags
    assert [(flag.kind, flag.step_id) for flag in flags] == [("poll_failing", "trigger")]
    (health,) = await PollTables(world.store.pool).health(TENANT, zap_id)
    assert (health.failures, health.last_ok_at) == (8, None)
    world.api.answer, world.api.items = None, items(1)
    await world.poll(3_600)
    assert (await load_of(world.store, ZAP, zap_id, TENANT)).state.flags == ()
    world.api.answer = web.Response(status=429, headers={"Retry-After": "5000"})
    await world.poll(3_600)
    due = await world.store.pool.fetchval("select next_at from proj.polls")
    assert (due - world.moment).total_seconds() == 5_000


async def test_a_zap_that_is_paused_while_its_source_is_asked_starts_nothing(world: World) -> None:
    world.api.items = items(1)
    zap_id = await world.publish(config(world.api))
    await world.poll()
    world.api.items = items(2, 1)
    world.api.before_answer = lambda: world.execute(zap_id, PauseZap())
    await world.poll()
    assert await world.ids() == []
    world.api.before_answer = None
    await world.execute(zap_id, EnableZap())
    await world.poll()
    assert await world.ids() == [2]


FEED = """<?xml version="1.0"?><rss version="2.0"><channel><title>News</title>{}</channel></rss>"""
ENTRY = "<item><guid>{0}</guid><title>Number {0}</title><pubDate>Thu, 0{0} Jan 2026 10:00:00 GMT</pubDate></item>"


async def test_each_new_entry_of_a_feed_is_a_run(world: World) -> None:
    def says(*numbers: int) -> None:
        text = FEED.format("".join(ENTRY.format(number) for number in numbers))
        world.api.answer = web.Response(text=text, content_type="application/rss+xml")

    says(2, 1)
    await world.publish({"url": world.api.url, "every_s": 60}, "rss.feed")
    await world.poll()
    says(4, 3, 2, 1)
    await world.poll()
    await world.poll()
    bodies = await world.bodies()
    assert [(body["id"], body["title"]) for body in bodies] == [("3", "Number 3"), ("4", "Number 4")]
    assert bodies[0]["published"] == "2026-01-03T10:00:00+00:00"


LAUGHS = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><rss><channel><title>&b;</title></channel></rss>'


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (web.Response(text=LAUGHS, content_type="application/xml"), "not_a_feed: the answer is not a feed: XML with a"),
        (web.Response(body=b"x" * 100 * 2**20), "answer_too_large: "),
        (web.Response(text="<!doctype html><html><body>Hi</body></html>", content_type="text/html"), "not_a_feed: "),
        (web.Response(text="<html><body>Hi</body></html>", content_type="text/html"), "not_a_feed: "),
        (web.Response(body=b'<?xml version="1.0" encoding="utf-8"?><rss>\xff\xfe</rss>'), "not_a_feed: "),
        (web.Response(text=""), "not_a_feed: "),
        (web.Response(text="<rss><channel>" * 200), "not_a_feed: "),
        (web.Response(status=302, headers={"Location": "/again"}), "too_many_redirects: "),
        (web.Response(status=302, headers={"Location": "http://10.0.0.1/"}), "address_refused: "),
        (web.Response(status=404), "http_404: "),
    ],
)
async def test_a_hostile_answer_is_a_failed_poll_that_says_why(world: World, answer: web.Response, code: str) -> None:
    world.api.answer = answer
    await world.publish({"url": world.api.url, "every_s": 60}, "rss.feed")
    await world.poll()
    (told,) = await world.ticks()
    assert told.status == "failed"
    assert told.detail.startswith(code), told.detail
    assert await world.ids() == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (web.Response(text="<html></html>", content_type="text/html"), "answer_not_json: the answer is not JSON but"),
        (web.Response(text='{"results": 1}'), "no_items: there is no list at body.results"),
        (web.Response(text='{"results": [{"id": 1}, {}]}'), "no_key: item 1 of the list has nothing at id"),
        (web.Response(text='{"results": ' + "[" * 200), "answer_not_json: "),
    ],
)
async def test_an_answer_that_is_not_as_asked_for_says_what_is_wrong(
    world: World, answer: web.Response, code: str
) -> None:
    world.api.answer = answer
    await world.publish(config(world.api))
    await world.poll()
    (told,) = await world.ticks()
    assert told.detail.startswith(code), told.detail


async def test_a_source_that_hangs_delays_no_schedule(world: World) -> None:
    held = asyncio.Event()
    world.api.before_answer = held.wait
    await world.publish(config(world.api))
    await world.publish({"every_s": 60}, "schedule.every")
    await world.scheduler.fire_due(now())
    await world.scheduler.fire_due(now() + timedelta(seconds=61))
    assert await world.store.pool.fetchval("select count(*) from es.events where type = 'zap.run.requested'") == 1
    held.set()
    await world.polls.settle()


def test_the_catalog_has_the_polls_with_their_schema() -> None:
    for name in ("http.poll", "rss.feed"):
        trigger = catalog().triggers[name]
        assert trigger.poll is not None
        assert msgspec.json.encode(trigger.example)
