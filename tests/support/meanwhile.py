"""Work that goes on beside a test. What it fails with is the test's failure: nobody else would hear of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def meanwhile(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """They go on until the end, and are cancelled there."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await _ended(tasks)


@asynccontextmanager
async def until_stopped(*roles: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> AsyncIterator[asyncio.Event]:
    """They run until they are asked to stop: at the end, or by a test before that."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(run(stop)) for run in roles]
    try:
        yield stop
    finally:
        stop.set()
        await _ended(tasks)


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
