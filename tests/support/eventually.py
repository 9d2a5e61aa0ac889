"""Waiting in tests: ask again until it is so, or fail at a deadline. The only place where a test may sleep."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

SELDOM_S = 0.25
PATIENCE_S = 120.0
"""For what only a busy machine delays."""


async def pause(seconds: float) -> None:
    """For a client that is slow on purpose."""
    await asyncio.sleep(seconds)


async def eventually(check: Callable[[], object], timeout_s: float = PATIENCE_S, interval_s: float = 0.02) -> Any:
    """The first true answer of `check`, plain or async. An OSError or AssertionError from it means "not yet".

    The longer it takes the less often it is asked: to ask takes time from what is waited for.
    """
    began = time.monotonic()
    while True:
        failure: Exception | None = None
        try:
            asked = check()
            answer = await asked if inspect.isawaitable(asked) else asked
            if answer:
                return answer
        except (OSError, AssertionError) as error:
            failure = error
        waited = time.monotonic() - began
        if waited > timeout_s:
            raise AssertionError(f"not so within {timeout_s} s") from failure
        await asyncio.sleep(max(interval_s, min(waited / 10, SELDOM_S)))
