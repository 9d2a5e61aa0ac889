"""A store that speaks the part of S3's protocol that archives and files need: objects, whole or in parts, in memory."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

_PARTS = '<?xml version="1.0"?><InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>'
_WHOLE = '<?xml version="1.0"?><CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>'
_MODIFIED = {"etag": '"e"', "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT"}


class _Bucket:
    """What there is, by path."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self._parts: dict[str, dict[int, bytes]] = {}

    async def put(self, request: web.Request) -> web.Response:
        if "AWS4-HMAC-SHA256" not in request.headers.get("authorization", ""):
            return web.Response(status=403)
        body, number = await request.read(), request.query.get("partNumber")
        if number is None:
            self.objects[request.path] = body
        else:
            self._parts.setdefault(request.path, {})[int(number)] = body
        return web.Response(headers={"etag": '"e"'})

    async def post(self, request: web.Request) -> web.Response:
        if "uploads" in request.query:
            return web.Response(text=_PARTS, content_type="application/xml")
        if "delete" in request.query:
            keys = re.findall("<Key>([^<]+)</Key>", await request.text())
            for key in keys:
                self.objects.pop(f"{request.path.rstrip('/')}/{key}", None)
            deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
            return web.Response(text=f"<DeleteResult>{deleted}</DeleteResult>", content_type="application/xml")
        parts = self._parts.pop(request.path)
        self.objects[request.path] = b"".join(part for _number, part in sorted(parts.items()))
        return web.Response(text=_WHOLE, content_type="application/xml")

    async def get(self, request: web.Request) -> web.Response:
        found = self.objects.get(request.path)
        if found is None:
            return web.Response(status=404)
        wanted = request.http_range
        if wanted.start is None:
            return web.Response(body=found, headers=_MODIFIED)
        body = found[wanted]
        place = f"bytes {wanted.start}-{wanted.start + len(body) - 1}/{len(found)}"
        return web.Response(status=206, body=body, headers={**_MODIFIED, "content-range": place})


@asynccontextmanager
async def object_store() -> AsyncIterator[tuple[str, dict[str, bytes]]]:
    """Its address, and what it holds by path. Puts without a signature are refused."""
    bucket = _Bucket()
    app = web.Application(client_max_size=2**30)
    path = "/{path:.*}"
    app.add_routes([web.put(path, bucket.put), web.post(path, bucket.post), web.get(path, bucket.get)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", bucket.objects
    finally:
        await runner.cleanup()
