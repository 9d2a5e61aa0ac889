"""An event loop that connects to allowed addresses only, and takes answers of a bounded size.

A Kafka client connects to whatever addresses the brokers advertise, and reads answers of whatever length they announce.
So both are checked where no client can pass by: in the loop that makes its connections.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from consumers.outbound.addresses import Network
from consumers.outbound.names import AddressRefused, GuardedResolver, resolver

MAX_ANSWER = 32 * 2**20
"""Bytes of one answer of a broker."""
_LENGTH = 4


class GuardedLoop(asyncio.SelectorEventLoop):
    """`refused` names the last host that led to an internal address; `too_large` counts answers that were cut off."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        super().__init__()
        self._allowed = allowed
        self.refused = ""
        self.too_large = 0

    async def create_connection(  # type: ignore[override]  # a Kafka client makes all of its connections like this
        self, factory: Callable[[], Any], host: Any = None, port: Any = None, **named: Any
    ) -> Any:
        """Connect to the first address that answers, of those that the name leads to and that are allowed."""
        failure: OSError = OSError(f"{host} has no address")
        names = resolver()
        try:
            found = await GuardedResolver(names, self._allowed).resolve(str(host), int(port))
        except AddressRefused:
            self.refused = str(host)
            raise
        finally:
            await names.close()
        for answer in found:
            try:
                return await super().create_connection(
                    lambda: _Bounded(factory(), self._cut_off), answer["host"], port, **named
                )
            except OSError as error:
                failure = error
        raise failure

    async def getaddrinfo(self, host: Any, port: Any, **_named: Any) -> Any:
        """Names are looked up above, and nowhere else."""
        self.refused = f"{host}:{port}"
        raise AddressRefused(f"{host} was to be looked up past the guard")

    def _cut_off(self) -> None:
        self.too_large += 1


class _Bounded(asyncio.Protocol):
    """Hands on what comes in, and ends the connection where an answer announces more than MAX_ANSWER."""

    def __init__(self, inner: Any, cut_off: Callable[[], None]) -> None:
        self._inner = inner
        self._cut_off = cut_off
        self._head = b""
        self._left = 0
        self._transport: asyncio.Transport | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._is_within_bounds(data):
            self._inner.data_received(data)
            return
        self._cut_off()
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def eof_received(self) -> bool | None:
        ended: bool | None = self._inner.eof_received()
        return ended

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def _is_within_bounds(self, data: bytes) -> bool:
        """Follow the lengths that stand before each answer."""
        place = 0
        while place < len(data):
            if self._left:
                taken = min(self._left, len(data) - place)
                self._left -= taken
                place += taken
                continue
            wanted = _LENGTH - len(self._head)
            self._head += data[place : place + wanted]
            place += wanted
            if len(self._head) == _LENGTH:
                self._left, self._head = int.from_bytes(self._head, signed=True), b""
                if not 0 <= self._left <= MAX_ANSWER:
                    return False
        return True
