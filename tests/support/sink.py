"""The target of actions in tests: an HTTP server on loopback that writes down all that reaches it."""

import asyncio
import sys
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from aiohttp import web

Fault: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Sink:
    """Deliveries by Idempotency-Key, each body in order of arrival. `status` and `delay_s` shape the answers.

    With a `fault` the first `spoiled` deliveries of a key end in that instead, for `share` of all keys.
    """

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.headers: dict[str, str] = {}
        self.delay_s = 0.0
        self.fault: Fault | None = None
        self.spoiled = 1
        self.share = 1.0
        self.deliveries: defaultdict[str, list[bytes]] = defaultdict(list)
        self.arrived = asyncio.Event()

    @property
    def count(self) -> int:
        """All requests that came."""
        return sum(len(bodies) for bodies in self.deliveries.values())

    def hold(self) -> asyncio.Event:
        """From now on nothing is answered before the moment that is given."""
        moment = asyncio.Event()
        self.fault, self.spoiled = held(moment), sys.maxsize
        return moment

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Write the request down, then answer as told."""
        body = await request.read()
        key = request.headers.get("Idempotency-Key", "")
        self.deliveries[key].append(body)
        self.arrived.set()
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.fault and len(self.deliveries[key]) <= self.spoiled and self._is_chosen(key):
            return await self.fault(request)
        return web.json_response({"ok": True}, status=self.status, headers=self.headers)

    def _is_chosen(self, key: str) -> bool:
        return zlib.crc32(key.encode()) % 1_000 < self.share * 1_000


async def fail(_request: web.Request) -> web.StreamResponse:
    """An answer that asks for another try."""
    return web.Response(status=500)


async def hang(_request: web.Request) -> web.StreamResponse:
    """No answer within any patience."""
    await asyncio.sleep(3_600)
    return web.Response()


def held(until: asyncio.Event) -> Fault:
    """No answer before a moment."""

    async def wait(_request: web.Request) -> web.StreamResponse:
        await until.wait()
        return web.Response()

    return wait


async def lose_reply(request: web.Request) -> web.StreamResponse:
    """The effect is done, and the connection breaks before anybody is told."""
    _transport(request).abort()
    return web.Response()


async def cut_body(request: web.Request) -> web.StreamResponse:
    """The connection breaks in the middle of the answer."""
    response = await _begun(request)
    await response.write(b"half")
    _transport(request).abort()
    return response


async def close_after_headers(request: web.Request) -> web.StreamResponse:
    """A status, and then nothing of the body that was promised."""
    response = await _begun(request)
    _transport(request).close()
    return response


async def drip(request: web.Request) -> web.StreamResponse:
    """Always a little more, never the end."""
    response = await _begun(request)
    while True:
        await response.write(b".")
        await asyncio.sleep(0.1)


async def _begun(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_length = 100_000
    await response.prepare(request)
    return response


def _transport(request: web.Request) -> asyncio.Transport:
    assert isinstance(request.transport, asyncio.Transport)
    return request.transport


@asynccontextmanager
async def running_sink(path: str = "/in") -> AsyncIterator[Sink]:
    """A sink on a free loopback port."""
    sink = Sink()
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_route("*", "/{tail:.*}", sink.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        sink.url = f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
        yield sink
    finally:
        await runner.cleanup()
