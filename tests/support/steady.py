"""A steady rate, whatever each turn takes."""

import asyncio
import time
from collections.abc import AsyncIterator


async def steady(per_second: float, seconds: float = float("inf")) -> AsyncIterator[int]:
    """Turns, counted from 1; those that are late come one right after the other."""
    began, count = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        while count < passed * per_second:
            count += 1
            yield count
        await asyncio.sleep(1 / per_second)
