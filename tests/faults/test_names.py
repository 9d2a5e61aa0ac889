"""Names that can not be resolved, or not in time, fail an attempt as targets do: seen, classed and tried again."""

import asyncio
import socket
from functools import partial
from uuid import UUID

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from consumers.outbound.addresses import parse_networks
from consumers.outbound.client import Outbound
from consumers.outbound.names import LOOK_UPS
from domain.connector.http_client import HttpRequest, Unreachable
from tests.support.name_server import name_server
from tests.support.sink import running_sink

UNKNOWN = ""
LOOPBACK = parse_networks("127.0.0.0/8")


class StubResolver(AbstractResolver):
    """Answers each question with the next of `answers`: an address, that there is none, or None: nothing for ever."""

    def __init__(self, *answers: str | None) -> None:
        self._answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        answer = self._answers.pop(0)
        if answer is None:
            await asyncio.Event().wait()
        if not answer:
            raise OSError(socket.EAI_NONAME, "Name or service not known")
        return [ResolveResult(hostname=host, host=answer, port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        pass


def outbound(*answers: str | None) -> Outbound:
    return Outbound(LOOPBACK, names=lambda: StubResolver(*answers))


def post(url: str, timeout_s: float = 5) -> HttpRequest:
    return HttpRequest(method="POST", url=url, body=b"", timeout_s=timeout_s)


async def test_a_name_that_is_unknown_for_a_while_is_tried_again_and_then_reached() -> None:
    async with running_sink() as sink, outbound(UNKNOWN, "127.0.0.1") as http:
        url = sink.url.replace("127.0.0.1", "target.example")
        with pytest.raises(Unreachable) as refused:
            await http.request(post(url))
        assert (refused.value.code, refused.value.permanent) == ("dns", False)
        assert (await http.request(post(url))).status == 200


async def test_the_time_limit_covers_a_slow_name_server() -> None:
    async with outbound(None) as http:
        with pytest.raises(Unreachable) as refused:
            await http.request(post("http://target.example/", timeout_s=0.2))
        assert (refused.value.code, refused.value.permanent) == ("timeout", False)


async def test_names_that_are_never_answered_for_delay_no_other_tenant() -> None:
    """On a real socket: no thread is held, and of one tenant no more than some look-ups are under way."""
    async with running_sink() as sink, name_server() as server:
        names = partial(aiohttp.AsyncResolver, nameservers=[server.address], timeout=60, tries=2)
        port = sink.url.rpartition(":")[2]
        async with Outbound(LOOPBACK, names=names) as http:

            async def call(host: str, tenant: int) -> None:
                await http.request(post(f"http://{host}:{port}", timeout_s=100), UUID(int=tenant))

            dead = [asyncio.create_task(call(f"dead{number}.example", 1)) for number in range(60)]
            await server.silent.wait()
            for number in range(100):
                await call(f"live{number}.example", 2)
            assert len(server.asked & {f"dead{number}" for number in range(60)}) <= LOOK_UPS
            assert not any(task.done() for task in dead)
            for task in dead:
                task.cancel()
            await asyncio.gather(*dead, return_exceptions=True)
