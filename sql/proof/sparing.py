"""Verifies the log for whoever asks over the network, without being a burden: bounded, one at a time, with rests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from domain.log.errors import DomainError, Invalid
from sql.proof.verify import ChainReport, verify_chain

MOST_EVENTS = 1_000_000
"""Events that one verification reads: of a longer log the newest, or a range that is named."""
REST = 4
"""A verification is followed by a rest so many times as long: all together take a fifth of the time at most."""
PATIENCE_S = 2.0


class Busy(DomainError, code="busy"):
    """Somebody else's verification is under way, or was a moment ago."""

    def __init__(self, rest_s: float) -> None:
        super().__init__("another verification is under way: repeat this one in a moment")
        self.retry_after_s = max(1.0, rest_s)


class Verified(msgspec.Struct, frozen=True):
    """What was found, and how long that took."""

    report: ChainReport
    duration_ms: float


class SparingVerifier:
    """One for a process."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._lock = asyncio.Lock()
        self._rested_at = 0.0

    async def verify(self, first: int | None, last: int | None, head: int) -> Verified:
        """Check the commits that hold the positions from `first` to `last`, of a log that ends at `head`.

        Where none is named, the newest. Raises Invalid for too many, Busy, and what connections raise.
        """
        until = head if last is None else min(last, head)
        start = max(1, until - MOST_EVENTS + 1) if first is None else first
        if until - start >= MOST_EVENTS:
            raise Invalid(
                f"one request verifies {MOST_EVENTS:,} events at most: ask for a shorter range, or let the operator "
                "run `triggerhub verify`"
            )
        async with self._turn():
            loop = asyncio.get_running_loop()
            started = loop.time()
            # A whole log is also searched for events that no commit holds.
            whole = start == 1 and last is None
            report = await verify_chain(self._dsn, first=start, last=None if whole else until)
            took = loop.time() - started
            self._rested_at = loop.time() + REST * took
            return Verified(report, round(took * 1000, 3))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait a moment for whoever is before, and for the rest after that. Raises Busy."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_S
        try:
            async with asyncio.timeout_at(deadline):
                await self._lock.acquire()
        except TimeoutError:
            raise Busy(PATIENCE_S) from None
        try:
            rest = self._rested_at - loop.time()
            if loop.time() + rest > deadline:
                raise Busy(rest)
            await asyncio.sleep(max(0.0, rest))
            yield
        finally:
            self._lock.release()
