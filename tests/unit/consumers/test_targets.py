"""Targets over the real client: a dead one is not called; healed ones and others are."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import cast
from uuid import UUID

import pytest

from consumers.connectors.http import request
from consumers.outbound import targets
from consumers.outbound.addresses import parse_networks
from consumers.outbound.circuit import FAILURES, OPEN_S
from consumers.outbound.client import Outbound
from consumers.outbound.targets import Targets
from domain.connector.descriptor import ActionContext
from domain.connector.http_client import HttpRequest, Unreachable
from domain.connector.outcome import Postponed, Retry, Succeeded
from sql.tables.rate_limits import RateLimits
from tests.support.clock import START, FixedClock
from tests.support.sink import Sink, running_sink

ADA, BOB = UUID(int=1), UUID(int=2)


class World:
    """Targets in a world whose time stands still until it is told to go on."""

    def __init__(self, http: Outbound) -> None:
        self.clock = FixedClock()
        self.targets = Targets(
            http,
            cast(RateLimits, None),
            clock=self.clock,
            monotonic=self.seconds,
            random=Random(1).random,
        )
        self._room = asyncio.Semaphore(100)

    def seconds(self) -> float:
        return (self.clock() - START).total_seconds()

    async def call(self, url: str, tenant: UUID = ADA, timeout_s: float = 45) -> str:
        """What came of one call: the status, or the code of the failure."""
        async with self._room:
            try:
                client = self.targets.of(tenant, None)
                reply = await client.request(HttpRequest(method="POST", url=url, body=b"{}", timeout_s=timeout_s))
            except Unreachable as error:
                return error.code
            return str(reply.status)

    async def calls(self, count: int, url: str, tenant: UUID = ADA) -> Counter[str]:
        return Counter(await asyncio.gather(*(self.call(url, tenant) for _ in range(count))))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with Outbound(parse_networks("127.0.0.0/8")) as http:
        yield World(http)


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    async with running_sink() as sink:
        yield sink


class Broken:
    """A server that hangs up on whoever connects."""

    def __init__(self) -> None:
        self.url = ""
        self.connections = 0

    async def hang_up(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()


@asynccontextmanager
async def running_broken() -> AsyncIterator[Broken]:
    broken = Broken()
    server = await asyncio.start_server(broken.hang_up, "127.0.0.1")
    async with server:
        broken.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        yield broken


async def test_a_dead_target_is_not_called_by_each_of_thousands_and_others_are(world: World, sink: Sink) -> None:
    async with running_broken() as broken:
        dead, alive = await asyncio.gather(world.calls(5_000, broken.url), world.calls(200, sink.url))
        assert FAILURES <= broken.connections <= 100 + FAILURES
    assert dead["circuit_open"] == 5_000 - dead["broken"] >= 4_880
    assert alive == {"200": 200}
    assert sink.count == 200


async def test_a_target_that_heals_is_called_again_a_few_at_first(world: World, sink: Sink) -> None:
    sink.status = 500
    await world.calls(FAILURES, sink.url)
    sink.status = 200
    assert await world.calls(50, sink.url) == {"circuit_open": 50}
    world.clock.advance(OPEN_S * 1.3)
    assert await world.calls(50, sink.url) == {"circuit_open": 49, "200": 1}
    for _ in range(9):
        await world.calls(50, sink.url)
    assert await world.calls(100, sink.url) == {"200": 100}


async def test_no_tenant_shuts_a_target_for_another(world: World, sink: Sink) -> None:
    sink.status = 500
    await world.calls(2 * FAILURES, sink.url)
    assert await world.calls(1, sink.url) == {"circuit_open": 1}
    assert await world.calls(1, sink.url, BOB) == {"500": 1}


async def test_one_target_is_a_host_and_port_however_it_is_written(world: World, sink: Sink) -> None:
    sink.status = 503
    await world.calls(FAILURES, sink.url)
    for url in (sink.url + "/other?x=1", sink.url.upper().replace("/IN", "")):
        assert await world.call(url) == "circuit_open"


@pytest.mark.parametrize("status", [429, 503])
async def test_a_target_that_asks_for_peace_gets_it(world: World, sink: Sink, status: int) -> None:
    sink.status, sink.headers = status, {"Retry-After": "120"}
    assert await world.call(sink.url) == str(status)
    sink.status = 200
    world.clock.advance(119)
    assert await world.call(sink.url) == "circuit_open"
    world.clock.advance(1)
    assert await world.call(sink.url) == "200"


@pytest.mark.parametrize("status", [200, 301, 400, 404, 409, 410])
async def test_a_target_that_answers_is_alive_whatever_it_says(world: World, sink: Sink, status: int) -> None:
    sink.status = status
    assert await world.calls(3 * FAILURES, sink.url) == {str(status): 3 * FAILURES}


async def test_a_target_that_hangs_is_given_up_also_by_who_has_a_deadline(world: World, sink: Sink) -> None:
    sink.delay_s = 60
    calls = [asyncio.create_task(world.call(sink.url)) for _ in range(FAILURES)]
    await sink.arrived.wait()
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert await world.call(sink.url) == "circuit_open"


@pytest.mark.parametrize(
    "url", ["", "x", "http://", "http://[::1", "http://a:99999999/", "http://\ud800/", "http://10.0.0.1/"]
)
async def test_what_can_never_be_sent_says_nothing_about_a_target(world: World, url: str) -> None:
    for _ in range(2 * FAILURES):
        assert await world.call(url) in ("bad_url", "bad_request", "address_refused", "dns")


async def test_targets_are_forgotten_and_memory_is_bounded(
    world: World, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "CAPACITY", 5)
    sink.status = 500
    await world.calls(FAILURES, sink.url)
    for number in range(20):
        await world.call(f"http://10.0.0.{number}/")
        assert await world.call(sink.url) == "circuit_open"
    assert len(world.targets._targets) == 5


async def test_the_http_action_is_postponed_where_nothing_was_sent(world: World, sink: Sink) -> None:
    context = ActionContext(world.targets.of(ADA, None), "key", UUID(int=3), world.clock)
    sink.status = 500
    outcomes = [await request({"url": sink.url}, context) for _ in range(FAILURES + 1)]
    assert {type(outcome) for outcome in outcomes[:-1]} == {Retry}
    last = outcomes[-1]
    assert isinstance(last, Postponed)
    assert last.code == "circuit_open"
    assert last.after_s > OPEN_S / 2
    assert sink.count == FAILURES
    sink.status = 200
    world.clock.advance(OPEN_S * 1.3)
    assert isinstance(await request({"url": sink.url}, context), Succeeded)
