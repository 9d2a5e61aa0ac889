"""Serial zaps: for each ordering key one run at a time, in the order of the requests, retries included.

The queue is a table (sql/queries/serial_runs.sql). A run enters it when its request arrives, and leaves it once it has
ended. Only the first run is carried on; while it waits for a retry, the others wait, too. So the order survives
restarts and changes of the runner, and waiting runs take no memory. One that was cancelled in the middle of the queue
may have left the log by the time that it is the first: retention knows nothing of queues.
"""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from uuid import UUID

import asyncpg
import msgspec
import structlog

from consumers.kafka.patience import patiently
from consumers.runner.family import Family
from domain.log.event import StreamKind
from domain.log.partitioning import partition_of
from domain.log.ports import StoreUnavailable
from domain.registry import UnknownEvent
from domain.run.state import ActiveRun, EndedRun, LoadedRun
from domain.zap.definition import Definition
from domain.zap.settings import Concurrency
from sql.log.event_store import PgEventStore
from sql.postgres.pool import CONNECTION_ERRORS
from sql.postgres.queries import Queries, Query

log = structlog.get_logger()
_queries = Queries("queries/serial_runs.sql")

STUCK_S = 30.0
"""How soon a run is tried again that could not be carried on, because this release cannot read it or has a bug."""


class QueuedRun(msgspec.Struct, frozen=True):
    """A run of a serial zap, and how the zap orders its runs."""

    run: LoadedRun
    concurrency: Concurrency


def concurrency_of(definition: Definition) -> Concurrency | None:
    """How a version orders its runs; None where it does not."""
    concurrency = definition.behaviour.concurrency
    return concurrency if concurrency.mode == "serial" else None


class SerialRuns:
    """The queues of the partitions that this runner owns; their first runs are carried on."""

    def __init__(self, store: PgEventStore, family: Family, partitions: int) -> None:
        self._store = store
        self._executor = family.executor
        self._family = family
        family.wake_serial = self._wake_for
        self._lanes = family.lanes
        self._rooms = family.rooms
        self._partitions = partitions
        self._owned: set[int] = set()
        self._entered: dict[UUID, int] = {}
        self._woken: set[UUID] = set()

    async def own(self, partitions: Iterable[int]) -> None:
        """Take partitions over, with the runs that wait in their queues."""
        rows = await self._store.pool.fetch(_queries["keys"])
        self._owned.update(partitions)
        for row in rows:
            if partition_of(row[0], self._partitions) in self._owned:
                self._entered.setdefault(row[0], 0)
                self.wake(row[0])

    async def give_up(self, partitions: Iterable[int]) -> None:
        """Begin no other run of these partitions, and wait until those under way have recorded something."""
        self._owned.difference_update(partitions)
        theirs = [key for key in self._entered if partition_of(key, self._partitions) not in self._owned]
        try:
            await self._lanes.finished(theirs)
        finally:  # also when time runs out: whoever owns them next enters them anew
            for key in theirs:
                self._entered.pop(key, None)

    @property
    def any(self) -> bool:
        """Whether any queue may hold runs."""
        return bool(self._entered)

    def knows(self, ordering_key: UUID) -> bool:
        """Whether a run of this key may be in the queue."""
        return ordering_key in self._entered

    async def entry(self, run: LoadedRun) -> QueuedRun | None:
        """The run as its serial zap's queue takes it. None for runs of other zaps, and for items of a run's loop."""
        parent = run.state.requested.parent
        of_queued = parent is not None and parent.of_loop and parent.waits
        if run.ordering_key == run.id or not isinstance(run.state, ActiveRun) or of_queued:
            return None
        version = await self._executor.version_of(run.state)
        concurrency = concurrency_of(version.definition) if version else None
        return QueuedRun(run, concurrency) if concurrency else None

    async def _wake_for(self, run: LoadedRun) -> bool:
        """Carry the run on by its queue, if it is in one."""
        if await self.entry(run) is None:
            return False
        self.wake(run.ordering_key)
        return True

    async def enter(self, entries: Sequence[QueuedRun]) -> None:
        """Put runs into their queues, in order, and apply `when_busy` where a zap is busy.

        A run that is in its queue already keeps its place. Once this returns, the queues hold the runs, even if this
        process dies.
        """
        for entry in entries:
            self._entered[entry.run.ordering_key] = self._entered.get(entry.run.ordering_key, 0) + 1
        await self._ask(
            _queries["enter"],
            [entry.run.ordering_key for entry in entries],
            [entry.run.first.position for entry in entries],
            [entry.run.id for entry in entries],
        )
        for entry in entries:
            if entry.concurrency.when_busy != "queue":
                await self._settle(entry)
            self.wake(entry.run.ordering_key)

    def wake(self, ordering_key: UUID) -> None:
        """Carry on the first run of a queue, unless that is about to happen anyway. Each queue has turns of its own."""
        if ordering_key not in self._woken:
            self._woken.add(ordering_key)
            self._lanes.submit(ordering_key, partial(self._carry_on, ordering_key), ordering_key)

    async def _settle(self, entry: QueuedRun) -> None:
        """Where another run is under way, end that one or the new one."""
        new = entry.run
        for row in await self._ask(_queries["ahead"], new.ordering_key, new.first.position):
            try:
                old = await self._executor.recording.find(row[1])
            except (UnknownEvent, msgspec.DecodeError):
                log.exception("runner.unreadable_run", run_id=str(row[1]))
                continue  # the new run waits behind it
            if old is not None and isinstance(old.state, ActiveRun):
                if entry.concurrency.when_busy == "drop_new":
                    await self._executor.cancel(new, "busy", f"run {old.id} was on its way")
                    await self._leave(new.ordering_key, new.first.position)
                    return
                await self._executor.cancel(old, "superseded", f"run {new.id} was requested")
            await self._leave(new.ordering_key, row[0])

    async def _carry_on(self, key: UUID) -> None:
        self._woken.discard(key)
        try:
            while partition_of(key, self._partitions) in self._owned:
                entered = self._entered.get(key)
                first = await self._ask(_queries["first"], key)
                if not first:
                    if self._entered.get(key) == entered:
                        self._entered.pop(key, None)
                    return
                if not await self._ends(key, first[0][1]):
                    return
                await self._leave(key, first[0][0])
        except Exception:
            # The runs behind it wait until it can be carried on; the operator sees this line.
            log.exception("runner.serial_run_stuck", ordering_key=str(key))
            asyncio.get_running_loop().call_later(STUCK_S, self.wake, key)

    async def _ends(self, key: UUID, run_id: UUID) -> bool:
        """Carry a run on. Whether it is over now; also where it has left the log, as it was over long ago."""
        sizes = await patiently(partial(self._store.sizes, StreamKind.RUN, [run_id]))
        async with self._rooms.of(key, sizes.get(run_id, 0)):
            found = await self._executor.recording.find(run_id)
            run = await self._executor.advance(found) if found else None
        if run is not None:
            await self._family.ended(run)
        return run is None or isinstance(run.state, EndedRun)

    async def _leave(self, key: UUID, position: int) -> None:
        await self._ask(_queries["leave"], key, position)

    async def _ask(self, query: Query, *arguments: object) -> "list[asyncpg.Record]":
        async def ask() -> "list[asyncpg.Record]":
            try:
                return await self._store.pool.fetch(query, *arguments)
            except CONNECTION_ERRORS as error:
                raise StoreUnavailable(repr(error)) from error

        return await patiently(ask)
