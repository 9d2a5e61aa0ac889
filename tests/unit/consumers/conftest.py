"""A client that may call this machine, and a target on it that answers as it is told."""

from collections.abc import AsyncIterator

import pytest

from consumers.outbound.addresses import parse_networks
from consumers.outbound.client import Outbound
from tests.support.raw_target import RawTarget, raw_target


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[Outbound]:
    async with Outbound(parse_networks("127.0.0.0/8")) as http:
        yield http


@pytest.fixture
async def target() -> AsyncIterator[RawTarget]:
    async with raw_target() as target:
        yield target
