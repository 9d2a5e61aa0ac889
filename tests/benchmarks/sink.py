"""`python -m tests.benchmarks.sink`: a target in a process of its own that notes when each order first arrived.

It prints its port, answers every POST, and gives what it noted to `GET /`: the count, and arrivals by number.
"""

import asyncio
import re
import time
from typing import cast

import httptools
import msgspec
import uvloop

_NUMBER = re.compile(rb"order-(\d{8})")
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n" + b'{"ok":true}'


class Noted(msgspec.Struct):
    """`repeats` counts arrivals of numbers that had come before; times are of the monotonic clock, in ns."""

    arrivals: dict[int, int] = {}
    repeats: int = 0


class _Connection(asyncio.Protocol):
    def __init__(self, noted: Noted) -> None:
        self._noted = noted
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        if self._parser.get_method() == b"GET":
            said = msgspec.json.encode(self._noted)
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(said) + said)
            return
        if found := _NUMBER.search(body):
            self._note(int(found[1]))
        self._transport.write(_OK)

    def _note(self, number: int) -> None:
        if number in self._noted.arrivals:
            self._noted.repeats += 1
        else:
            self._noted.arrivals[number] = time.monotonic_ns()


async def main() -> None:
    """Serve until the process is ended."""
    noted = Noted()
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(noted), "127.0.0.1", 0, backlog=1_024)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - whoever started us reads it
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
