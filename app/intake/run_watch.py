"""Waits for runs to end, for senders that want the outcome: one query for all of them at a time."""

import asyncio
from uuid import UUID

import structlog

from domain.log.event import StreamKind
from domain.log.ports import StoreUnavailable
from projections import run_detail
from projections.run_detail import RunDetail
from sql.log.event_store import PgEventStore

log = structlog.get_logger()
POLL_S = 0.025
"""The longest delay between the end of a run and the answer, while the database answers."""
MAX_WAITING = 1_000
"""Senders that may wait at a time; the others get the run's address at once."""


class RunWatch:
    """The runs that senders of this process wait for."""

    def __init__(self, store: PgEventStore) -> None:
        self._store = store
        self._waiting: dict[UUID, set[asyncio.Future[RunDetail]]] = {}
        self._versions: dict[UUID, int] = {}
        self._polling: asyncio.Task[None] | None = None

    async def outcome(self, run_id: UUID, timeout_s: float) -> RunDetail | None:
        """The run once it has ended, None when that takes longer, or longer than this process lives."""
        if len(self._waiting) >= MAX_WAITING:
            return None
        ended: asyncio.Future[RunDetail] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(run_id, set()).add(ended)
        self._versions.pop(run_id, None)
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll(), name="run watch")
        try:
            async with asyncio.timeout(timeout_s):
                detail = await ended
        except (TimeoutError, asyncio.CancelledError):
            return None  # the run is stored: told to try again, the sender would start another one
        finally:
            self._forget(run_id, ended)
        return detail

    def _forget(self, run_id: UUID, ended: "asyncio.Future[RunDetail]") -> None:
        waiting = self._waiting.get(run_id, set())
        waiting.discard(ended)
        if not waiting:
            self._waiting.pop(run_id, None)
            self._versions.pop(run_id, None)

    async def _poll(self) -> None:
        while self._waiting:
            try:
                await self._look()
            except StoreUnavailable as error:
                log.warning("run_watch.store_unavailable", error=str(error))
            await asyncio.sleep(POLL_S)

    async def _look(self) -> None:
        versions = await self._store.versions(StreamKind.RUN, list(self._waiting))
        grown = [run_id for run_id, version in versions.items() if self._versions.get(run_id) != version]
        for run_id, events in (await self._store.read_streams(StreamKind.RUN, grown)).items() if grown else ():
            self._versions[run_id] = events[-1].version
            detail = run_detail.fold(events)
            if detail.finished_at is not None:
                for ended in self._waiting.get(run_id, ()):
                    if not ended.done():
                        ended.set_result(detail)
