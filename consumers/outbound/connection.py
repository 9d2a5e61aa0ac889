"""A connection to a target, of which reading takes no more CPU than its answers may cost.

A million heads that only say that an answer will come, or a chunk for each byte, take the parser as long as a gigabyte
would. Whoever else has something to do on the event loop would wait for that.
"""

import asyncio
import time

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

MAX_HEADS = 32
"""Heads of one answer, or answers that nobody has asked for."""
MAX_FRAMING = 2**20
"""Bytes of one answer that are no content, beside _PER_BYTE for each of content: heads, and what is around chunks."""
_PER_BYTE = 16
FREE_S = 0.1
"""CPU time that any answer may take to be read."""
S_PER_BYTE, S_PER_S = 25e-9, 0.005
"""What it may take besides: ten times as much as content in chunks of a usual size, and a share of the time."""
MOST_S = 0.02
"""What counts of it at a time: a collection of garbage may fall into it."""
PIECE = 16 * 1024
"""Bytes that are read before that is looked at."""
TURN_S = 0.002
"""CPU time at a time; then others have their turn."""
REST = 30
"""Times as long as it took, for which such a connection rests."""


class BoundedHandler(ResponseHandler):
    """aiohttp's protocol of a connection, within these bounds."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._left_s = FREE_S
        self._paid_at = 0.0
        self._fed = 0  # bytes since the request

    def begin(self) -> None:
        """A request goes out: what comes is its answer."""
        self._left_s = FREE_S
        self._paid_at = self._loop.time()
        self._fed = 0

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data) or 1, PIECE):
            self._take(data[start : start + PIECE])
            if self._left_s < 0 or len(self._buffer) > MAX_HEADS or self._is_framing():
                self._refuse()
                return

    def _is_framing(self) -> bool:
        """Whether too little of what came is content: extensions of a chunk may go on for ever."""
        content = 0 if self._payload is None else self._payload.total_bytes
        return self._fed > MAX_FRAMING + _PER_BYTE * content

    def _take(self, piece: bytes) -> None:
        began, now = time.thread_time(), self._loop.time()
        super().data_received(piece)
        took_s = min(time.thread_time() - began, MOST_S)
        earned_s = len(piece) * S_PER_BYTE + (now - self._paid_at) * S_PER_S
        self._left_s = min(FREE_S, self._left_s + earned_s) - took_s
        self._paid_at = now
        self._fed += len(piece)
        if took_s > TURN_S and self.transport is not None:
            self._pause_reading_for_buffer()
            self._loop.call_later(REST * took_s, self._resume_reading_for_buffer)

    def _refuse(self) -> None:
        wrong = HttpProcessingError(message="it is in too many parts")
        self.set_exception(wrong)
        if self._payload is not None:
            broken = aiohttp.ClientPayloadError(wrong.message)
            broken.__cause__ = wrong
            self._payload.set_exception(broken)
        self._parser = None  # which would say at the end that something is missing
        if self.transport is not None:
            self.transport.abort()
