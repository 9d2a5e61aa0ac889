"""The rate limits of targets, counted by the database for all processes together."""

import asyncio
from collections.abc import AsyncIterator
from random import Random
from uuid import UUID

import pytest

from consumers.outbound.addresses import parse_networks
from consumers.outbound.client import Outbound
from consumers.outbound.targets import Targets
from domain.connector.http_client import HttpClient, HttpRequest, Unreachable
from sql.postgres.pool import Pool, create_pool
from sql.process.clock import now
from sql.tables.rate_limits import RateLimits
from tests.support.sink import running_sink

ADA, BOB = UUID(int=1), UUID(int=2)


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    async with create_pool(dsn, "test", 4) as pool:
        yield pool


@pytest.fixture
async def http() -> AsyncIterator[Outbound]:
    async with Outbound(parse_networks("127.0.0.0/8")) as http:
        yield http


def process(http: Outbound, pool: Pool) -> Targets:
    """The targets of one process, in which no time passes."""
    return Targets(http, RateLimits(pool), clock=now, monotonic=lambda: 0.0, random=Random(1).random)


async def call(client: HttpClient, url: str) -> float | None:
    """When to come back, None when the call went out."""
    try:
        await client.request(HttpRequest(method="POST", url=url, body=b"", timeout_s=5))
    except Unreachable as error:
        if error.code != "rate_limited":
            raise
        return error.after_s
    return None


async def test_all_processes_together_keep_the_limit_and_who_waits_is_spread(http: Outbound, pool: Pool) -> None:
    async with running_sink() as sink:
        clients = [process(http, pool).of(ADA, 6) for _ in range(3)]
        waits = await asyncio.gather(*(call(clients[number % 3], sink.url) for number in range(90)))
        assert waits.count(None) == sink.count == 6
        assert sum(wait is not None for wait in waits) == 84
        assert max(wait or 0 for wait in waits) > 27 * 10
        for process_number in range(3):
            turns = [wait for wait in waits[process_number::3] if wait is not None]
            assert len({int(turn / 10) for turn in turns}) > len(turns) * 0.7


async def test_targets_and_tenants_have_limits_of_their_own(http: Outbound, pool: Pool) -> None:
    async with running_sink() as one, running_sink() as other:
        targets = process(http, pool)
        for client in (targets.of(ADA, 2), targets.of(BOB, 2)):
            for sink in (one, other):
                assert [await call(client, sink.url) is None for _ in range(3)] == [True, True, False]
        assert await call(targets.of(ADA, None), one.url) is None


async def test_a_database_that_is_away_sends_nothing_and_loses_nothing(http: Outbound, pool: Pool) -> None:
    async with running_sink() as sink:
        client = process(http, pool).of(ADA, 60)
        await pool.close()
        assert await call(client, sink.url)
        assert sink.count == 0
