"""Reading request bodies: counted as they arrive, against the limit and against the memory of this process.

Every byte of a body is held several times until its event is stored: as it came, as text, as JSON, in the driver's
buffer. So the sum of all bodies under way is bounded; beyond that a sender waits a moment, then is asked to try again.
Announcing a large body takes no room: room for the whole body is taken once its beginning is there. No hook and no
tenant can have all of the room. The server closes connections that send slower than a least rate.
"""

import asyncio
import types
from collections import Counter
from collections.abc import Generator, Hashable
from types import TracebackType
from typing import Any, Self

import msgspec
from litestar.types import Receive, ReceiveMessage

from app.intake.refusals import NoRoom, RequestTooLarge, TooSlow

ROOM = 64 * 2**20
"""Bytes of all bodies under way in one process, unless a single one may be larger."""
SMALL = 64 * 1024
"""A body up to this many bytes needs no room, so that announced large bodies cannot shut out small ones."""
HOOK_SHARE = 0.5
TENANT_SHARE = 0.75
"""Of the room; a single body of the largest size fits into every share."""
TIME_S = 30.0
"""How long a sender may take for a body."""
PATIENCE_S = 1.0
"""How long a sender waits for room."""


class SenderLeft(Exception):
    """The connection closed before the body was complete: nobody waits for an answer."""


class Whose(msgspec.Struct, frozen=True):
    """Whose shares a body is taken from."""

    hook: Hashable = None
    tenant: Hashable = None


class _Turn(msgspec.Struct, frozen=True, eq=False):
    size: int
    whose: Whose
    granted: asyncio.Future[None]


class Bodies:
    """The bodies under way in this process. `max_body` is the limit of each, in bytes."""

    def __init__(self, max_body: int, room: int = ROOM, patience_s: float = PATIENCE_S) -> None:
        self.max_body = max_body
        self.free = max(room, max_body)
        self._per_hook = max(int(self.free * HOOK_SHARE), max_body)
        self._per_tenant = max(int(self.free * TENANT_SHARE), max_body)
        self._hooks: Counter[Hashable] = Counter()
        self._tenants: Counter[Hashable] = Counter()
        self._patience_s = patience_s
        self._waiting: list[_Turn] = []

    def share(self, hook: Hashable = None, tenant: Hashable = None) -> "Share":
        """A request's share of the room, for use in a `with`."""
        return Share(self, Whose(hook, tenant))

    async def take(self, size: int, whose: Whose) -> None:
        """Wait for room, in turn. Raises NoRoom."""
        turn = _Turn(size, whose, asyncio.get_running_loop().create_future())
        self._waiting.append(turn)
        self._grant()
        try:
            async with asyncio.timeout(self._patience_s):
                await turn.granted
        except TimeoutError:
            if turn.granted.cancelled():
                raise NoRoom("too many large requests are under way; try again") from None
        except asyncio.CancelledError:
            if turn.granted.done() and not turn.granted.cancelled():
                self.give(size, whose)
            raise
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)
                self._grant()

    def give(self, size: int, whose: Whose) -> None:
        """Return room."""
        self._hold(-size, whose)
        self._grant()

    def _grant(self) -> None:
        """Wake the waiters that now fit. One that waits for the room itself goes before all that came later."""
        for turn in list(self._waiting):
            if turn.granted.done():
                self._waiting.remove(turn)
            elif self._has_share(turn.size, turn.whose):
                if turn.size > self.free:
                    return
                self._waiting.remove(turn)
                self._hold(turn.size, turn.whose)
                turn.granted.set_result(None)

    def _has_share(self, size: int, whose: Whose) -> bool:
        hook = whose.hook is None or self._hooks[whose.hook] + size <= self._per_hook
        return hook and (whose.tenant is None or self._tenants[whose.tenant] + size <= self._per_tenant)

    def _hold(self, size: int, whose: Whose) -> None:
        self.free -= size
        for held, key in ((self._hooks, whose.hook), (self._tenants, whose.tenant)):
            held[key] += size
            if not held[key]:
                del held[key]


class Share:
    """What one request holds, until it is given back. `body` is what was read, once it is complete."""

    __slots__ = ("_bodies", "_held", "_whose", "body")

    def __init__(self, bodies: Bodies, whose: Whose) -> None:
        self._bodies = bodies
        self._whose = whose
        self._held = 0
        self.body = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()

    def give_back(self) -> None:
        """The body is stored, or not needed any more."""
        self.body = b""
        if self._held:
            held, self._held = self._held, 0
            self._bodies.give(held, self._whose)

    async def read(self, receive: Receive, announced: str | None) -> bytes:
        """The whole body. Raises RequestTooLarge, TooSlow, NoRoom and SenderLeft."""
        limit = self._bodies.max_body
        length = int(announced[:20]) if announced is not None and announced.isdecimal() else 0
        if length > limit:
            raise _too_large(limit)
        first = receive()
        try:
            waits_for = first.send(None)  # type: ignore[attr-defined]
        except StopIteration as there:
            # Most bodies are there before they are asked for; a timer would cost more than all else here.
            chunk, more = _chunk(there.value)
            if not more and len(chunk) <= SMALL:
                self.body = chunk
                return chunk
        else:
            chunk, more = b"", True
            receive = _first_of(first, waits_for, receive)
        try:
            async with asyncio.timeout(TIME_S):
                self.body = await self._read(receive, chunk, length, more=more)
        except TimeoutError:
            raise TooSlow(f"a body has to arrive within {TIME_S:.0f} s") from None
        return self.body

    async def _read(self, receive: Receive, first: bytes, announced: int, *, more: bool) -> bytes:
        chunks, size, limit = [first], len(first), self._bodies.max_body
        if size > limit:
            raise _too_large(limit)
        while more or size > SMALL:
            if not self._held and size > SMALL:
                # Of unknown length: as if it were the largest. If all took as they grew, none might finish.
                self._held = await self._take(max(size, announced) if announced or not more else limit)
            if not more:
                break
            chunk, more = _chunk(await receive())
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
        return b"".join(chunks)

    async def _take(self, size: int) -> int:
        await self._bodies.take(size, self._whose)
        return size


def _chunk(message: ReceiveMessage) -> tuple[bytes, bool]:
    if message["type"] != "http.request":
        raise SenderLeft
    return message.get("body", b""), message.get("more_body", False)


def _first_of(begun: Any, waits_for: object, receive: Receive) -> Receive:
    """A receive whose first message comes of the call that is under way."""
    calls = iter([_resume(begun, waits_for)])

    async def next_message() -> ReceiveMessage:
        call = next(calls, None)
        message: ReceiveMessage = await (receive() if call is None else call)
        return message

    return next_message


@types.coroutine
def _resume(call: Any, waits_for: object) -> Generator[object, object, ReceiveMessage]:
    """`yield from`, for a coroutine that has begun."""
    while True:
        step, value = call.send, None
        try:
            value = yield waits_for
        except BaseException as error:  # noqa: BLE001 - the coroutine decides what becomes of it
            step, value = call.throw, error
        try:
            waits_for = step(value)
        except StopIteration as done:
            message: ReceiveMessage = done.value
            return message


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"a webhook body has at most {limit} bytes")
