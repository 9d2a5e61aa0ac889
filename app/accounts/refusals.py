"""What was refused to accounts, on record within bounds: failed sign-ins, and what a key may not do.

Of each account and kind some are recorded one by one in a minute; further ones are counted, and the count is one event.
They are written beside the answers, so that no answer tells by its time whether there is such an account.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from domain.account.identity import AccessRefused, SignInFailed
from domain.log.event import Append, Metadata, NewEvent
from domain.log.ports import AppendRefused, Clock, EventStore, NewId, StoreUnavailable
from domain.log.stream import facts
from sql.process.patience import rest

log = structlog.get_logger()
ONE_BY_ONE = 10
"""Of one account and kind in a minute, in each API process."""
MAX_ACCOUNTS = 10_000
"""Accounts that are looked after at once; what is refused to others meanwhile is not on record."""
MINUTE_S = 60.0
TICK_S = 0.25

Refused = SignInFailed | AccessRefused


class _Minute(msgspec.Struct):
    """What was refused of one kind to one account; `last` stands for those that were only counted."""

    opened_at: float
    since: datetime
    recorded: int = 0
    counted: int = 0
    last: Refused | None = None
    metadata: Metadata = Metadata()


class Refusals:
    """The record of this process. Run `write` beside the server."""

    def __init__(
        self, store: EventStore, now: Clock, new_id: NewId, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._now = now
        self._new_id = new_id
        self._monotonic = monotonic
        self._minutes: dict[tuple[UUID, type[Refused]], _Minute] = {}
        self._waiting: list[Append] = []

    def note(self, user_id: UUID, refused: Refused, metadata: Metadata) -> None:
        """Have it recorded, or counted where there were many in this minute."""
        key = user_id, type(refused)
        minute = self._minutes.get(key)
        if minute is None:
            if len(self._minutes) >= MAX_ACCOUNTS:
                return
            minute = self._minutes[key] = _Minute(self._monotonic(), self._now())
        if minute.recorded < ONE_BY_ONE:
            minute.recorded += 1
            self._waiting.append(self._append(user_id, refused, metadata))
            return
        minute.counted += 1
        minute.last, minute.metadata = refused, metadata

    async def write(self, ending: asyncio.Event) -> None:
        """Write what there is, counts once their minute is over, and at the end all that is left.

        Do not cancel it: an event would be lost that is on its way.
        """
        while not await rest(ending, TICK_S):
            self._close_minutes(self._monotonic() - MINUTE_S)
            await self._write()
        self._close_minutes(float("inf"))
        await self._write()

    def _close_minutes(self, before: float) -> None:
        for (user_id, kind), minute in list(self._minutes.items()):
            if minute.opened_at > before:
                continue
            del self._minutes[user_id, kind]
            if minute.last is not None:
                counted = msgspec.structs.replace(minute.last, count=minute.counted, since=minute.since)
                self._waiting.append(self._append(user_id, counted, minute.metadata))

    async def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        for append in waiting:
            try:
                await self._store.append(append)
            except (StoreUnavailable, AppendRefused) as error:
                # It may be in the log all the same; one too few is better than one twice.
                log.warning("refusals.lost", user_id=str(append.tenant_id), error=str(error))

    def _append(self, user_id: UUID, refused: Refused, metadata: Metadata) -> Append:
        return facts(user_id, user_id, NewEvent(self._new_id(), refused), metadata=metadata)
