"""Waiting in tests: ask again until it is so, or fail at a deadline. The only place where a test may sleep."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any


async def pause(seconds: float) -> None:
    """For a client that is slow on purpose."""
    await asyncio.sleep(seconds)


async def eventually(check: Callable[[], object], timeout_s: float = 5, interval_s: float = 0.02) -> Any:
    """The first true answer of `check`, plain or async. An OSError or AssertionError from it means "not yet"."""
    deadline = time.monotonic() + timeout_s
    while True:
        failure: Exception | None = None
        try:
            asked = check()
            answer = await asked if inspect.isawaitable(asked) else asked
            if answer:
                return answer
        except (OSError, AssertionError) as error:
            failure = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {timeout_s} s") from failure
        await asyncio.sleep(interval_s)
