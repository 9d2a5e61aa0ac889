"""Durations as counts by length, which add up in any order, and what percentiles they give.

Lengths grow by a tenth from one to the next, and each stands for the middle of its stretch: a percentile is off by less
than five in a hundred (as in DDSketch, Masson et al. 2019).
"""

import math
from collections.abc import Mapping, Sequence

GROWTH = 1.1
LEAST_MS = 0.01
"""What is shorter counts as this."""
_LOG = math.log(GROWTH)


def length_of(milliseconds: float) -> int:
    """The number of a duration's stretch; 0 for the least."""
    return max(0, math.ceil(math.log(max(milliseconds, LEAST_MS) / LEAST_MS) / _LOG - 1e-9))


def milliseconds_of(length: int) -> float:
    """What a stretch stands for, in milliseconds."""
    return float(f"{LEAST_MS * GROWTH**length * 2 / (1 + GROWTH):.4g}") if length else LEAST_MS


def percentiles(counts: Mapping[int, int], wanted: Sequence[float]) -> list[float | None]:
    """The duration below which each share of all lies; None where there are none."""
    total = sum(counts.values())
    if not total:
        return [None for _ in wanted]
    return [milliseconds_of(_at(counts, max(1, math.ceil(share * total)))) for share in wanted]


def _at(counts: Mapping[int, int], rank: int) -> int:
    seen = 0
    for length in sorted(counts):
        seen += counts[length]
        if seen >= rank:
            return length
    raise ValueError(rank)
