"""When refused runs retry: at staggered times, as fast as they can be served, never all at once."""

from collections.abc import Callable

MAX_WAIT_S = 3600.0
"""A longer wait is cut to a random moment within this hour, when the run gets another turn."""
JITTER = 0.1
"""Each wait is lengthened by up to this fraction, at random: other processes hand out turns without knowing ours."""


class Turns:
    """Hands out moments in the future. It remembers only the last one, so it stays small however many wait."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._last = float("-inf")

    def after_s(self, now: float, soonest: float, every_s: float) -> float:
        """Seconds from `now` until the next turn: not before `soonest`, and `every_s` after the turn before it."""
        self._last = max(soonest, self._last + every_s)
        if self._last - now > MAX_WAIT_S:
            self._last = now + MAX_WAIT_S
            return MAX_WAIT_S * (1 + self._random()) / 2
        return (self._last - now) * (1 + JITTER * self._random())
