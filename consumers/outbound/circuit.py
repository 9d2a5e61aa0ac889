"""Whether a target may be called now. Pure: moments are arguments, in seconds of a monotonic clock."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from consumers.outbound.turns import Turns

FAILURES = 20
"""This many failures in a row open the circuit."""
OPEN_S = 5.0
"""How long it stays open for the first time; each failed probe doubles that ..."""
MAX_OPEN_S = 300.0
"""... up to this, give or take a fifth."""
MAX_RETRY_AFTER_S = 3600.0
"""The longest Retry-After that is respected."""
FIRST_CALLS = 2
"""Concurrent calls after a successful probe. Each success allows one more, so each round doubles them."""
ALL_CALLS = 200
"""From this many on, calls are no longer counted."""
RETURNS_PER_S = 100
"""How many refused runs retry per second."""
SOON_S = 1.0
OUTAGE = (0.25, 0.5)
"""A refused run waits for this fraction of the time that the target has been down. So 10,000 waiting runs do not all
try every few minutes during a long outage, and none of them waits more than half as long again."""
MAX_OUTAGE_S = 7200.0

Verdict: TypeAlias = Literal["ok", "failing", "unknown"]
"""What a call shows of its target: it answers; it fails or does not answer; nothing, because nothing was sent."""


class Call(msgspec.Struct, eq=False):
    """A call that may be made. `round` counts the changes between open and closed that came before it."""

    round: int


class Circuit:
    """Closed: calls pass. Open: none do, for a time; after it one probe at a time, until one succeeds."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._turns = Turns(random)
        self._failures = 0
        self._trips = 0
        self._down_since: float | None = None
        self._open_until = 0.0
        self._probe: Call | None = None
        self._allowed: int | None = None
        self._under_way = 0
        self._round = 0

    def enter(self, now: float) -> Call | None:
        """Permission for one call, to be returned with `leave`; None where the call must not be made now."""
        call = Call(self._round)
        if self._down_since is not None:
            if now < self._open_until or self._probe is not None:
                return None
            self._probe = call
        elif self._allowed is not None and self._under_way >= self._allowed:
            return None
        else:
            self._under_way += 1
        return call

    def leave(self, call: Call, now: float, verdict: Verdict, retry_after_s: float | None = None) -> None:
        """Report the result of a call; `retry_after_s` is the target's Retry-After."""
        current = call.round == self._round
        if call is self._probe:
            self._probe = None
        elif current:
            self._under_way -= 1
        if verdict == "ok":
            self._succeeded()
        elif verdict == "failing" and retry_after_s is not None:
            self._open(now, min(max(retry_after_s, SOON_S), MAX_RETRY_AFTER_S))
        elif verdict == "failing" and current:
            self._failed(now)

    def after_s(self, now: float) -> float:
        """For a refused call: the seconds until it may retry."""
        every_s = 1 / RETURNS_PER_S
        if self._down_since is None:
            return self._turns.after_s(now, now + SOON_S, every_s)
        soonest = max(self._open_until, now + (OPEN_S if self._probe else SOON_S))
        low, high = OUTAGE
        outage_s = min(now - self._down_since, MAX_OUTAGE_S) * (low + (high - low) * self._random())
        return max(self._turns.after_s(now, soonest, every_s), outage_s)

    def _succeeded(self) -> None:
        self._failures = 0
        if self._down_since is not None:
            self._down_since, self._open_until = None, 0.0
            self._allowed = FIRST_CALLS
            self._next_round()
        elif self._allowed is not None:
            self._allowed += 1
            if self._allowed >= ALL_CALLS:
                self._allowed, self._trips = None, 0

    def _failed(self, now: float) -> None:
        self._failures += 1
        if self._down_since is not None or self._failures >= FAILURES:
            spread = 0.8 + 0.4 * self._random()
            self._open(now, min(OPEN_S * 2**self._trips, MAX_OPEN_S) * spread)
            self._trips = min(self._trips + 1, 10)

    def _open(self, now: float, seconds: float) -> None:
        self._open_until = max(self._open_until, now + seconds)
        if self._down_since is None:
            self._down_since = now
            self._next_round()

    def _next_round(self) -> None:
        self._round += 1
        self._failures = self._under_way = 0
