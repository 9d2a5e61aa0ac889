"""When a failed attempt is tried again: pure arithmetic, randomness is an argument."""

import math

SCHEDULE_S: tuple[float, ...] = (5.0, 30.0, 120.0, 600.0)
"""Seconds from a failed attempt to the next one; when the list ends the step has failed for good."""

JITTER = 0.2
"""Each delay is spread evenly by this fraction both ways, so that a thousand failures do not return at once."""

MAX_WISH_FACTOR = 2.0
"""A target's Retry-After lifts a delay, to at most this multiple of the scheduled one (as Svix clamps it)."""


def retry_delay_s(attempt: int, jitter: float, wish_s: float | None = None) -> float | None:
    """Seconds until attempt number `attempt` + 1, None when there is none.

    `jitter` in 0..1 picks the place within ±20 %; `wish_s` is the target's Retry-After in seconds.
    """
    if not 1 <= attempt <= len(SCHEDULE_S):
        return None
    scheduled = SCHEDULE_S[attempt - 1]
    delay = scheduled * (1 - JITTER + 2 * JITTER * min(max(jitter, 0.0), 1.0))
    if wish_s is None or math.isnan(wish_s):
        return delay
    return max(delay, min(wish_s, scheduled * MAX_WISH_FACTOR))
