"""When a failed attempt is tried again. Pure arithmetic; randomness is an argument."""

import math
import re
from typing import Annotated, TypeAlias

import msgspec

JITTER = 0.2
"""Each delay is varied at random by this fraction both ways, so that a thousand failures do not return at once."""

DAY_S = 24 * 3600.0
MAX_DELAY_S = 30 * DAY_S
MAX_TOTAL_S = 366 * DAY_S
MAX_ATTEMPTS = 100

RETRY_AFTER_FACTOR = 2.0
RETRY_AFTER_MAX_S = 3600.0
"""A target's Retry-After lengthens a delay, up to twice the scheduled one or up to an hour, whichever is more."""

_CONNECTION = frozenset({"connect", "dns", "tls", "broken"})
_OTHERS = {"timeout": "timeout", "crashed": "crash", "unknown_outcome": "unknown_outcome"}
_GONE = "410"

Delay = Annotated[float, msgspec.Meta(gt=0, le=MAX_DELAY_S)]
Total = Annotated[float, msgspec.Meta(gt=0, le=MAX_TOTAL_S)]
FailureClass = Annotated[
    str, msgspec.Meta(pattern=r"^(connection|timeout|crash|unknown_outcome|[345]xx|[345][0-9][0-9])\Z")
]
"""A kind of failure: `connection`, `timeout`, `crash`, `unknown_outcome`, or an HTTP status such as `429` or `5xx`."""


class RetryPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind"):
    """What all policies share. `max_total_s`: no attempt begins later than that after the first one.

    `on`: the classes of failures that are tried again; absent, the action decides (HTTP: connection, timeout, 408,
    425, 429, 5xx). 410 says that a target is gone for good: only `410` itself includes it, `4xx` does not.
    """

    max_total_s: Total = DAY_S
    on: Annotated[tuple[FailureClass, ...], msgspec.Meta(max_length=50)] | None = None


class ExponentialRetry(RetryPolicy, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="exponential"):
    """The first retry after `first_s`, each further one after `factor` times as long, up to `max_delay_s`."""

    first_s: Delay = 5.0
    factor: Annotated[float, msgspec.Meta(ge=1, le=10)] = 3.0
    max_delay_s: Delay = 4 * 3600.0
    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=MAX_ATTEMPTS)] = 20


class FixedRetry(RetryPolicy, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="fixed"):
    """A retry after each of `delays_s`, in order; none for an empty list."""

    delays_s: Annotated[tuple[Delay, ...], msgspec.Meta(max_length=MAX_ATTEMPTS - 1)] = ()


Policy: TypeAlias = ExponentialRetry | FixedRetry
DEFAULT = ExponentialRetry()


def scheduled_s(policy: Policy, attempt: int) -> float | None:
    """Seconds from the failure of attempt number `attempt` to the next attempt, before jitter; None for no other."""
    match policy:
        case FixedRetry():
            return policy.delays_s[attempt - 1] if 1 <= attempt <= len(policy.delays_s) else None
        case ExponentialRetry():
            if not 1 <= attempt < policy.max_attempts:
                return None
            return min(policy.first_s * policy.factor ** (attempt - 1), policy.max_delay_s)  # below 10^107: no overflow


def retry_delay_s(
    policy: Policy, attempt: int, jitter: float, *, elapsed_s: float = 0.0, retry_after_s: float | None = None
) -> float | None:
    """Seconds until attempt number `attempt` + 1, None when there is none.

    `jitter` in 0..1 picks the place within ±20 %; `elapsed_s` is how long ago the first attempt began;
    `retry_after_s` is the target's Retry-After in seconds.
    """
    scheduled = scheduled_s(policy, attempt)
    if scheduled is None:
        return None
    delay = scheduled * (1 - JITTER + 2 * JITTER * min(max(jitter, 0.0), 1.0))
    if retry_after_s is not None and not math.isnan(retry_after_s):
        delay = max(delay, min(retry_after_s, max(scheduled * RETRY_AFTER_FACTOR, RETRY_AFTER_MAX_S)))
    return delay if elapsed_s + delay <= policy.max_total_s else None


def classes_of(code: str) -> frozenset[str]:
    """The classes of failure of a code; none where no repeat can help."""
    if code in _CONNECTION:
        return frozenset({"connection"})
    if code in _OTHERS:
        return frozenset({_OTHERS[code]})
    status = re.fullmatch(r"http_([345])([0-9]{2})", code)
    if status is None:
        return frozenset()
    exact = status[1] + status[2]
    return frozenset({exact} if exact == _GONE else {exact, f"{status[1]}xx"})


def is_retried(policy: Policy, code: str, *, may_heal: bool) -> bool:
    """Whether a failure of this code is tried again; `may_heal` is the action's own opinion."""
    return may_heal if policy.on is None else not classes_of(code).isdisjoint(policy.on)


def schedule_s(policy: Policy) -> list[float]:
    """All delays of a policy, before jitter, as far as they fit into its total."""
    delays: list[float] = []
    while (delay := scheduled_s(policy, len(delays) + 1)) is not None and sum(delays) + delay <= policy.max_total_s:
        delays.append(delay)
    return delays
