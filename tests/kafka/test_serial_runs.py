"""Serial zaps: one run at a time for each key, in the order of their requests, whatever fails or restarts."""

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Literal
from uuid import UUID

import msgspec
import pytest
from aiohttp import web

from domain.flow.retry import FixedRetry
from domain.flow.steps import ActionStep
from domain.log.event import Appended, StreamKind
from domain.run.events import RunCancelled, RunCompleted, RunResumed, StepAttemptFailed, StepSucceeded
from domain.values.json import JsonObject
from domain.zap.settings import Concurrency, ZapSettings
from tests.support.bench import Bench, at_work
from tests.support.broker import Broker
from tests.support.builders import an_append
from tests.support.eventually import eventually

RETRY = FixedRetry(delays_s=(1.0,) * 50)


class Order:
    """A target that writes down which run of which key came when, and fails as often as it is told to."""

    def __init__(self) -> None:
        self.url = ""
        self.chance = random.Random(0)
        self.failing = 0.0
        self.hold: asyncio.Event | None = None
        self.arrivals: defaultdict[str, list[int]] = defaultdict(list)
        self.done: defaultdict[str, list[int]] = defaultdict(list)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.arrivals[body["key"]].append(body["n"])
        if self.hold:
            await self.hold.wait()
        if self.chance.random() < self.failing:
            return web.Response(status=500)
        self.done[body["key"]].append(body["n"])
        return web.Response()

    def step(self, step_id: str = "send") -> ActionStep:
        body: JsonObject = {"key": "{{ trigger.body.key }}", "n": "{{ trigger.body.n }}"}
        return ActionStep(step_id, "http.request", {"url": self.url, "body": body}, retry=RETRY)


