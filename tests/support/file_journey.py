"""A large file on its way: from a webhook to an upload, from a download to an object store; and where it can be held.

The target hashes what it gets and keeps none of it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
from aiohttp import web

from tests.support.system import System

BLOCK = bytes(range(256)) * 256
"""64 KiB."""


def content(size: int) -> AsyncIterator[bytes]:
    """So many bytes, block by block."""

    async def blocks() -> AsyncIterator[bytes]:
        for _ in range(size // len(BLOCK)):
            yield BLOCK

    return blocks()


def digest(size: int) -> str:
    """Their hash."""
    whole = sha256()
    for _ in range(size // len(BLOCK)):
        whole.update(BLOCK)
    return whole.hexdigest()


def forget_peak(pid: int) -> int:
    """Have the kernel count a process's highest memory from now on. Gives what it has now, in bytes."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak(pid)


def peak(pid: int) -> int:
    """The highest memory of a process since then."""
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


class FileTarget:
    """Gives a file, and takes forms with files. `hold` names what stops half way, once: `source` or `upload`."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.address = ""
        self.hold = ""
        self.held = asyncio.Event()
        self.uploads: list[dict[str, str]] = []
        self.calls = {"source": 0, "upload": 0}

    async def source(self, request: web.Request) -> web.StreamResponse:
        self.calls["source"] += 1
        headers = {"content-type": "application/zip", "content-disposition": 'attachment; filename="source.zip"'}
        answer = web.StreamResponse(headers=headers)
        answer.content_length = self.size
        await answer.prepare(request)
        sent = 0
        async for block in content(self.size):
            if sent >= self.size // 2:
                await self._stop("source")
            await answer.write(block)
            sent += len(block)
        return answer

    async def upload(self, request: web.Request) -> web.Response:
        self.calls["upload"] += 1
        found: dict[str, str] = {}
        reader, got = await request.multipart(), 0
        async for part in reader:
            assert isinstance(part, aiohttp.BodyPartReader)
            whole = sha256()
            while chunk := await part.read_chunk(len(BLOCK)):
                whole.update(chunk)
                got += len(chunk)
                if got >= self.size // 2:
                    await self._stop("upload")
            found[f"{part.name} {part.filename}"] = whole.hexdigest()
        self.uploads.append(found)
        return web.json_response({"taken": len(found)})

    async def _stop(self, what: str) -> None:
        if self.hold == what:
            self.hold = ""
            self.held.set()
            await asyncio.Event().wait()


@asynccontextmanager
async def file_target(size: int) -> AsyncIterator[FileTarget]:
    """One that listens."""
    target = FileTarget(size)
    app = web.Application(client_max_size=2**40)
    app.add_routes([web.get("/source", target.source), web.post("/upload", target.upload)])
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        target.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield target
    finally:
        await runner.cleanup()


async def journey(system: System, target: str, store: str) -> dict[str, Any]:
    """A zap that downloads a file, sends it with the trigger's as a form, and stores it as an object."""
    host = store.removeprefix("http://")
    keys = {"config": {"username": "key", "hosts": [host]}, "secrets": {"password": "a secret key"}}
    connection = await system.call("POST", "/api/v1/connections", {"name": "S3", "kind": "basic", **keys})
    photo = {"name": "photo", "file": "{{ trigger.body.photo }}"}
    fetched = {"name": "fetched", "file": "{{ steps.fetch.output.body }}"}
    title = {"name": "title", "value": "{{ trigger.body.title }}, {{ steps.fetch.output.body.size }} bytes"}
    fetch = {"method": "GET", "url": f"{target}/source", "response": "binary", "timeout_s": 300}
    send = {"url": f"{target}/upload", "body_type": "multipart", "body": [title, photo, fetched], "timeout_s": 300}
    put = {"endpoint": store, "bucket": "bucket", "key": "a.zip", "content": "{{ steps.fetch.output.body }}"}
    steps = [
        {"id": "fetch", "kind": "action", "type": "http.request", "config": fetch},
        {"id": "send", "kind": "action", "type": "http.request", "config": send},
        {"id": "put", "kind": "action", "type": "s3.put_object", "config": put, "connection": connection["id"]},
    ]
    trigger = {"type": "webhook.catch", "config": {}}
    zap: dict[str, Any] = await system.call(
        "POST", "/api/v1/zaps", {"name": "Files", "trigger": trigger, "steps": steps}
    )
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
    return zap


async def post_file(system: System, hook: str, size: int) -> UUID:
    """Send a form with a file of so many bytes. Gives the run's id."""
    form = aiohttp.FormData()
    form.add_field("title", "Holidays")
    form.add_field("photo", content(size), filename="photo.png", content_type="image/png")
    async with system.http.post(hook, data=form, timeout=aiohttp.ClientTimeout(total=600)) as answer:
        assert answer.status == 200, await answer.text()
        return UUID((await answer.json())["run_id"])
