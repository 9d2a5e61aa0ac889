"""A service that can be told of hooks, as GitHub can: it keeps them, and answers as it is told."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class HookService:
    """`hooks` by id. With `refuses` it answers that instead, and with `lists` where it is asked for its hooks;
    `after_create` is awaited before the answer goes out.

    `calls` has method and path of each request, `tokens` its credential.
    """

    def __init__(self) -> None:
        self.url = ""
        self.hooks: dict[int, dict[str, Any]] = {}
        self.refuses: web.Response | None = None
        self.lists: web.Response | None = None
        self.after_create: Callable[[], Awaitable[object]] | None = None
        self.calls: list[str] = []
        self.tokens: set[str] = set()
        self._next = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        self.calls.append(f"{request.method} {request.path}")
        self.tokens.add(request.headers.get("Authorization", ""))
        instead = self.refuses or (self.lists if request.method == "GET" else None)
        if instead is not None:
            return web.Response(status=instead.status, headers=instead.headers, body=instead.body)
        match request.method:
            case "GET":
                return web.json_response([{"id": number, **hook} for number, hook in self.hooks.items()])
            case "POST":
                self._next += 1
                self.hooks[self._next] = await request.json()
                if self.after_create is not None:
                    await self.after_create()
                return web.json_response({"id": self._next}, status=201)
        gone = self.hooks.pop(int(request.path.rpartition("/")[2]), None)
        return web.Response(status=204 if gone else 404)

    def begin(self, number: int) -> None:
        """The next hook has this id."""
        self._next = number - 1

    def lead_to(self, url: str) -> list[int]:
        """The ids of hooks that lead somewhere."""
        return [number for number, hook in self.hooks.items() if hook["config"]["url"] == url]


@asynccontextmanager
async def hook_service() -> AsyncIterator[HookService]:
    """One on a free loopback port."""
    service = HookService()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", service.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield service
    finally:
        await runner.cleanup()
