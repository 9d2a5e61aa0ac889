"""Memory that a process no longer needs: how often that is looked for, and that the system has it back."""

import ctypes
import gc
from collections.abc import Mapping

MALLOC: Mapping[str, str] = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(128 * 2**10),
    "MALLOC_TRIM_THRESHOLD_": str(2**20),
}
"""For the environment of a child: glibc gives large blocks back at once, whatever sizes it has met before."""

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; other systems do without


def collect_rarely() -> None:
    """What was imported stays: the collector need not look at it again, nor run at every 700 new objects."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def give_back() -> None:
    """After a connection to the broker broke: errors refer to one another and to its last answers.

    Those are megabytes, which the collector takes for a few objects and leaves for hours.
    """
    gc.collect()
    trim()


def trim() -> None:
    """After much work that left little: free pages lie between those in use, where glibc keeps them."""
    if _trim is not None:
        _trim(0)
