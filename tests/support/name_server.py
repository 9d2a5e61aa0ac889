"""A name server on a real socket: names that begin with `dead` get no answer, all others lead to 127.0.0.1."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

_IPV4 = b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\x7f\0\0\1"
"""An answer (RFC 1035 §4.1.3): the name that was asked for, type A, five seconds, 127.0.0.1."""


class NameServer(asyncio.DatagramProtocol):
    """`silent` is set once a question was left without an answer."""

    def __init__(self) -> None:
        self.address = ""
        self.asked: set[str] = set()
        self.silent = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.index(0, 12) + 5
        label = data[13 : 13 + data[12]].decode()
        self.asked.add(label)
        if label.startswith("dead"):
            self.silent.set()
            return
        answer = _IPV4 if data[end - 4 : end - 2] == b"\0\1" else b""
        counts = struct.pack(">HHHH", 1, 1 if answer else 0, 0, 0)
        self._transport.sendto(data[:2] + b"\x81\x80" + counts + data[12:end] + answer, addr)


@asynccontextmanager
async def name_server() -> AsyncIterator[NameServer]:
    """On a free loopback port."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    host, port = transport.get_extra_info("sockname")
    server.address = f"{host}:{port}"
    try:
        yield server
    finally:
        transport.close()