@pytest.fixture
async def order() -> AsyncIterator[Order]:
    order = Order()
    app = web.Application()
    app.router.add_post("/", order.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    order.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield order
    if order.hold:
        order.hold.set()
    await runner.cleanup()


def serial(**fields: object) -> ZapSettings:
    return ZapSettings(concurrency=msgspec.convert({"mode": "serial", **fields}, Concurrency))


async def ended(bench: Bench, runs: Sequence[UUID], status: str = "zap.run.completed") -> bool:
    streams = await bench.store.read_streams(StreamKind.RUN, list(runs))
    return all(events[-1].type == status for events in streams.values())


async def send(bench: Bench, zap: UUID, key: str, *numbers: int) -> list[UUID]:
    return [await bench.request(zap, json.dumps({"key": key, "n": n})) for n in numbers]


async def test_a_run_waits_for_the_one_before_it_retries_included(bench: Bench, order: Order) -> None:
    zap = await bench.publish(order.step("one"), order.step("two"), settings=serial())
    order.failing = 1.0
    first, second, third = await send(bench, zap, "k", 1, 2, 3)
    await bench.has(first, StepAttemptFailed)
    order.failing = 0.0
    assert [len(await bench.events(run)) for run in (second, third)] == [1, 1]
    bench.clock.forward(2)
    await bench.fire()
    done = (StepSucceeded, StepSucceeded, RunCompleted)
    await bench.has(first, StepAttemptFailed, RunResumed, *done)
    await bench.has(second, *done)
    await bench.has(third, *done)
    assert order.arrivals["k"] == [1, 1, 1, 2, 2, 3, 3]


async def test_a_queued_run_that_is_cancelled_gives_its_place_up(bench: Bench, order: Order) -> None:
    zap = await bench.publish(order.step(), settings=serial())
    order.hold = asyncio.Event()
    runs = await send(bench, zap, "k", 1, 2, 3)
    await eventually(lambda: order.arrivals["k"] == [1])
    cancelled = an_append(RunCancelled(), stream_id=runs[1], expected=1, ordering_key=zap)
    assert isinstance(await bench.store.append(cancelled), Appended)
    order.hold.set()
    await bench.has(runs[2], StepSucceeded, RunCompleted)
    await bench.has(runs[1], RunCancelled)
    assert order.arrivals["k"] == [1, 3]


async def test_one_key_waits_and_the_others_do_not(bench: Bench, order: Order) -> None:
    zap = await bench.publish(order.step(), settings=serial(key="{{ trigger.body.key }}"))
    order.hold = asyncio.Event()
    await send(bench, zap, "stuck", 1, 2)
    await eventually(lambda: order.arrivals["stuck"] == [1])
    hold, order.hold = order.hold, None
    others = [run for key in "abcdef" for run in await send(bench, zap, key, 1, 2)]
    await eventually(lambda: ended(bench, others))
    assert order.arrivals["stuck"] == [1]
    hold.set()


async def test_requests_without_the_key_are_in_order_among_themselves(bench: Bench, order: Order) -> None:
    zap = await bench.publish(order.step(), settings=serial(key="{{ trigger.body.customer.id }}"))
    runs = await send(bench, zap, "none", *range(10))
    await eventually(lambda: ended(bench, runs))
    assert order.done["none"] == list(range(10))


async def busy(bench: Bench, order: Order, what_then: Literal["drop_new", "cancel_old"]) -> tuple[UUID, UUID, UUID]:
    """A zap whose first run is held while another one comes."""
    zap = await bench.publish(order.step(), settings=serial(when_busy=what_then))
    (first,) = await send(bench, zap, "k", 1)
    await eventually(lambda: order.arrivals["k"] == [1])
    (second,) = await send(bench, zap, "k", 2)
    return zap, first, second


async def test_a_busy_zap_may_drop_what_is_new(bench: Bench, order: Order) -> None:
    order.hold = asyncio.Event()
    zap, first, second = await busy(bench, order, "drop_new")
    (dropped,) = await bench.has(second, RunCancelled)
    assert isinstance(dropped, RunCancelled)
    assert (dropped.code, str(first) in dropped.message) == ("busy", True)
    order.hold.set()
    await bench.has(first, StepSucceeded, RunCompleted)
    (third,) = await send(bench, zap, "k", 3)
    await bench.has(third, StepSucceeded, RunCompleted)


async def test_a_busy_zap_may_cancel_what_is_old(bench: Bench, order: Order) -> None:
    order.hold = asyncio.Event()
    _zap, first, second = await busy(bench, order, "cancel_old")
    (cancelled,) = await bench.has(first, RunCancelled)
    assert isinstance(cancelled, RunCancelled)
    assert cancelled.code == "superseded"
    await eventually(lambda: order.arrivals["k"] == [1, 2])
    order.hold.set()
    await bench.has(second, StepSucceeded, RunCompleted)


async def test_a_limit_bounds_the_actions_of_a_parallel_zap(bench: Bench, order: Order) -> None:
    settings = ZapSettings(concurrency=Concurrency(limit=3))
    zap = await bench.publish(order.step(), settings=settings)
    order.hold = asyncio.Event()
    runs = await send(bench, zap, "k", *range(12))
    await eventually(lambda: len(order.arrivals["k"]) == 3)
    healthy = await bench.publish(order.step())
    hold, order.hold = order.hold, None
    (other,) = await send(bench, healthy, "other", 1)
    await bench.has(other, StepSucceeded, RunCompleted)
    assert len(order.arrivals["k"]) == 3
    hold.set()
    await eventually(lambda: ended(bench, runs))


async def test_the_order_of_each_key_holds_through_failures_and_restarts(
    dsn: str, broker: Broker, order: Order
) -> None:
    order.failing = 0.3
    async with at_work(dsn, broker, runner=False) as bench:
        zap = await bench.publish(order.step(), settings=serial(key="{{ trigger.body.key }}"))
        keys = [f"key{n}" for n in range(12)]
        runs = [run for n in range(10) for key in keys for run in await send(bench, zap, key, n)]

        async def have_done(enough: int) -> bool:
            bench.clock.forward(0.5)
            await bench.fire()
            return sum(map(len, order.done.values())) >= enough

        for enough in (30, 60, 90):
            async with bench.another_runner() as dies:
                await eventually(partial(have_done, enough))
                dies.cancel()
        async with bench.another_runner():
            await eventually(partial(have_done, len(runs)))
            await eventually(lambda: ended(bench, runs))
        waiting = await bench.store.pool.fetchval("select count(*) from proj.serial_runs")
    for key in keys:
        # One cut short by a death comes again, with the same key; none overtakes another.
        assert order.arrivals[key] == sorted(order.arrivals[key])
        assert sorted(set(order.done[key])) == list(range(10))
    assert waiting == 0


async def test_a_zap_may_become_parallel_while_its_serial_runs_wait(bench: Bench, order: Order) -> None:
    """Both kinds of runs share the zap's ordering key then."""
    zap = await bench.publish(order.step(), settings=serial())
    order.hold = asyncio.Event()
    queued = await send(bench, zap, "old", 1, 2)
    await eventually(lambda: order.arrivals["old"] == [1])
    await bench.publish(order.step(), settings=ZapSettings(concurrency=Concurrency(limit=10)), zap_id=zap)
    hold, order.hold = order.hold, None
    new = await send(bench, zap, "new", 1, 2, 3)
    await eventually(lambda: ended(bench, new))
    assert order.arrivals["old"] == [1]
    hold.set()
    await eventually(lambda: ended(bench, queued))


async def test_a_run_that_can_not_be_read_holds_up_its_own_queue_only(bench: Bench, order: Order) -> None:
    zap = await bench.publish(order.step(), settings=serial(when_busy="cancel_old"))
    order.hold = asyncio.Event()
    (unreadable,) = await send(bench, zap, "k", 1)
    await eventually(lambda: order.arrivals["k"] == [1])
    async with bench.store.pool.acquire() as connection:
        await connection.execute("set session_replication_role = replica")
        await connection.execute("update es.events set schema_version = 99 where stream_id = $1", unreadable)
        await connection.execute("set session_replication_role = origin")
    await send(bench, zap, "k", 2)
    hold, order.hold = order.hold, None
    healthy = await bench.publish(order.step(), settings=serial())
    (other,) = await send(bench, healthy, "other", 1)
    await bench.has(other, StepSucceeded, RunCompleted)
    hold.set()


@pytest.mark.parametrize("when_busy", ["queue", "drop_new", "cancel_old"])
async def test_a_run_that_retention_has_dropped_from_the_middle_of_a_queue_holds_up_nobody(
    bench: Bench, order: Order, when_busy: str
) -> None:
    zap = await bench.publish(order.step(), settings=serial())
    order.hold = asyncio.Event()
    runs = await send(bench, zap, "k", 1, 2)
    await eventually(lambda: order.arrivals["k"] == [1])
    cancelled = an_append(RunCancelled(), stream_id=runs[1], expected=1, ordering_key=zap)
    assert isinstance(await bench.store.append(cancelled), Appended)
    await drop(bench, runs[1])
    await bench.publish(order.step(), settings=serial(when_busy=when_busy), zap_id=zap)
    (third,) = await send(bench, zap, "k", 3)
    healthy = await bench.publish(order.step())
    others = await send(bench, healthy, "other", *range(8))
    order.hold.set()
    await eventually(lambda: ended(bench, others))
    if when_busy != "drop_new":
        await bench.has(third, StepSucceeded, RunCompleted)
    (fourth,) = await send(bench, zap, "k", 4)
    await bench.has(fourth, StepSucceeded, RunCompleted)


async def drop(bench: Bench, run_id: UUID) -> None:
    """What retention does to a run whose time is over."""
    async with bench.store.pool.acquire() as connection:
        await connection.execute("set session_replication_role = replica")
        await connection.execute("delete from es.events where stream_id = $1", run_id)
        await connection.execute("set session_replication_role = origin")
