"""Reads a topic on from its positions, partition by partition, as far as one poll may.

Nothing that a broker sends holds a partition up for good: what can't be read is skipped, with a word about it.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping

import msgspec
from aiokafka import errors
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.structs import TopicPartition

from consumers.dialogues.batches import Batch, Unreadable, batches, records
from consumers.dialogues.bodies import Record, body, size
from domain.connector.http_client import Unreachable
from domain.connector.poll import MAX_ITEM
from domain.dialogue.topic import Message, Position, Skipped, TopicReading, TopicRequest

ANSWER_MS = 2_000
"""How long a broker may take for one answer."""
LOOK_MS = 500
"""How long a broker waits for messages where there are none."""
WAIT_MS = 100
READ_S = 4.0
"""After which no further batch is asked for."""
MAX_BYTES = 4 * 2**20
"""Of the messages of one reading, as JSON."""
MAX_SKIPPED = 20
_FETCH = 2 * 2**20
"""Bytes of batches that are asked for at a time; a broker sends one batch at least, however large."""
_EARLIEST = -2
_OUT_OF_RANGE = 1
_NOWHERE = -1


class Reading:
    """One reading of a topic. `too_large` counts the answers that were cut off because of their size."""

    def __init__(self, request: TopicRequest, too_large: Callable[[], int]) -> None:
        self._request = request
        self._too_large = too_large
        self._client = AIOKafkaClient(
            bootstrap_servers=list(request.servers), request_timeout_ms=ANSWER_MS, client_id="triggerhub-trigger"
        )
        self._until = asyncio.get_running_loop().time() + READ_S
        self._messages: list[Message] = []
        self._skipped: list[Skipped] = []
        self._positions = dict(request.positions)
        self._bytes = 0

    async def read(self) -> TopicReading:
        """What is there. Raises Unreachable, and errors of aiokafka."""
        try:
            await self._client.bootstrap()
            leaders = await self._leaders()
            first = await self._first(leaders)
            ends = await self._ends(leaders, first)
            for partition, end in ends.items():
                self._place(partition, first[partition], end)
            more = await self._read_each(leaders, ends)
        finally:
            await self._client.close()
        return TopicReading(
            messages=tuple(self._messages), skipped=tuple(self._skipped), positions=self._positions, more=more
        )

    async def _leaders(self) -> dict[int, int]:
        """Who has each partition. All topics are asked for: to ask for one may create it."""
        topic = self._request.topic
        cluster = await self._client.fetch_all_metadata()
        partitions = cluster.partitions_for_topic(topic)
        if not partitions:
            raise Unreachable("no_topic", f"the brokers have no topic {topic}")
        found = {number: cluster.leader_for_partition(TopicPartition(topic, number)) for number in sorted(partitions)}
        absent = [number for number, leader in found.items() if leader is None or leader < 0]
        if absent and (not self._positions or len(absent) == len(found)):
            raise Unreachable("no_leader", f"no broker has partition {absent[0]}")
        for number in absent[:MAX_SKIPPED]:
            self._skip(f"{number}/no leader", f"no broker has partition {number}; it is read once one does")
        return {number: leader for number, leader in found.items() if number not in absent}

    async def _first(self, leaders: Mapping[int, int]) -> dict[int, int]:
        """The first offset that each partition still has."""
        found: dict[int, int] = {}
        for leader, partitions in _by_leader(leaders).items():
            wanted = [(number, _EARLIEST) for number in partitions]
            answer = await self._client.send(leader, OffsetRequest(-1, 0, [(self._request.topic, wanted)]))
            for _topic, results in answer.topics:
                for number, code, *rest in results:
                    _require(code)
                    offsets = rest[0] if answer.API_VERSION == 0 else rest[1:]
                    found[number] = offsets[0]
        return {number: first for number, first in found.items() if number in leaders}

    async def _ends(self, leaders: Mapping[int, int], first: Mapping[int, int]) -> dict[int, int | None]:
        """The offset behind the last message of each partition. Where there is nothing new, this waits for a moment.

        None: unknown, as an answer was too large. Negative: the partition has no such offset as it is read from.
        """
        looks = [
            self._look(leader, {number: self._offset(number, first[number]) for number in partitions})
            for leader, partitions in _by_leader({number: leaders[number] for number in first}).items()
        ]
        return {number: end for found in await asyncio.gather(*looks) for number, end in found.items()}

    async def _look(self, leader: int, offsets: Mapping[int, int]) -> dict[int, int | None]:
        """Ask for as little as can be: at most one batch comes, and the ends of all these partitions."""
        answer = await self._asked(leader, LOOK_MS, offsets, 1)
        if answer is None:
            return dict.fromkeys(offsets)
        return {number: (_NOWHERE if code == _OUT_OF_RANGE else end) for number, code, end, _content in answer}

    def _offset(self, partition: int, first: int) -> int:
        position = self._positions.get(partition)
        return position.offset if position else first

    def _place(self, partition: int, first: int, end: int | None) -> None:
        """Where a partition is read from: one that is added later from its beginning."""
        position = self._positions.get(partition)
        if position is None:
            from_end = self._request.from_end and not self._request.positions
            if from_end and (end is None or end < 0):
                raise Unreachable("no_end", f"the brokers do not say where partition {partition} ends")
            self._positions[partition] = Position(end if from_end and end is not None else first)
        elif position.offset < first:
            lost = (
                f"offsets {position.offset} to {first - 1} of partition {partition} were deleted before they were read"
            )
            self._skip(f"{partition}/{position.era}/{position.offset}/gone", lost)
            self._positions[partition] = Position(first, position.era)
        elif end is not None and end < position.offset:
            reason = f"partition {partition} has no offset {position.offset} any more: it is read from its beginning"
            self._skip(f"{partition}/{position.era}/over", reason)
            self._positions[partition] = Position(first, position.era + 1)

    async def _read_each(self, leaders: Mapping[int, int], ends: Mapping[int, int | None]) -> bool:
        """Give each partition its share, until there is nothing more, or enough. Whether there is more."""
        known = {number: end for number, end in ends.items() if end is not None and end >= 0}
        behind = [number for number in ends if number not in known or self._positions[number].offset < known[number]]
        while behind:
            share = max(1, (self._request.max_messages - len(self._messages)) // len(behind))
            waiting: list[int] = []
            for number in behind:
                if self._has_enough():
                    return True
                if await self._read_some(number, leaders[number], share):
                    waiting.append(number)
            behind = waiting
        return False

    def _has_enough(self) -> bool:
        return (
            len(self._messages) >= self._request.max_messages
            or len(self._skipped) >= MAX_SKIPPED
            or self._bytes >= MAX_BYTES
            or asyncio.get_running_loop().time() > self._until
        )

    async def _read_some(self, partition: int, leader: int, share: int) -> bool:
        """Read a partition on. Whether there is more in it."""
        offset = self._positions[partition].offset
        answer = await self._asked(leader, WAIT_MS, {partition: offset}, _FETCH)
        if answer is None:  # that was more than one batch, maybe
            answer = await self._asked(leader, WAIT_MS, {partition: offset}, 1)
        if answer is None:
            self._pass_over(partition, offset, offset, "too large to be read")
            return True
        ((_number, code, end, content),) = answer
        _require(code)
        self._take_all(partition, content, len(self._messages) + share)
        if self._positions[partition].offset > offset:
            return self._positions[partition].offset < end
        if content:
            self._pass_over(partition, offset, offset, "too large to be read")
        return bool(content)

    async def _asked(
        self, leader: int, wait_ms: int, offsets: Mapping[int, int], most: int
    ) -> list[tuple[int, int, int, bytes]] | None:
        """Of each partition an error code, its end, and batches from an offset on. None: too large an answer."""
        too_large = self._too_large()
        wanted = [(number, offset, most) for number, offset in offsets.items()]
        try:
            answer = await self._client.send(leader, FetchRequest(wait_ms, 1, most, 0, [(self._request.topic, wanted)]))
        except errors.KafkaError:
            if self._too_large() == too_large:
                raise
            return None
        found = [
            (number, code, end, bytes(rest[-1] or b""))
            for _topic, results in answer.topics
            for number, code, end, *rest in results
            if number in offsets
        ]
        for _number, code, _end, _content in found:
            _require(0 if code == _OUT_OF_RANGE else code)
        return found

    def _take_all(self, partition: int, content: bytes, most: int) -> None:
        """Take the messages of an answer, up to so many in all."""
        place = self._positions[partition].offset
        try:
            for batch in batches(content):
                if batch.last >= place and not self._take_batch(partition, batch, most):
                    return
        except Unreadable as error:
            raise Unreachable("unreadable", f"partition {partition} is {error} at offset {place}") from None

    def _take_batch(self, partition: int, batch: Batch, most: int) -> bool:
        """Take the messages of a batch. Whether there is room for another one."""
        try:
            for record in () if batch.control else _from(batch, self._positions[partition].offset):
                if len(self._messages) >= most or self._has_enough():
                    return False
                self._take(partition, record)
        except Exception as error:  # noqa: BLE001 - whatever a batch does to its reader, it must not come again
            reason = str(error) if isinstance(error, Unreadable) else "damaged"
            self._pass_over(partition, self._positions[partition].offset, batch.last, reason)
        self._move(partition, batch.last + 1)
        return True

    def _take(self, partition: int, record: Record) -> None:
        position, limit = self._positions[partition], self._request.max_bytes
        bytes_ = size(record)
        if bytes_ > limit:
            self._pass_over(partition, record.offset, record.offset, f"{bytes_:,} bytes long, more than {limit:,}")
            return
        seen = body(record, self._request.topic, partition)
        written = len(msgspec.json.encode(seen))
        if written > MAX_ITEM:
            reason = f"{written:,} bytes long as JSON, more than {MAX_ITEM:,}"
            self._pass_over(partition, record.offset, record.offset, reason)
            return
        self._messages.append(Message(self._key(f"{partition}/{record.offset}", position.era), seen))
        self._bytes += written
        self._move(partition, record.offset + 1)

    def _pass_over(self, partition: int, first: int, last: int, reason: str) -> None:
        which = f"the message at offset {first}" if first == last else f"what lies at offsets {first} to {last}"
        era = self._positions[partition].era
        self._skip(f"{partition}/{era}/{first}", f"{which} of partition {partition} is {reason}; it starts no run")
        self._move(partition, last + 1)

    def _move(self, partition: int, offset: int) -> None:
        self._positions[partition] = msgspec.structs.replace(self._positions[partition], offset=offset)

    def _skip(self, key: str, reason: str) -> None:
        self._skipped.append(Skipped(self._key(key, 0), reason))

    def _key(self, place: str, era: int) -> str:
        """Kafka's own name of a message; after a partition started over, its offsets come again, for other messages."""
        return f"kafka/{self._request.topic}/{place}" + (f"/{era}" if era else "")


def _from(batch: Batch, offset: int) -> Iterator[Record]:
    return (record for record in records(batch) if record.offset >= offset)


def _by_leader(leaders: Mapping[int, int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for partition, leader in leaders.items():
        found.setdefault(leader, []).append(partition)
    return found


def _require(code: int) -> None:
    """Raises the error that a broker's code stands for."""
    found = errors.for_code(code)
    if found is not errors.NoError:
        raise found()
