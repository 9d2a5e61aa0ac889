"""The listeners of one API process: they come, are kept up to date, and go. Without any, nothing runs."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

import structlog

from app.live.listeners import Listener, Room, Wanted
from app.live.reader import Reader
from domain.log.errors import DomainError
from domain.log.ports import Clock
from sql.postgres.pool import CONNECTION_ERRORS

log = structlog.get_logger()

HEARTBEAT_S = 15.0
"""Between two signs of life of an idle stream."""
TURNS = 60
"""Parts of that time, in each of which some listeners have theirs: one timer for all, and no crowds."""
LONGEST = timedelta(hours=1)
"""A stream ends after this at the latest, so that whatever its credential was is looked at again."""
WELCOME_S = 3.0
"""How long a listener waits for the log."""

Lasting = Callable[[Collection[UUID]], Awaitable[set[UUID]]]
"""Of some sessions and API keys, those that are still good."""


class LogUnreachable(DomainError, code="unavailable"):
    """The log does not say where it ends."""

    retry_after_s = 1.0


class Live:
    """Where streams are opened. `close` it before the server stops: open streams end at once."""

    def __init__(self, dsn: str, lasting: Lasting, now: Clock, room: Room | None = None) -> None:
        self._lasting = lasting
        self._now = now
        self._room = room or Room()
        self._listeners: dict[Listener, None] = {}
        self._reader = Reader(dsn, self._listeners.keys())
        self._tasks: list[asyncio.Task[None]] = []
        self._turns = count()
        self._closed = False

    async def listen(
        self, tenant_id: UUID, wanted: Wanted, *, after: int | None, credential: UUID, expires_at: datetime | None
    ) -> Listener:
        """A stream that begins behind a position, or now. Whoever reads it calls `leave` in the end.

        `expires_at`: when the credential does. Raises TooManyStreams, NoRoomForStreams and LogUnreachable.
        """
        longest = self._now() + LONGEST
        ends_at = min(expires_at or longest, longest)
        listener = Listener(self._room, tenant_id, wanted, after=after, credential=credential, ends_at=ends_at)
        self._add(listener)
        try:
            async with asyncio.timeout(WELCOME_S):
                await listener.welcomed.wait()
        except TimeoutError:
            self.leave(listener)
            raise LogUnreachable("the log does not answer; try again") from None
        except BaseException:
            self.leave(listener)
            raise
        return listener

    def leave(self, listener: Listener) -> None:
        """The client is gone, or has read the end."""
        if listener in self._listeners:
            del self._listeners[listener]
            listener.leave()
        if not self._listeners:
            self._stop()

    async def read(self, listener: Listener) -> bytes:
        """What the listener has not read yet, once there is something; nothing at the end."""
        read = await listener.read()
        self._reader.has_read(listener)
        return read

    def close(self) -> None:
        """End all streams: the process stops."""
        self._closed = True
        for listener in self._listeners:
            listener.end("stopping")
            listener.welcomed.set()

    def _add(self, listener: Listener) -> None:
        listener.turn = next(self._turns) % TURNS
        self._listeners[listener] = None
        if self._closed:
            self.close()
        elif not self._tasks:
            for work, name in ((self._reader.run(), "live"), (self._beat(), "live heartbeats")):
                task = asyncio.create_task(work, name=name)
                task.add_done_callback(self._ended)
                self._tasks.append(task)
        self._reader.wake()

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Whatever broke, clients come again, and find a new reader."""
        if task.cancelled():
            return
        log.error("live.task_ended", task=task.get_name(), exc_info=task.exception())
        for listener in self._listeners:
            listener.end("stopping")
        self._stop()

    async def _beat(self) -> None:
        while True:
            for turn in range(TURNS):
                await asyncio.sleep(HEARTBEAT_S / TURNS)
                now = self._now()
                for listener in self._listeners:
                    if listener.turn == turn:
                        listener.beat(now)
            await self._look_at_credentials()

    async def _look_at_credentials(self) -> None:
        """End the streams of those who signed out, or whose key was deleted."""
        try:
            lasting = await self._lasting({listener.credential for listener in self._listeners})
        except CONNECTION_ERRORS as error:
            log.info("live.credentials_unknown", error=repr(error))
            return
        for listener in self._listeners:
            if listener.credential not in lasting:
                listener.end("revoked")
