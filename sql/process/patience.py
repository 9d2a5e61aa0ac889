"""Waiting: for an event or a while, and longer after each failure in a row."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")
_MOST_DOUBLINGS = 30


async def rest(until: asyncio.Event, seconds: float) -> bool:
    """Wait this long, or until the event is set. Gives whether it is."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await until.wait()
    return until.is_set()


class BackOff(msgspec.Struct):
    """The pauses after failures in a row, in seconds: each is twice as long as the one before, up to the longest."""

    first_s: float
    longest_s: float
    failures: int = 0

    def pause_s(self) -> float:
        """One more failure: how long to pause after it."""
        pause_s = min(self.first_s * 2.0**self.failures, self.longest_s)
        self.failures = min(self.failures + 1, _MOST_DOUBLINGS)
        return pause_s

    def heal(self) -> None:
        """It works again: the next failure is a first one."""
        self.failures = 0


class Patience(Generic[T]):
    """Gives up what is not over in time. All of it has the same time, so it ends in turn, and one timer serves all."""

    def __init__(self, seconds: float, is_over: Callable[[T], bool], give_up: Callable[[T], None]) -> None:
        self._seconds = seconds
        self._is_over = is_over
        self._give_up = give_up
        self._watched: deque[tuple[float, T]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, item: T) -> None:
        """Give it up when the time has passed, unless it is over by then."""
        loop = asyncio.get_running_loop()
        self._forget_ended()
        self._watched.append((loop.time() + self._seconds, item))
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._look)

    def close(self) -> None:
        """Watch nothing any more."""
        self._watched.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _forget_ended(self) -> None:
        while self._watched and self._is_over(self._watched[0][1]):
            self._watched.popleft()

    def _look(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        while self._watched and self._watched[0][0] <= loop.time():
            _ends_at, item = self._watched.popleft()
            if not self._is_over(item):
                self._give_up(item)
        self._forget_ended()
        if self._watched:
            self._timer = loop.call_at(self._watched[0][0], self._look)
