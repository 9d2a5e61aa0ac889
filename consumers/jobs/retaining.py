"""The job that archives and drops now what is over, as a scheduler does every hour: of one tenant, month by month."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from consumers.jobs.kinds import Outcome, Refused
from consumers.jobs.payloads import Payloads
from consumers.scheduler.retention import NOT_YET, served
from domain.job.job import LoadedJob
from domain.log.event import StreamKind
from domain.log.ports import Clock
from sql.log.event_store import PgEventStore
from sql.postgres.queries import Queries

_queries = Queries("queries/retention.sql")
PAYLOADS = UUID(int=2**128 - 1)
"""In place of a month: payloads whose time is over. It comes last."""


class Retain:
    """Takes each month that is over as one thing, then payloads."""

    read_models: Sequence[str] = ("run_list", "zap_list")
    stream_kinds: Collection[StreamKind] = ()
    leaves: str | None = None
    in_order: bool = False

    def __init__(self, store: PgEventStore, payloads: Payloads, archive: str, clock: Clock) -> None:
        self._store = store
        self._payloads = payloads
        self._archive = archive
        self._clock = clock

    async def next(self, _loaded: LoadedJob, after: UUID | None, limit: int) -> list[UUID]:
        """The months that are left, as numbers such as 202603."""
        rows = await self._store.pool.fetch(_queries["months"], self._clock())
        ids = [*(UUID(int=int(f"{row[0]:%Y%m}")) for row in rows), PAYLOADS]
        return [one for one in ids if after is None or one > after][:limit]

    async def do(self, loaded: LoadedJob, batch: Sequence[UUID]) -> list[Outcome]:
        """Drop each. A month of which nothing is over is done at once; what was dropped is so once."""
        return [await self._of(loaded, one) for one in batch]

    async def _of(self, loaded: LoadedJob, one: UUID) -> Outcome:
        stop = asyncio.Event()
        if one == PAYLOADS:
            await self._payloads.forget_old(self._clock(), stop, only=loaded.tenant_id)
            return None
        month = datetime.strptime(str(one.int), "%Y%m").date()  # noqa: DTZ007 - a month, not a moment
        code = await served(self._store.dsn, self._archive, stop, loaded.tenant_id, month)
        if code == 0:
            return None
        why = "a read model is being built anew" if code == NOT_YET else "what went wrong is in the scheduler's log"
        return Refused("failed", f"{month:%Y-%m} was not dropped, ask again later: {why}")
