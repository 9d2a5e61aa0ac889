"""The runner: takes run events from the topic and carries each run on. Kafka only wakes it; the log decides."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from uuid import UUID

import structlog

from consumers.children.unstored import Requests
from consumers.connectors import catalogs
from consumers.credentials.losses import connected
from consumers.credentials.variables import Variables
from consumers.dialogues.dialogues import Dialogues
from consumers.files.run_files import AllFiles
from consumers.kafka.gaps import GapReports
from consumers.kafka.handover import Handover
from consumers.kafka.lanes import Lanes
from consumers.kafka.subscription import ConsumerConfig, Record, Records, Subscription
from consumers.kafka.tail import Tail
from consumers.kafka.watermark import Watermark, Watermarks
from consumers.outbound.client import Outbound
from consumers.outbound.targets import Targets
from consumers.rendering.rendering import Rendering
from consumers.runner.carrying import Carrying
from consumers.runner.executor import Executor
from consumers.runner.family import Family
from consumers.runner.head_starts import HeadStarts
from consumers.runner.serial_runs import SerialRuns
from consumers.runner.shares.room import Rooms
from consumers.runner.shares.slots import Slots
from consumers.runner.wake_ups import (
    ENDING_EVENTS,
    SERIAL_TAIL_TYPES,
    STOPPING_EVENTS,
    TAIL_TYPES,
    WAKING_EVENTS,
    RunMessage,
    concerns_others,
)
from domain import envelope
from domain.connector.catalog import Catalog
from domain.hook.hops import NO_HOPS, OWN_PER_MINUTE, Hops, own_runs
from domain.log.event import StoredEvent
from domain.log.partitioning import partition_of
from domain.log.ports import Clock
from domain.run.links import NO_LINKS, Links
from sql.files.store import FileStore
from sql.log.event_store import PgEventStore
from sql.postgres.pool import CONNECTION_ERRORS
from sql.postgres.queries import Queries
from sql.process.clock import new_id, now
from sql.process.readiness import tell_ready
from sql.tables.connectors import ConnectorTables
from sql.tables.memories import MemoryTables
from sql.tables.rate_limits import RateLimits

log = structlog.get_logger()
_runner = Queries("queries/runner.sql")

MAX_OPEN = 10_000
"""Runs taken from the topic and not finished; past this the runner stops taking more."""
CONCURRENCY = 400
"""Actions running at once in one process; a tenant alone has half of them, see consumers.runner.shares.slots."""
CONCURRENCY_PER_ZAP = 100
"""Actions of one zap running at once: a target that hangs must leave room for the others."""
PART = 50
"""Messages that are decoded in one go: a few milliseconds."""
SAVE_EVERY_S = 0.5
DRAIN_S = 10.0


class Runner:
    """Consumes the topic, carries runs on, each in a lane of its own, and keeps a watermark per partition."""

    def __init__(
        self,
        store: PgEventStore,
        catalog: Catalog,
        http: Outbound,
        config: ConsumerConfig,
        *,
        partitions: int,
        hops: Hops = NO_HOPS,
        links: Links = NO_LINKS,
        encryption_key: str = "",
        files: FileStore | None = None,
        clock: Clock = now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        limits = RateLimits(store.pool)
        targets = Targets(http, limits, clock=clock, monotonic=monotonic, random=random.random)
        self._rendering = Rendering()
        self._dialogues = Dialogues(http.allowed)
        self._executor = Executor(
            store,
            catalogs(catalog, ConnectorTables(store.pool)),
            targets,
            clock=clock,
            new_id=new_id,
            slots=Slots(CONCURRENCY, CONCURRENCY_PER_ZAP),
            rendering=self._rendering,
            hops=hops,
            links=links,
            memories=MemoryTables(store.pool, clock).of,
            allowance=partial(_may_start_again, limits),
            credentials=connected(store, encryption_key, clock, targets, new_id),
            dialogues=self._dialogues,
            files=AllFiles(files or FileStore(store.pool, clock, new_id), store),
            variables=Variables(store.pool, encryption_key).of,
        )
        self._lanes = Lanes(MAX_OPEN)
        self._head_starts = HeadStarts(partitions)
        self._family = Family(self._executor, self._lanes, Rooms(), self._head_starts)
        work = self._executor.children.work
        work.starts, work.owns, work.requests = self._family, self._owns, Requests(store)
        self._serial = SerialRuns(store, self._family, partitions)
        self._carrying = Carrying(store, self._family, self._serial)
        self._marks = Watermarks(self._gates, GapReports(store.pool, "runner"), config.message_keys)
        self._head_at_assignment = 0
        self._partitions = partitions
        self._taking = asyncio.Lock()
        self._handover = Handover(self._marks, rest=self._serial.give_up, save=self._save, forget=self._give_up)
        self._subscription = Subscription(config, self._handle, self._assigned, self._handover.revoked, dsn=store.dsn)
        self._tail = Tail(
            store.dsn,
            self._marks,
            self._tail_types,
            self._follow,
            may_lead=lambda: not self._handover.is_under_way and self._subscription.is_owner(),
            shares=lambda: len(self._marks.by_partition) < partitions,
            behind=self._subscription.expect,
        )
        self._subscription.leads = self._subscription.watched = lambda: self._tail.leads

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop`, then finish or give up what is open, and save the watermarks."""
        beside = [asyncio.create_task(self._save_for_ever()), asyncio.create_task(self._tail.run())]
        try:
            await self._subscription.run(stop)
        finally:
            self._executor.children.work.stopping.set()
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    await self._serial.give_up(list(self._marks.by_partition))
            await self._lanes.drain(DRAIN_S)
            await self._save()
            await self._rendering.aclose()
            await self._dialogues.aclose()

    async def _assigned(self, partitions: Sequence[int]) -> None:
        await self._marks.ensure(partitions)
        await self._handover.keep(self._subscription.owned())
        log.info("runner.assigned", partitions=sorted(partitions))
        log.info("role.ready")
        tell_ready()

    def _owns(self, ordering_key: UUID) -> bool:
        return partition_of(ordering_key, self._partitions) in self._marks.by_partition

    def _give_up(self, partitions: Collection[int]) -> None:
        """Forget what has to do with these partitions and is not in the log."""
        self._head_starts.give_up(partitions)
        self._executor.children.loops.give_up(partitions, self._partitions)

    async def _gates(self, partitions: Sequence[int]) -> dict[int, int]:
        self._head_at_assignment = await self._store.head()
        rows = await self._store.pool.fetch(_runner["gates"], list(partitions))
        await self._serial.own(partitions)
        return {row[0]: row[1] for row in rows}

    async def _handle(self, records: Records) -> None:
        handovers = self._handover.number
        async with self._taking:
            await self._lanes.room()
            if self._handover.overtook(handovers):
                return
            partitions = self._subscription.owned() & {record.partition for record in records}
            async with self._or_start_over(partitions):
                await self._marks.ensure(partitions)
                await self._carrying.begin(await self._taken(records))

    async def _taken(self, records: Records) -> list[RunMessage]:
        """What of these messages is new; in parts, as others wait for the event loop, too."""
        found: list[RunMessage] = []
        for first in range(0, len(records), PART):
            part = records[first : first + PART]
            found += [message for record in part if (message := await self._take(record))]
            await asyncio.sleep(0)
        return found

    async def _follow(self, events: Sequence[StoredEvent], position: int) -> bool:
        """Take events from the log's tail, which has been seen up to `position`."""
        async with self._taking, self._or_start_over(list(self._marks.by_partition)):
            await self._lanes.room()
            if not self._tail.leads:
                return False  # this runner got a partition meanwhile that the tail does not cover
            messages = [found for event in events if (found := self._take_event(event))]
            for mark in self._marks.by_partition.values():
                mark.reach(position)
            await self._carrying.begin(messages)
            return True
        return False

    @asynccontextmanager
    async def _or_start_over(self, partitions: Collection[int]) -> AsyncIterator[None]:
        """Take the batch again after an error: FastStream swallows errors, and no other process carries these on."""
        try:
            yield
        except Exception:
            log.exception("runner.batch_failed", partitions=sorted(partitions))
            self._give_up(partitions)
            await self._marks.start_over(partitions)
            await self._handover.keep(self._subscription.owned())

    async def _take(self, record: Record) -> RunMessage | None:
        taken = await self._marks.take(record)
        if taken is None:
            return None
        header, value = taken
        mark = self._marks.by_partition[record.partition]
        if header.type in ENDING_EVENTS:
            self._end(header, value, mark, record.offset)
        if header.type not in WAKING_EVENTS:
            return None
        message = envelope.decode(value)
        first = message.streamversion == 1
        if first and self._head_starts.claims(message.subject, mark, header.position, header.previous, record.offset):
            return None
        mark.open(header.position, header.previous, record.offset)
        return RunMessage(
            header.position,
            mark,
            message.subject,
            message.tenantid,
            message.orderingkey,
            message.stored(),
            message.streamversion == 1 and header.position > self._head_at_assignment,
        )

    def _take_event(self, event: StoredEvent) -> RunMessage | None:
        """The same for an event from the log's tail."""
        mark = self._marks.by_partition.get(partition_of(event.ordering_key, self._partitions))
        if mark is None or event.position <= mark.seen:
            return None
        name = f"{event.type}.v{event.schema_version}"
        if name in ENDING_EVENTS:
            self._ended(event.stream_id, event.ordering_key)
            if name in STOPPING_EVENTS and event.data and concerns_others(event):
                mark.open(event.position, event.position - 1, mark.next_offset)
                self._submit_end(event, mark, event.position)
        if name not in WAKING_EVENTS:
            return None
        place = event.position, event.position - 1, mark.next_offset
        if event.version == 1 and self._head_starts.claims(event.stream_id, mark, *place):
            return None
        mark.open(event.position, event.position - 1, mark.next_offset)
        untouched = event.version == 1 and event.position > self._head_at_assignment
        small = event if event.data else None
        return RunMessage(event.position, mark, event.stream_id, event.tenant_id, event.ordering_key, small, untouched)

    def _tail_types(self) -> Sequence[str]:
        return SERIAL_TAIL_TYPES if self._serial.any else TAIL_TYPES

    def _end(self, header: envelope.Header, value: bytes, mark: Watermark, offset: int) -> None:
        if header.type not in STOPPING_EVENTS and not self._serial.any:
            return
        message = envelope.decode(value)
        self._ended(message.subject, message.orderingkey)
        event = message.stored()
        if header.type in STOPPING_EVENTS and event is not None and concerns_others(event):
            mark.open(header.position, header.previous, offset)
            self._submit_end(event, mark, header.position)

    def _submit_end(self, event: StoredEvent, mark: Watermark, position: int) -> None:
        ended = RunMessage(position, mark, event.stream_id, event.tenant_id, event.ordering_key, None, untouched=False)
        self._carrying.tell(ended)

    def _ended(self, run_id: UUID, ordering_key: UUID) -> None:
        self._executor.interrupt(run_id)
        if self._serial.knows(ordering_key):
            self._serial.wake(ordering_key)

    async def _save_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            await self._save()

    async def _save(self) -> None:
        """Make the watermarks durable, then hint the offsets to Kafka."""
        marks = self._marks.by_partition
        moved = {p: mark.position for p, mark in marks.items() if mark.position > mark.saved}
        offsets = {p: marks[p].offset for p in moved if marks[p].offset}
        if not moved:
            return
        try:
            await self._store.pool.execute(_runner["set_gates"], list(moved), list(moved.values()))
        except CONNECTION_ERRORS as error:
            log.warning("runner.save_failed", error=repr(error))
            return
        for partition in moved.keys() & marks.keys():
            marks[partition].saved = moved[partition]
        await self._subscription.commit(offsets)


async def _may_start_again(limits: RateLimits, zap_id: UUID) -> bool:
    """Whether runs that come from a zap may start it once more in this minute."""
    return await limits.take(own_runs(zap_id), OWN_PER_MINUTE) is None
