"""Names that can not be resolved, or not in time, fail an attempt as targets do: seen, classed and tried again."""

import asyncio
import socket
import time

import pytest
from aiohttp.abc import ResolveResult

from consumers.outbound.addresses import parse_networks
from consumers.outbound.client import GuardedResolver, Outbound
from domain.connector.descriptor import Unreachable
from tests.support.sink import running_sink

UNKNOWN = ""
LOOPBACK = parse_networks("127.0.0.0/8")


class StubResolver:
    """Answers each question with the next of `answers`: an address, that there is none, or None: nothing for ever."""

    def __init__(self, *answers: str | None) -> None:
        self._answers = list(answers)

    async def resolve(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        answer = self._answers.pop(0)
        if answer is None:
            await asyncio.Event().wait()
        if not answer:
            raise OSError(socket.EAI_NONAME, "Name or service not known")
        return [ResolveResult(hostname=host, host=answer, port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        pass


def outbound(monkeypatch: pytest.MonkeyPatch, *answers: str | None) -> Outbound:
    stub = StubResolver(*answers)

    def patched(self: GuardedResolver, allowed: object) -> None:
        self._allowed, self._resolver = LOOPBACK, stub  # type: ignore[assignment]  # what a name server would say

    monkeypatch.setattr(GuardedResolver, "__init__", patched)
    return Outbound(LOOPBACK)


async def test_a_name_that_is_unknown_for_a_while_is_tried_again_and_then_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_sink() as sink, outbound(monkeypatch, UNKNOWN, "127.0.0.1") as http:
        url = sink.url.replace("127.0.0.1", "target.example")
        with pytest.raises(Unreachable) as refused:
            await http.request("POST", url, headers={}, body=b"", timeout_s=5)
        assert (refused.value.code, refused.value.permanent) == ("dns", False)
        assert (await http.request("POST", url, headers={}, body=b"", timeout_s=5)).status == 200


async def test_the_time_limit_covers_a_slow_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    async with outbound(monkeypatch, None) as http:
        began = time.monotonic()
        with pytest.raises(Unreachable) as refused:
            await http.request("POST", "http://target.example/", headers={}, body=b"", timeout_s=0.2)
        assert (refused.value.code, refused.value.permanent) == ("timeout", False)
        assert time.monotonic() - began < 2
