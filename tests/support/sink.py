"""The target of actions in tests: an HTTP server on loopback that writes down all that reaches it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


class Sink:
    """Deliveries by Idempotency-Key, each body in order of arrival. `status` and `delay_s` shape the answers."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.headers: dict[str, str] = {}
        self.delay_s = 0.0
        self.deliveries: defaultdict[str, list[bytes]] = defaultdict(list)
        self.arrived = asyncio.Event()

    @property
    def count(self) -> int:
        """All requests that came."""
        return sum(len(bodies) for bodies in self.deliveries.values())

    async def handle(self, request: web.Request) -> web.Response:
        """Write the request down, then answer as told."""
        body = await request.read()
        self.deliveries[request.headers.get("Idempotency-Key", "")].append(body)
        self.arrived.set()
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        return web.json_response({"ok": True}, status=self.status, headers=self.headers)


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
