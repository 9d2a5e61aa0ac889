"""A target that keeps each request as the bytes that came, and answers with bytes as told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Received(msgspec.Struct, frozen=True):
    """One request; `connection` counts the connections, so that it tells which one it came on."""

    head: bytes
    body: bytes
    connection: int

    @property
    def target(self) -> str:
        """What stands between method and version."""
        return self.head.split(b"\r\n", 1)[0].split(b" ")[1].decode("latin-1")

    def values(self, name: str) -> list[str]:
        """All values of a header."""
        lines = [line.decode("latin-1").partition(": ") for line in self.head.split(b"\r\n")[1:]]
        return [value for found, _, value in lines if found.lower() == name.lower()]


class RawTarget:
    """What it received, and what it answers."""

    def __init__(self) -> None:
        self.answer = OK
        self.close = False
        self.requests: list[Received] = []
        self.connections = 0
        self.url = ""

    @property
    def last(self) -> Received:
        """The latest request."""
        return self.requests[-1]

    def says(self, *headers: str, body: bytes = b"", status: str = "200 OK") -> None:
        """Answer like this from now on."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
        self.answer = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        number = self.connections
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
                body = await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b""
                self.requests.append(Received(head, body, number))
                writer.write(self.answer)
                await writer.drain()
                if self.close:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def raw_target() -> AsyncIterator[RawTarget]:
    """On a free loopback port."""
    target = RawTarget()
    server = await asyncio.start_server(target.serve, "127.0.0.1", 0)
    async with server:
        target.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield target
