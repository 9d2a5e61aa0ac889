"""Waiting: for the log to answer again after an outage, or for a while unless the process is to stop."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import structlog
from aiokafka.errors import KafkaError

from domain.log.ports import StoreUnavailable
from sql.postgres.pool import CONNECTION_ERRORS

log = structlog.get_logger()
T = TypeVar("T")
MAX_PAUSE_S = 2.0
RESTART_S = 1.0


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


async def again_until(stop: asyncio.Event, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work again after an outage that it could not wait out inside."""
    while not stop.is_set():
        try:
            await work()
        except (KafkaError, *CONNECTION_ERRORS) as error:
            log.warning("role.interrupted", error=repr(error))
            await rest(stop, RESTART_S)
