"""An API that is polled in tests: a list in pages, and answers as they are told."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class PolledApi:
    """`items` are given in this order, `page_size` at a time, with the address of the next page in `next`.

    With `answer` it says that instead, whatever it is; `before_answer` is awaited first. `asked` has the query of
    each request.
    """

    def __init__(self) -> None:
        self.url = ""
        self.items: list[dict[str, Any]] = []
        self.page_size = 1_000
        self.answer: web.Response | None = None
        self.etag = ""
        self.before_answer: Callable[[], Awaitable[object]] | None = None
        self.asked: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        self.asked.append(dict(request.query))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.before_answer is not None:
            await self.before_answer()
        if self.answer is not None:
            return web.Response(status=self.answer.status, headers=self.answer.headers, body=self.answer.body)
        if self.etag and request.headers.get("If-None-Match") == self.etag:
            return web.Response(status=304)
        start = int(request.query.get("start", "0"))
        page = self.items[start : start + self.page_size]
        behind = start + self.page_size
        following = f"?start={behind}" if behind < len(self.items) else None
        headers = {"ETag": self.etag} if self.etag else {}
        return web.json_response({"results": page, "next": following}, headers=headers)


@asynccontextmanager
async def polled_api() -> AsyncIterator[PolledApi]:
    """The API on a free loopback port."""
    api = PolledApi()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", api.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        api.url = f"http://127.0.0.1:{runner.addresses[0][1]}/list"
        yield api
    finally:
        await runner.cleanup()
