"""The projector: takes every event from the topic to the projections."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from consumers.kafka.gaps import GapReports
from consumers.kafka.hints import listen
from consumers.kafka.patience import patiently
from consumers.kafka.subscription import ConsumerConfig, Records, Subscription
from consumers.kafka.tail import published
from consumers.kafka.watermark import Watermarks
from domain import envelope
from domain.log.event import StoredEvent
from projections.engine.engine import Engine, GateMoved, NewerRelease
from sql.log.event_store import PgEventStore
from sql.log.pages import PAGE_BYTES
from sql.postgres.pool import CONNECTION_ERRORS, Connection

log = structlog.get_logger()
COMMIT_EVERY_S = 1.0
LOOK_S = 0.5
"""Between two questions whether something was published that this projector has not seen: a hint may be lost."""


class Projector:
    """Feeds batches to the engine, whose gates decide what is new; Kafka's offsets are only a hint."""

    def __init__(
        self, engine: Engine, store: PgEventStore, config: ConsumerConfig, told: Callable[[], None] = lambda: None
    ) -> None:
        """`told` is called after each batch, for whoever follows the log beside this projector."""
        self._engine = engine
        self._told = told
        self._store = store
        self._marks = Watermarks(self._gates, GapReports(store.pool, "projector"), config.message_keys)
        self._committed_at = 0.0
        self._newer: NewerRelease | None = None
        self._ending = asyncio.Event()
        self._looks = False
        self._subscription = Subscription(config, self._handle, self._assigned, self._revoked, dsn=store.dsn)
        self._subscription.watched = lambda: self._looks

    async def run(self, stop: asyncio.Event) -> None:
        """Build what was never built, then consume until `stop`. Raises NewerRelease."""
        await self._engine.start()
        hints = listen(self._store.dsn, "projector hints", lambda _: self._subscription.expect(), self._look)
        beside = [asyncio.create_task(hints), asyncio.create_task(self._end_with(stop))]
        try:
            await self._subscription.run(self._ending)
            if self._newer:
                raise self._newer
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _look(self, connection: Connection) -> None:
        """Have the topic read when it has something new. One question costs less than a fetch of all partitions."""
        try:
            while not connection.is_closed():
                self._looks = True
                if not (await published(connection)).seen_by(self._marks):
                    self._subscription.expect()
                await asyncio.sleep(LOOK_S)
        finally:
            self._looks = False
            self._subscription.expect()

    async def _end_with(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._ending.set()

    async def _gates(self, partitions: Sequence[int]) -> dict[int, int]:
        try:
            return await self._engine.gates(partitions)
        except NewerRelease as error:
            # Raised to aiokafka or FastStream it would be tried again for ever, and the role has to end.
            self._newer = error
            self._ending.set()
            raise

    async def _assigned(self, partitions: Sequence[int]) -> None:
        await self._marks.ensure(partitions)
        self._leave_others()
        log.info("projector.assigned", partitions=sorted(partitions))

    async def _revoked(self, partitions: Sequence[int]) -> None:
        self._marks.drop(partitions)

    def _leave_others(self) -> None:
        """Forget marks of partitions that went while a batch loaded them: once they returned, these would be old."""
        self._marks.drop(self._marks.by_partition.keys() - self._subscription.owned())

    async def _handle(self, records: Records) -> None:
        partitions = self._subscription.owned() & {record.partition for record in records}
        try:
            await self._marks.ensure(partitions)
            await self._project(records)
        except Exception:  # FastStream would swallow it and go on behind events that had no effect
            log.exception("projector.batch_failed", partitions=sorted(partitions))
            await self._marks.start_over(partitions)
            self._leave_others()

    async def _project(self, records: Records) -> None:
        batch: dict[int, list[StoredEvent]] = {}
        room = PAGE_BYTES
        for record in records:
            taken = await self._marks.take(record)
            if taken is None:
                continue
            event = await self._event(taken[1])
            room -= len(event.data)
            if room < 0 and batch:
                await self._apply(batch)
                batch, room = {}, PAGE_BYTES - len(event.data)
            batch.setdefault(record.partition, []).append(event)
        if batch:
            await self._apply(batch)
            self._told()
        await self._commit()

    async def _event(self, value: bytes) -> StoredEvent:
        message = envelope.decode(value)
        return message.stored() or await self._read(int(message.position))

    async def _read(self, position: int) -> StoredEvent:
        """The payload of a message that has only a reference."""
        return (await patiently(lambda: self._store.read_log(position - 1, 1)))[0]

    async def _apply(self, batch: dict[int, list[StoredEvent]]) -> None:
        failures = 0
        while True:
            try:
                return await patiently(lambda: self._engine.apply(batch), CONNECTION_ERRORS)
            except GateMoved:
                # Another projector owns the partition, or a rebuild was switched in: the gates decide what is new.
                log.info("projector.gate_moved", partitions=sorted(batch))
                failures += 1
                await self._gates(list(batch))
                await asyncio.sleep(0.05 * min(failures, 20))

    async def _commit(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._committed_at < COMMIT_EVERY_S:
            return
        self._committed_at = now_s
        marks = self._marks.by_partition
        await self._subscription.commit({p: mark.offset for p, mark in marks.items() if mark.offset})
