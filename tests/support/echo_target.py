"""A target that answers with what it was sent, as an API does that repeats a credential in its errors."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from aiohttp import web


class EchoTarget:
    """All requests in order of arrival. `status` is answered, or that of /status/N; `location` sends on from /away."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.location = ""
        self.requests: list[web.Request] = []

    @property
    def last(self) -> web.Request:
        """The request that came last."""
        return self.requests[-1]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Repeat everything, in several spellings."""
        await request.read()
        self.requests.append(request)
        if request.path == "/away":
            return web.Response(status=302, headers={"Location": self.location})
        said = [*request.headers.values(), *request.query.values()]
        body: dict[str, Any] = {
            "headers": dict(request.headers),
            "query": dict(request.query),
            "base64": [base64.b64encode(text.encode()).decode() for text in said],
            "inside": [base64.b64encode(f"x{text}yz".encode()).decode() for text in said],
            "quoted": [quote(text, safe="") for text in said],
            "items": [{"id": 1, "said": said}],
        }
        headers = {"X-Seen": " ".join(text for text in said if text.isascii() and text.isprintable())[:4_000]}
        named = request.path.removeprefix("/status/")
        return web.json_response(body, status=int(named) if named.isdigit() else self.status, headers=headers)


@asynccontextmanager
async def echo_target() -> AsyncIterator[EchoTarget]:
    """One on a free loopback port."""
    target = EchoTarget()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", target.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        target.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield target
    finally:
        await runner.cleanup()
