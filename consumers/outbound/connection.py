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
FREE_S = 0.1
"""CPU time that any answer may take to be read."""
S_PER_BYTE = 25e-9
"""What it may take besides: ten times as much as content in chunks of a usual size."""
TURN_S = 0.002
"""CPU time at a time; then others have their turn."""
REST = 30
"""Times as long as it took, for which such a connection rests."""


class BoundedHandler(ResponseHandler):
    """aiohttp's protocol of a connection, within these bounds."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._left_s = FREE_S

    def begin(self) -> None:
        """A request goes out: what comes is its answer."""
        self._left_s = FREE_S

    def data_received(self, data: bytes) -> None:
        began = time.thread_time()
        super().data_received(data)
        took_s = time.thread_time() - began
        self._left_s += len(data) * S_PER_BYTE - took_s
        if self._left_s < 0 or len(self._buffer) > MAX_HEADS:
            self._refuse()
        elif took_s > TURN_S and self.transport is not None:
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
