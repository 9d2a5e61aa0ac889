"""The record of requests that start no run: each is an event, within bounds that no sender can exceed.

For each zap and minute a number of requests is recorded one by one. Further ones are counted, and the counts are one
event per reason and minute. A killed process loses counts that it has not written yet, and nothing else.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from domain.intake.events import Reason, RequestRejected, RequestsCounted
from domain.log.event import Metadata, NewEvent, StreamKind
from domain.log.ports import Clock, EventStore, NewId, StoreUnavailable
from domain.log.stream import facts
from sql.process.patience import rest

log = structlog.get_logger()

PER_MINUTE = 60
"""Requests of one zap that are recorded one by one, in each API process."""
BYTES_PER_MINUTE = 16 * 2**20
"""Of whole requests that are kept to be admitted later; beyond that, only what they were."""
MAX_REPEATS = 100
"""Runs that a count of duplicates names."""
MAX_ZAPS = 10_000
"""Zaps with counts that are not yet written; those beyond are not counted."""
MINUTE_S = 60.0
SETTLE_S = 1.0
"""How long the first count waits for others."""
TICK_S = 0.25


class _Account(msgspec.Struct):
    """What happened at one zap. Moments are monotonic, but for `since`."""

    tenant_id: UUID
    opened_at: float
    due_at: float
    since: datetime
    recorded: int = 0
    kept: int = 0
    counts: dict[Reason, int] = {}
    repeats: dict[str, int] = {}


class RequestLog:
    """Accounts of this process. Run `write_counts` beside the server."""

    def __init__(
        self, store: EventStore, now: Clock, new_id: NewId, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._now = now
        self._new_id = new_id
        self._monotonic = monotonic
        self._accounts: dict[UUID, _Account] = {}

    async def record(self, tenant_id: UUID, rejected: RequestRejected, request_id: UUID | None = None) -> UUID | None:
        """Record a request and give its id; None where there is no room left in this minute, so it is counted.

        Raises StoreUnavailable.
        """
        account = self._account(rejected.zap_id, tenant_id)
        if account is None or account.recorded >= PER_MINUTE:
            self.count(rejected.zap_id, tenant_id, rejected.reason)
            return None
        account.recorded += 1
        if rejected.request is not None:
            account.kept += len(rejected.request.body)
            if account.kept > BYTES_PER_MINUTE:
                rejected = msgspec.structs.replace(rejected, request=None)
        request_id = request_id or self._new_id()
        await self._append(tenant_id, rejected.zap_id, NewEvent(request_id, rejected))
        return request_id

    def count(self, zap_id: UUID, tenant_id: UUID, reason: Reason, run_id: UUID | None = None) -> None:
        """Count one more request, of which nothing else is kept; for a duplicate, with its run."""
        account = self._account(zap_id, tenant_id)
        if account is None:
            return
        account.counts[reason] = account.counts.get(reason, 0) + 1
        if run_id is not None:
            run = str(run_id)
            if run in account.repeats or len(account.repeats) < MAX_REPEATS:
                account.repeats[run] = account.repeats.get(run, 0) + 1

    async def write_counts(self, ending: asyncio.Event) -> None:
        """Write what is due, and at the end all that is left. Do not cancel it: counts on their way would be lost."""
        while not await rest(ending, TICK_S):
            await self._write(self._monotonic())
        await self.flush()

    async def flush(self) -> None:
        """Write all counts now, as far as the log takes them."""
        await self._write(float("inf"))

    def _account(self, zap_id: UUID, tenant_id: UUID) -> _Account | None:
        moment = self._monotonic()
        account = self._accounts.get(zap_id)
        if account is None:
            if len(self._accounts) >= MAX_ZAPS:
                return None
            account = self._accounts[zap_id] = _Account(tenant_id, moment, moment + SETTLE_S, self._now())
        elif moment - account.opened_at >= MINUTE_S:
            account.opened_at, account.recorded, account.kept = moment, 0, 0
        return account

    async def _write(self, moment: float) -> None:
        for zap_id, account in list(self._accounts.items()):
            if account.due_at > moment:
                continue
            if not account.counts:
                if moment - account.opened_at >= MINUTE_S:
                    del self._accounts[zap_id]
                continue
            counts, repeats, since = account.counts, account.repeats, account.since
            account.counts, account.repeats, account.since = {}, {}, self._now()
            account.due_at = self._monotonic() + MINUTE_S
            events = [
                RequestsCounted(
                    zap_id=zap_id,
                    reason=reason,
                    count=count,
                    since=since,
                    until=account.since,
                    repeats=repeats if reason == "duplicate" else {},
                )
                for reason, count in counts.items()
            ]
            try:
                await self._append(account.tenant_id, zap_id, *(NewEvent(self._new_id(), event) for event in events))
            except StoreUnavailable as error:
                # They may be in the log all the same; counting too few is better than counting twice.
                log.warning("intake.counts_lost", zap_id=str(zap_id), counts=counts, error=str(error))

    async def _append(self, tenant_id: UUID, zap_id: UUID, *events: NewEvent) -> None:
        """In a stream of their own, so that retention can drop it with its month."""
        await self._store.append(
            facts(
                zap_id,
                tenant_id,
                *events,
                metadata=Metadata(actor="hook"),
                kind=StreamKind.REQUEST,
                stream_id=events[0].event_id,
                expected=0,
            )
        )
