"""How far a consumer has come in its partitions, while many messages of each are being worked on at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import structlog

from consumers.kafka.gaps import GapReports
from consumers.kafka.patience import patiently
from consumers.kafka.subscription import Record
from domain.envelope import Header, NotAnEnvelope, decode_header
from domain.log.ports import StoreUnavailable
from domain.seal import is_sealed
from sql.postgres.pool import CONNECTION_ERRORS

log = structlog.get_logger()
FAILURE_PAUSE_S = 1.0
"""The pause between a failed batch and its next attempt."""


class Gap(Exception):
    """A message before this one was never seen: the topic has lost some."""


class Watermark:
    """Positions seen and done in one partition. Everything up to `position` has had its effect.

    `saved`: the position that the database knows.
    """

    def __init__(self, gate: int) -> None:
        self.seen = self.saved = gate
        self.next_offset = 0
        self._open: dict[int, tuple[int, int]] = {}
        self.idle = asyncio.Event()
        """Set while no message is being worked on."""
        self.idle.set()

    def take(self, header: Header, offset: int) -> bool:
        """Whether the message is new. Raises Gap when one before it is missing."""
        if header.position <= self.seen:
            self.next_offset = offset + 1
            return False
        if header.previous > self.seen:
            raise Gap
        self.seen = header.position
        self.next_offset = offset + 1
        return True

    def reach(self, position: int) -> None:
        """All of the log up to `position` was seen, in another way than through the topic."""
        self.seen = max(self.seen, position)

    def open(self, position: int, previous: int, offset: int) -> None:
        """Work on an event has begun; the watermark stays before it, and the offset at `offset`, until `close`."""
        self._open[position] = (previous, offset)
        self.idle.clear()

    def close(self, position: int) -> None:
        """The message's effect is durable."""
        self._open.pop(position, None)
        if not self._open:
            self.idle.set()

    @property
    def position(self) -> int:
        """Every message up to this position is done. Messages open in order, so the first open one is the oldest."""
        for previous, _offset in self._open.values():
            return previous
        return self.seen

    @property
    def offset(self) -> int:
        """The Kafka offset to start from next time."""
        for _previous, offset in self._open.values():
            return offset
        return self.next_offset


class Watermarks:
    """The watermarks of the partitions that are assigned to this consumer.

    `load` reads gates from the database. Records can arrive before aiokafka announces the assignment, so a mark is
    loaded by whoever needs it first. `keys`: whose seals count.
    """

    def __init__(
        self,
        load: Callable[[Sequence[int]], Awaitable[Mapping[int, int]]],
        gaps: GapReports,
        keys: tuple[bytes, ...],
    ) -> None:
        self._load = load
        self._gaps = gaps
        self._keys = keys
        self._lock = asyncio.Lock()
        self.by_partition: dict[int, Watermark] = {}
        self.loads = 0
        """How often marks were loaded: each may go back to where its gate stands."""

    async def ensure(self, partitions: Iterable[int]) -> None:
        """Load the marks that are missing, through outages of the database."""
        async with self._lock:
            missing = [partition for partition in partitions if partition not in self.by_partition]
            outages = (*CONNECTION_ERRORS, StoreUnavailable)
            gates = await patiently(lambda: self._load(missing), outages) if missing else {}
            for partition in missing:
                self.loads += 1
                self.by_partition[partition] = Watermark(gates.get(partition, 0))

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget partitions that went to another consumer."""
        for partition in partitions:
            self.by_partition.pop(partition, None)

    async def start_over(self, partitions: Iterable[int]) -> None:
        """After a batch that failed: go back to the gates, and have what lies behind them published again."""
        again = list(partitions)
        self.drop(again)
        await asyncio.sleep(FAILURE_PAUSE_S)
        await self.ensure(again)
        if again:
            await self._gaps.ask(min(self.by_partition[partition].seen for partition in again))

    async def take(self, record: Record) -> tuple[Header, bytes] | None:
        """The header and bytes of a message that is new here; None for repeats, and for what has to come again."""
        mark = self.by_partition.get(record.partition)
        if mark is None or record.value is None:
            return None
        if not is_sealed(self._keys, record.partition, record.value, record.headers):
            # A forgery; or of an earlier release or key: then the relay publishes it again, with today's seal.
            await self._report(record.partition, mark, "consumer.unsealed_message")
            return None
        try:
            header = decode_header(record.value)
        except NotAnEnvelope as error:
            # The relay did not send it. If it were an event, the next message would name it as missing.
            log.warning("consumer.foreign_message", partition=record.partition, offset=record.offset, error=str(error))
            return None
        try:
            return (header, record.value) if mark.take(header, record.offset) else None
        except Gap:
            await self._report(record.partition, mark, "consumer.gap")
            return None

    async def _report(self, partition: int, mark: Watermark, what: str) -> None:
        seen = mark.seen

        def is_open() -> bool:
            return self.by_partition.get(partition) is mark and mark.seen == seen

        await self._gaps.report(partition, seen, is_open, what)
