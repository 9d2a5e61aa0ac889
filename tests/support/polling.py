"""Waiting in tests: ask again until it is so, or fail at a deadline. Never a bare sleep."""

import asyncio
import inspect
import time
from collections.abc import Callable


async def eventually(check: Callable[[], object], within_s: float = 20, every_s: float = 0.02) -> None:
    """Return once `check`, plain or async, is true. An OSError or AssertionError from it means "not yet"."""
    deadline = time.monotonic() + within_s
    while True:
        failure: Exception | None = None
        try:
            answer = check()
            if await answer if inspect.isawaitable(answer) else answer:
                return
        except (OSError, AssertionError) as error:
            failure = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {within_s} s") from failure
        await asyncio.sleep(every_s)
