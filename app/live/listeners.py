"""Who listens: what each wants to know, how far it has been told, and what it has not read yet, within bounds.

A listener's position only moves over events that it was told, or that are none of its business. So none is left out or
told twice, whoever reads the log for it, and in whatever portions.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from app.live.news import ClosedBecause, LiveClosed, LiveReset, NewsType, Told, frame, greeting, heartbeat
from domain.log.errors import DomainError

LISTENER_BYTES = 48 * 1024
"""What a listener costs that has read everything: its connection, its request, its task."""
UNREAD_BYTES = 256 * 1024
"""What a listener may leave unread."""
ROOM = 96 * 2**20
"""Bytes of all listeners of one process, those above and what they have not read."""
TENANT_ROOM = ROOM // 2
RETRY_S = 15.0
"""When to come again where there is no room."""


class TooManyStreams(DomainError, code="too_many_streams"):
    """One tenant has too many listeners in this process."""

    retry_after_s = RETRY_S


class NoRoomForStreams(DomainError, code="busy"):
    """This process has too many listeners."""

    retry_after_s = RETRY_S


class Room:
    """The bytes that the listeners of one process hold, in all and by tenant."""

    def __init__(self, size: int = ROOM, of_tenant: int = TENANT_ROOM) -> None:
        self.size, self.of_tenant = size, of_tenant
        self.held: Counter[UUID] = Counter()
        self.total = 0

    def has(self, tenant_id: UUID, size: int) -> bool:
        """Whether a tenant may hold this much more."""
        return self.total + size <= self.size and self.held[tenant_id] + size <= self.of_tenant

    def admit(self, tenant_id: UUID) -> None:
        """Take what a listener costs. Raises TooManyStreams and NoRoomForStreams."""
        if self.held[tenant_id] + LISTENER_BYTES > self.of_tenant:
            raise TooManyStreams("your workspace has too many live streams open here: close some, or come again later")
        if self.total + LISTENER_BYTES > self.size:
            raise NoRoomForStreams("too many live streams are open here: come again later")
        self.hold(tenant_id, LISTENER_BYTES)

    def hold(self, tenant_id: UUID, size: int) -> None:
        """Take bytes; give them back as a negative size."""
        self.total += size
        self.held[tenant_id] += size
        if not self.held[tenant_id]:
            del self.held[tenant_id]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a listener wants to know; None and no types mean everything."""

    zap_id: UUID | None = None
    run_id: UUID | None = None
    types: frozenset[NewsType] = frozenset()

    def includes(self, news: "News") -> bool:
        """Whether it wants to know this."""
        return (
            (self.zap_id is None or news.zap_id == self.zap_id)
            and (self.run_id is None or news.run_id == self.run_id)
            and (not self.types or news.type in self.types)
        )


class News(msgspec.Struct, frozen=True, gc=False):
    """One event, ready to be sent to any number of listeners."""

    position: int
    type: str
    zap_id: UUID
    run_id: UUID | None
    frame: bytes


def news_of(event: Told) -> News:
    """The event as it is handed out."""
    tag = str(event.__struct_config__.tag)
    return News(event.position, tag, event.zap_id, getattr(event, "run_id", None), frame(event))


class Listener:
    """One open stream. `after` is the position that it names, `credential` the id of its session or API key.

    `position` is None until the log's reader has welcomed it; `turn` says when it gets its signs of life.
    """

    __slots__ = (
        "_ended", "_readable", "_room", "_unread", "_waiting", "after", "credential", "ends_at", "position",
        "tenant_id", "turn", "wanted", "welcomed",
    )  # fmt: skip

    def __init__(
        self, room: Room, tenant_id: UUID, wanted: Wanted, *, after: int | None, credential: UUID, ends_at: datetime
    ) -> None:
        room.admit(tenant_id)
        self._room = room
        self.tenant_id, self.wanted, self.after = tenant_id, wanted, after
        self.credential, self.ends_at = credential, ends_at
        self.position: int | None = None
        self.turn = 0
        self.welcomed = asyncio.Event()
        self._readable = asyncio.Event()
        self._unread: list[bytes] = []
        self._waiting = 0  # bytes of what is unread
        self._ended = False

    @property
    def takes_more(self) -> bool:
        """Whether it has read so much that it is worth while to look for more."""
        half = UNREAD_BYTES // 2
        return not self._ended and self._waiting < half and self._room.has(self.tenant_id, half)

    def welcome(self, position: int, retry_ms: int, reset: LiveReset | None = None) -> None:
        """Begin: what it is told comes after this position."""
        self.position = position
        self._put(greeting(position, retry_ms) + (frame(reset) if reset else b""))
        self.welcomed.set()

    def reset(self, reset: LiveReset) -> None:
        """Leave out what it has not been told yet, and say so."""
        self.position = reset.position
        self._put(frame(reset))

    def take(self, news: Sequence[News], until: int, *, at_head: bool) -> bool:
        """Tell what it does not know yet, of all news up to a position. Gives whether there was something.

        Where that is more than it may leave unread, it gets the rest once it has read; but who was told everything
        so far, and does not read, is dropped.
        """
        before = self._waiting
        for one in news:
            if self.position is None or one.position <= self.position or not self.wanted.includes(one):
                continue
            if not self._has_room(len(one.frame)):
                if at_head:
                    self.end("too_slow")
                return True
            self._put(one.frame)
            self.position = one.position
        self.position = until
        return self._waiting > before

    def beat(self, now: datetime) -> None:
        """Give a sign of life, if there is nothing else to read; or end, if its time is over."""
        if self.ends_at <= now:
            self.end("expired")
        elif self.position is not None and not self._unread:
            self._put(heartbeat(self.position))

    def end(self, reason: ClosedBecause) -> None:
        """Let it read what there is, and this."""
        if not self._ended:
            self._put(frame(LiveClosed(reason=reason)))
            self._ended = True

    def leave(self) -> None:
        """Nobody reads any more. Gives back its room."""
        self._ended = True
        self._unread.clear()
        self._room.hold(self.tenant_id, -LISTENER_BYTES - self._waiting)
        self._waiting = 0
        self._readable.set()

    async def read(self) -> bytes:
        """All that is unread, once there is something; nothing at the end."""
        while not self._unread and not self._ended:
            self._readable.clear()
            await self._readable.wait()
        read = b"".join(self._unread)
        self._unread.clear()
        self._room.hold(self.tenant_id, -self._waiting)
        self._waiting = 0
        return read

    def _has_room(self, size: int) -> bool:
        return self._waiting + size <= UNREAD_BYTES and self._room.has(self.tenant_id, size)

    def _put(self, data: bytes) -> None:
        if self._ended:
            return
        self._unread.append(data)
        self._waiting += len(data)
        self._room.hold(self.tenant_id, len(data))
        self._readable.set()
