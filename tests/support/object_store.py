"""A store that speaks the part of S3's protocol that archives need: objects, whole or in parts, in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

_PARTS = '<?xml version="1.0"?><InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>'
_WHOLE = '<?xml version="1.0"?><CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>'


@asynccontextmanager
async def object_store() -> AsyncIterator[tuple[str, dict[str, bytes]]]:
    """Its address, and what it holds by path. Requests without a signature are refused."""
    objects: dict[str, bytes] = {}
    parts: dict[str, dict[int, bytes]] = {}

    async def put(request: web.Request) -> web.Response:
        if "AWS4-HMAC-SHA256" not in request.headers.get("authorization", ""):
            return web.Response(status=403)
        body, number = await request.read(), request.query.get("partNumber")
        if number is None:
            objects[request.path] = body
        else:
            parts.setdefault(request.path, {})[int(number)] = body
        return web.Response(headers={"etag": '"e"'})

    async def post(request: web.Request) -> web.Response:
        if "uploads" in request.query:
            return web.Response(text=_PARTS, content_type="application/xml")
        objects[request.path] = b"".join(part for _number, part in sorted(parts.pop(request.path).items()))
        return web.Response(text=_WHOLE, content_type="application/xml")

    async def get(request: web.Request) -> web.Response:
        found = objects.get(request.path)
        if found is None:
            return web.Response(status=404)
        return web.Response(body=found, headers={"etag": '"e"', "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT"})

    app = web.Application(client_max_size=2**30)
    app.add_routes([web.put("/{path:.*}", put), web.post("/{path:.*}", post), web.get("/{path:.*}", get)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", objects
    finally:
        await runner.cleanup()
