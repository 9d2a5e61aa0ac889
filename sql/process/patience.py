"""Waiting: for an event or a while, and longer after each failure in a row."""

import asyncio
from contextlib import suppress

import msgspec

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
