"""A stand-in for any service: it keeps what came, and answers as it is told. On a free port of this machine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from domain.values.json import Json, MalformedJson, parse


class Received(msgspec.Struct, frozen=True):
    """One request as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def shown(self, host: str) -> dict[str, Json]:
        """As a snapshot has it: what every request carries is left out."""
        headers: dict[str, Json] = {
            name: value for name, value in sorted(self.headers.items()) if name not in _OF_EVERY_REQUEST
        }
        found: dict[str, Json] = {"method": self.method, "url": f"{host}{self.target}", "headers": headers}
        if self.body:
            try:
                found["body"] = parse(self.body)
            except MalformedJson:
                found["body"] = self.body.decode("utf-8", "replace")
        return found


_OF_EVERY_REQUEST = frozenset({"host", "accept", "accept-encoding", "user-agent", "content-length", "connection"})


class StandIn:
    """What it received, and what it answers; no answer at all where that is None."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.answer: bytes | None = b""
        self.address = ""

    def says(self, status: int, body: bytes, *headers: tuple[str, str], content_type: str = "application/json") -> None:
        """Answer like this from now on."""
        lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", f"Content-Type: {content_type}"]
        lines += [f"{name}: {value}" for name, value in headers]
        self.answer = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while True:
                self.requests.append(await _received(reader))
                if self.answer is None:
                    await reader.read()  # until the client gives up
                    return
                writer.write(self.answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


async def _received(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:]) if name}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(method, target, headers, body)


@asynccontextmanager
async def stand_in() -> AsyncIterator[StandIn]:
    """One that listens."""
    found = StandIn()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    async with server:
        found.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield found
