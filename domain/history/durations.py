"""Durations as counts by length, which add up in any order, and what percentiles they give.

Lengths grow by a tenth from one to the next, and each stands for the middle of its stretch: a percentile is off by less
than five in a hundred (as in DDSketch, Masson et al. 2019).
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import accumulate

GROWTH = 1.1
LEAST_MS = 0.01
"""What is shorter counts as this."""
_LOG = math.log(GROWTH)


def length_of(milliseconds: float) -> int:
    """The number of a duration's stretch; 0 for the least."""
    return max(0, math.ceil(math.log(max(milliseconds, LEAST_MS) / LEAST_MS) / _LOG - 1e-9))


@cache  # there are a few hundred
def milliseconds_of(length: int) -> float:
    """What a stretch stands for, in milliseconds."""
    return float(f"{LEAST_MS * GROWTH**length * 2 / (1 + GROWTH):.4g}") if length else LEAST_MS


def percentiles(counts: Mapping[int, int], wanted: Sequence[float]) -> list[float | None]:
    """The duration below which each share of all lies; None where there are none."""
    lengths = sorted(counts)
    seen = list(accumulate(map(counts.__getitem__, lengths)))
    if not seen or not seen[-1]:
        return [None for _ in wanted]
    ranks = (max(1, math.ceil(share * seen[-1])) for share in wanted)
    return [milliseconds_of(lengths[bisect_left(seen, rank)]) for rank in ranks]
