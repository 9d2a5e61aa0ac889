"""Reading request bodies: counted as they arrive, against the limit and against the memory of this process.

Every byte of a body is held several times until its event is stored: as it came, as text, as JSON, in the driver's
buffer. So the sum of all bodies under way is bounded; a sender beyond that waits a moment, then is asked to come again.
"""

import asyncio
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Self

from litestar.types import Receive

from app.refusals.problems import Problem, unavailable

ROOM = 64 * 2**20
"""Bytes of all bodies under way in one process, unless a single one may be larger."""
SMALL = 64 * 1024
"""A body up to this many bytes needs no room, so that announced large bodies cannot shut out small ones."""
TIME_S = 30.0
"""How long a sender may take for a body that is not small."""
PATIENCE_S = 1.0
"""How long a sender waits for room."""


class SenderLeft(Exception):
    """The connection closed before the body was complete: nobody waits for an answer."""


class Bodies:
    """The bodies under way in this process. `max_body` is the limit of each, in bytes."""

    def __init__(self, max_body: int, room: int = ROOM, patience_s: float = PATIENCE_S) -> None:
        self.max_body = max_body
        self.free = max(room, max_body)
        self._patience_s = patience_s
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def share(self) -> "Share":
        """A request's share of the room, for use in a `with`."""
        return Share(self)

    async def take(self, size: int) -> int:
        """Wait for room, in turn; gives `size` back. Raises Problem `unavailable`."""
        if size <= self.free and not self._waiting:
            self.free -= size
            return size
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            async with asyncio.timeout(self._patience_s):
                await turn
        except TimeoutError:
            if turn.cancelled():
                raise unavailable("too many large requests are under way; try again") from None
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(size)
            raise
        finally:
            with suppress(ValueError):
                self._waiting.remove((size, turn))
            self.give(0)
        return size

    def give(self, size: int) -> None:
        """Return room, and wake the waiters that now fit."""
        self.free += size
        while self._waiting and self._waiting[0][0] <= self.free:
            size, turn = self._waiting.popleft()
            if not turn.done():
                self.free -= size
                turn.set_result(None)


class Share:
    """What one request holds, until it is answered. `body` is what was read, once it is complete."""

    __slots__ = ("_bodies", "_held", "body")

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._held = 0
        self.body = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._held:
            self._bodies.give(self._held)

    async def read(self, receive: Receive, announced: str | None) -> bytes:
        """The whole body. Raises Problem `too_large`, `too_slow` or `unavailable`, and SenderLeft."""
        limit = self._bodies.max_body
        length = int(announced[:20]) if announced is not None and announced.isdecimal() else 0
        if length > limit:
            raise _too_large(limit)
        chunk, more = await _receive(receive)
        if len(chunk) > limit:
            raise _too_large(limit)
        if not more and len(chunk) <= SMALL:
            self.body = chunk
        else:
            self.body = await self._read_large(receive, [chunk], length, more=more)
        return self.body

    async def _read_large(self, receive: Receive, chunks: list[bytes], announced: int, *, more: bool) -> bytes:
        size, limit = len(chunks[0]), self._bodies.max_body
        try:
            async with asyncio.timeout(TIME_S):
                while more or size > SMALL:
                    if not self._held and max(size, announced) > SMALL:
                        # Of unknown length: as if it were the largest. If all took as they grew, none might finish.
                        self._held = await self._bodies.take(max(size, announced) if announced or not more else limit)
                    if not more:
                        break
                    chunk, more = await _receive(receive)
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > limit:
                        raise _too_large(limit)
        except TimeoutError:
            raise Problem("too_slow", f"a body has to arrive within {TIME_S:.0f} s") from None
        return b"".join(chunks)


async def _receive(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] != "http.request":
        raise SenderLeft
    return message.get("body", b""), message.get("more_body", False)


def _too_large(limit: int) -> Problem:
    return Problem("too_large", f"a webhook body has at most {limit} bytes")
