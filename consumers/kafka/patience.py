"""Waiting: for the log to answer again after an outage, or for a while unless the process is to stop."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import structlog

from domain.log.ports import StoreUnavailable

log = structlog.get_logger()
T = TypeVar("T")
MAX_PAUSE_S = 2.0


async def patiently(call: Callable[[], Awaitable[T]], outages: tuple[type[Exception], ...] = (StoreUnavailable,)) -> T:
    """The answer of `call`, asked again after each error that is an outage. Raises whatever else it raises."""
    failures = 0
    while True:
        try:
            return await call()
        except outages as error:
            log.warning("store.unavailable", error=repr(error), failures=failures)
            await asyncio.sleep(min(0.1 * 2**failures, MAX_PAUSE_S))
            failures = min(failures + 1, 10)


async def rest(stop: asyncio.Event, seconds: float) -> None:
    """Wait this long, or until `stop`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
