"""Webhooks over kept connections, by raw asyncio and httptools, and the sink that they end up at."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlsplit

import aiohttp
import httptools
import msgspec

from tests.benchmarks.sink import Noted
from tests.benchmarks.support import BODY


class Sent(msgspec.Struct):
    """What a load came to: by number of the order when it was sent and answered, and how long each answer took.

    Moments are of the monotonic clock in ns; `epoch_s` is what to add, in seconds, for the time of day.
    """

    sent_ns: dict[int, int] = {}
    answered_ns: dict[int, int] = {}
    accepted: set[int] = set()
    latencies_s: list[float] = []
    failures: list[int] = []
    epoch_s: float = 0.0


class Connection(asyncio.Protocol):
    """One kept connection, one request at a time."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(self._parser.get_status_code())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError())

    async def request(self, content: bytes) -> int:
        """Send it; the status of the answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(content)
        return await self._answer

    @property
    def closed(self) -> bool:
        """Whether the server has closed it, as it does with one that is not used for some seconds."""
        return self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()


class Load:
    """Requests to one URL, each with a numbered order."""

    def __init__(self, url: str, method: str = "POST") -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        head = (
            f"{method} {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(BODY)}\r\n\r\n"
        )
        self._before, self._after = (head.encode() + BODY).split(b"order-00000000")
        self.result = Sent(epoch_s=time.time() - time.monotonic())

    @asynccontextmanager
    async def connections(self, count: int) -> AsyncIterator[list[Connection]]:
        """Open connections."""
        opened = [await self._open() for _ in range(count)]
        try:
            yield opened
        finally:
            for connection in opened:
                connection.close()

    async def _open(self) -> Connection:
        return (await asyncio.get_running_loop().create_connection(Connection, self._host, self._port))[1]

    async def send(self, connection: Connection, number: int) -> None:
        """Send one order and note the answer."""
        started = time.monotonic_ns()
        self.result.sent_ns[number] = started
        status = await connection.request(b"%border-%08d%b" % (self._before, number, self._after))
        self.result.answered_ns[number] = answered = time.monotonic_ns()
        self.result.latencies_s.append((answered - started) / 1e9)
        if status < 300:
            self.result.accepted.add(number)
        else:
            self.result.failures.append(status)

    async def closed_loop(self, connections: int, numbers: Iterator[int], while_: Callable[[], bool]) -> None:
        """As fast as the answers come, until the numbers or the time are over."""

        async def client(connection: Connection) -> None:
            for number in numbers:
                await self.send(connection, number)
                if not while_():
                    return

        async with self.connections(connections) as opened:
            await asyncio.gather(*(client(connection) for connection in opened))

    async def open_loop(self, rate: float, count: int, connections: int = 8, first: int = 0) -> None:
        """At fixed times, however long the answers take."""
        async with self.connections(connections) as free:
            base = time.monotonic()
            tasks = []

            async def one(connection: Connection, number: int) -> None:
                used = await self._open() if connection.closed else connection
                await self.send(used, number)
                free.append(used)

            for number in range(count):
                await asyncio.sleep(base + number / rate - time.monotonic())
                tasks.append(asyncio.create_task(one(free.pop(), first + number)))
            await asyncio.gather(*tasks)


class Sink:
    """The sink's process, asked from here."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/"

    async def noted(self) -> Noted:
        """All that arrived so far."""
        async with aiohttp.ClientSession() as http, http.get(self.url) as answer:
            return msgspec.json.decode(await answer.read(), type=Noted)

    async def wait_for(self, numbers: set[int], quiet_s: float = 15) -> Noted:
        """Return once all have arrived, or nothing new has for a while."""
        seen, changed_at = -1, time.monotonic()
        while True:
            noted = await self.noted()
            if numbers <= noted.arrivals.keys() or time.monotonic() - changed_at > quiet_s:
                return noted
            if len(noted.arrivals) != seen:
                seen, changed_at = len(noted.arrivals), time.monotonic()
            await asyncio.sleep(0.25)


@asynccontextmanager
async def running_sink() -> AsyncIterator[Sink]:
    """A sink on a free loopback port."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.sink"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield Sink(int(await process.stdout.readline()))
    finally:
        process.terminate()
        await process.wait()


async def repeatedly(seconds: float, send: Callable[[Callable[[], bool]], Awaitable[None]]) -> float:
    """Run a load for some time; how long it really took."""
    started = time.monotonic()
    await send(lambda: time.monotonic() - started < seconds)
    return time.monotonic() - started
