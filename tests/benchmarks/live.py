"""What a thousand live streams cost one API process: memory, and the time that a webhook's answer takes."""

import asyncio
import time
from typing import cast
from urllib.parse import urlsplit

import aiohttp

from tests.benchmarks.instance import Instance, instance
from tests.benchmarks.support import BODY, Report, Row, database_settings
from tests.benchmarks.traffic import Load

LISTENERS = 1_000
RATE = 50.0


class _Counted(asyncio.Protocol):
    """A stream of which only the bytes and the events are counted."""

    def __init__(self, request: bytes, began: "asyncio.Future[None]") -> None:
        self._request = request
        self._began = began
        self.events = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.events += data.count(b"event: ")
        if not self._began.done() and b"retry: " in data:
            self._began.set_result(None)


async def run(*, quick: bool) -> Report:
    """Webhooks at a fixed rate: alone, beside listeners of somebody else, and beside listeners who are told of each."""
    count, listeners = (200, 100) if quick else (1_500, LISTENERS)
    async with instance("api") as running:
        hook, owner = await _published(running)
        stranger = await _token(running, "stranger")
        load = Load(hook)
        await load.open_loop(RATE, count // 5)
        rows = [await _measure("no listeners", hook, count, [])]
        for what, token in (
            ("of another tenant, without news", stranger),
            ("of the hook's tenant, told of all", owner),
        ):
            before = running.memory()["api"][0]
            opened = await _opened(running, token, listeners)
            row = await _measure(f"{listeners:,} listeners {what}", hook, count, opened)
            row.note += f", {(running.memory()['api'][0] - before) / 2**20:.0f} MiB more"
            rows.append(row)
            for one in opened:
                one.transport.close()
        for row in rows[1:]:
            row.ratio = _p99(row) / _p99(rows[0])
        settings = (
            f"{await database_settings(running.dsn)}; one API process; {RATE:.0f} webhooks/s of {len(BODY)} bytes, "
            f"{count:,} each; ratio: p99 to the first row. Load generator and listeners on the same CPUs."
        )
    return Report(settings, rows)


async def _measure(what: str, hook: str, count: int, opened: list[_Counted]) -> Row:
    load, before = Load(hook), sum(one.events for one in opened)
    await load.open_loop(RATE, count)
    assert not load.result.failures, load.result.failures[:5]
    await _all_told(opened, before, count)
    told = sum(one.events for one in opened) - before
    return Row(what=what, latencies_s=load.result.latencies_s, note=f"{told:,} events told")


async def _all_told(opened: list[_Counted], before: int, count: int) -> None:
    """Each listener gets all or none of the events."""
    deadline = time.monotonic() + 30
    while (sum(one.events for one in opened) - before) not in (0, count * len(opened)):
        assert time.monotonic() < deadline, "events are missing"
        await asyncio.sleep(0.05)


def _p99(row: Row) -> float:
    ordered = sorted(row.latencies_s)
    return ordered[int(0.99 * len(ordered))]


async def _opened(running: Instance, token: str, count: int) -> list[_Counted]:
    place, loop = urlsplit(running.url), asyncio.get_running_loop()
    request = f"GET /api/v1/live HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    opened: list[_Counted] = []
    for _ in range(count):
        began = loop.create_future()

        def made(began: "asyncio.Future[None]" = began) -> _Counted:
            return _Counted(request, began)

        _, protocol = await loop.create_connection(made, place.hostname or "", place.port or 80)
        async with asyncio.timeout(10):
            await began
        opened.append(protocol)
    return opened


async def _published(running: Instance) -> tuple[str, str]:
    """A hook, and its owner's token."""
    token = await _token(running, "owner")
    async with aiohttp.ClientSession(running.url, headers={"Authorization": f"Bearer {token}"}) as http:
        zap = {"name": "Bench", "trigger": {"type": "webhook.catch", "config": {}}, "steps": []}
        async with http.post("/api/v1/zaps", json=zap) as answer:
            created = await answer.json()
        async with http.post(f"/api/v1/zaps/{created['id']}/publish") as answer:
            assert answer.status == 200, await answer.text()
    return str(created["hook_url"]), token


async def _token(running: Instance, name: str) -> str:
    async with aiohttp.ClientSession(running.url) as http:
        person = {"name": name, "email": f"{name}-{time.time_ns()}@example.com", "password": "correct horse"}
        async with http.post("/api/v1/auth/signup", json=person) as answer:
            return str((await answer.json())["access_token"])
