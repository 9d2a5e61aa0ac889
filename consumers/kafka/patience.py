"""Outages of the log and the broker, waited out."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from domain.log.ports import StoreUnavailable
from sql.postgres.pool import CONNECTION_ERRORS
from sql.process.patience import BackOff, rest

log = structlog.get_logger()
T = TypeVar("T")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
RESTART_S = 1.0


async def patiently(call: Callable[[], Awaitable[T]], outages: tuple[type[Exception], ...] = (StoreUnavailable,)) -> T:
    """The answer of `call`, asked again after each error that is an outage. Raises whatever else it raises."""
    back_off: BackOff | None = None  # most calls need none
    while True:
        try:
            return await call()
        except outages as error:
            back_off = back_off or BackOff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
            log.warning("store.unavailable", error=repr(error), failures=back_off.failures)
            await asyncio.sleep(back_off.pause_s())


async def again_until(stop: asyncio.Event, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work again after an outage that it could not wait out inside."""
    from aiokafka.errors import KafkaError  # which loads its clients, and not all that wait for the log have one

    while not stop.is_set():
        try:
            await work()
        except (KafkaError, *CONNECTION_ERRORS) as error:
            log.warning("role.interrupted", error=repr(error))
            await rest(stop, RESTART_S)
