"""The guarded loop of a Kafka client: answers have a bounded size, whatever length a broker announces."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from consumers.outbound.addresses import Network
from consumers.outbound.guarded_loop import GuardedLoop

MAX_ANSWER = 32 * 2**20
"""Bytes of one answer of a broker."""
_LENGTH = 4


class KafkaLoop(GuardedLoop):
    """`too_large` counts answers that were cut off."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        super().__init__(allowed)
        self.too_large = 0

    def wrapped(self, protocol: Any) -> Any:
        """Looks at the lengths of answers."""
        return _Bounded(protocol, self._cut_off)

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
