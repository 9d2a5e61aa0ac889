"""The relay's loop: read committed events in order, publish them, checkpoint what was acknowledged."""

import asyncio
from collections.abc import Sequence

import structlog
from aiokafka.errors import KafkaError

from domain.envelope import MAX_INLINE_DATA
from domain.log.event import StoredEvent
from domain.log.partitioning import partition_of
from relay.clearing import Clearing
from relay.leader import LEASE_S, Deposed, Leader, lead
from relay.publisher import Publisher
from relay.rewind import lost_messages, rewind_position, rewound
from relay.topic import KafkaConfig, TopicLost
from sql.log.pages import PAGE_BYTES
from sql.postgres.pool import CONNECTION_ERRORS
from sql.process.crash_points import reached
from sql.process.memory import give_back
from sql.process.patience import BackOff, rest

log = structlog.get_logger()

BATCH_EVENTS = 1_000
POLL_S = 0.4
"""LISTEN is a hint; this is how long a missed one can delay an event."""
CHECK_S = 1.0
"""How often an idle relay checks the topic, and whether a rewind is requested."""
PACE_S = 0.02
"""Least time between two batches: twelve partitions make a batch of few events dear for everybody."""
CALM_PACE_S = 0.2
"""The same while nobody waits for the topic, as consumers take the log's tail themselves."""
HURRY_S = 0.6
"""For how long the relay hurries once somebody has said that they wait; a consumer says so again before that."""
LOOK_BACK = 20_000
"""Events before a rewind in which the last one of each partition is looked for. A partition that has none there may be
rewound once more, for consumers that have seen less of the log."""
LINGER_S = 0.03
"""How long the first event after a rest then waits: a runner that was woken by the same commit needs the CPU first,
and what it records is published together with that event."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 2.0
WELL_S = 5.0
"""Who has led so long has got over the failures before."""


class GapInLog(Exception):
    """Positions of the log are not contiguous: the database is damaged, and publishing on would hide it."""


class LogBehind(Exception):
    """The log ends before what was published: the database was restored from a backup."""


async def run(dsn: str, config: KafkaConfig, stop: asyncio.Event) -> None:
    """Publish until `stop`, through outages of the database and the broker. Raises WrongPartitionCount."""
    back_off = BackOff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
    while not stop.is_set():
        began = _time()
        try:
            await _lead_once(dsn, config, stop)
        except (*CONNECTION_ERRORS, KafkaError, Deposed, GapInLog, LogBehind) as error:
            if _time() - began > WELL_S:
                back_off.heal()
            pause_s = back_off.pause_s()
            serious = isinstance(error, GapInLog | LogBehind)
            (log.error if serious else log.warning)("relay.interrupted", error=repr(error), failures=back_off.failures)
            await rest(stop, pause_s)


async def _lead_once(dsn: str, config: KafkaConfig, stop: asyncio.Event) -> None:
    wake = asyncio.Event()
    async with lead(dsn, stop, wake) as leader:
        if leader is None:
            return
        log.info("relay.leading", epoch=leader.epoch, position=leader.checkpoint.position)
        while not stop.is_set():
            try:
                async with Publisher(config, leader.checkpoint.sent) as publisher:
                    await Relay(leader, publisher, wake).publish_until(stop)
            except TopicLost as error:
                # Stay leader: the next Publisher creates the topic again.
                await _go_back(leader, error, config.partitions)
                give_back()


async def _go_back(leader: Leader, error: TopicLost, partitions: int) -> None:
    """Publish again what a consumer misses; after a clean restart of the embedded broker that is nothing."""
    checkpoint = leader.checkpoint
    target = rewind_position(checkpoint.position, checkpoint.sent, await leader.consumer_gates())
    wish = await leader.rewind_wanted()
    target = target if wish is None else min(wish, target)
    if target == checkpoint.position:
        log.info("relay.topic_new", reason=str(error), position=target)
    else:
        log.warning("relay.topic_lost", error=str(error))
    await _rewind(leader, target, partitions)


async def _rewind(leader: Leader, target: int, partitions: int) -> None:
    come_to, since = leader.checkpoint.position, max(0, target - LOOK_BACK)
    keys = await leader.keys(since, target) if target < come_to else []
    before = {partition_of(key, partitions): position for position, key in keys}
    await leader.rewind(target, rewound(leader.checkpoint.sent, target, before, since))
    if target < come_to:
        log.warning("relay.rewound", position=target)


class Relay:
    """One leader publishing through one producer."""

    def __init__(self, leader: Leader, publisher: Publisher, wake: asyncio.Event) -> None:
        self._leader = leader
        self._publisher = publisher
        self._wake = wake
        self._published_at = float("-inf")
        self._clearing = Clearing(leader, publisher)

    async def publish_until(self, stop: asyncio.Event) -> None:
        """Publish until `stop`. Raises Deposed, TopicLost, GapInLog, LogBehind, and what connections raise."""
        await self._check()
        batch = await self._read(self._leader.checkpoint.position)
        checked_at = _time()
        while not stop.is_set():
            batch = batch or await self._next()
            if batch:
                batch = await self._publish(batch)
            elif _time() - checked_at > CHECK_S:
                await self._check()
                checked_at = _time()
            await self._clearing.step()

    async def _next(self) -> list[StoredEvent]:
        """The next batch, once there may be one and others have had the time to join it."""
        await self._sleep()
        await self._rest()
        return await self._read(self._leader.checkpoint.position)

    async def _rest(self) -> None:
        """Lets the next batch grow."""
        leader = self._leader
        while not self._hurries and (left_s := self._published_at + CALM_PACE_S - _time()) > 0:
            if leader.hinted - leader.checkpoint.position >= BATCH_EVENTS:
                return
            await rest(self._wake, left_s)
            self._wake.clear()
        await asyncio.sleep(max(0.0, self._published_at + PACE_S - _time()))

    @property
    def _hurries(self) -> bool:
        """Whether somebody waits for the topic."""
        return _time() - self._leader.hurried_at < HURRY_S

    async def _publish(self, batch: Sequence[StoredEvent]) -> list[StoredEvent]:
        """Publish one batch, then checkpoint. Behind a full one is more: that is read meanwhile, and returned."""
        reached("relay.after_read")
        await self._leader.confirm()
        sent = self._leader.checkpoint.sent
        previous = {partition: position for partition, (_offset, position) in sent.items()}
        sending = asyncio.create_task(self._publisher.send(batch, previous))
        try:
            following = await self._read(batch[-1].position) if _is_cut(batch) else []
            while not (await asyncio.wait({sending}, timeout=LEASE_S))[0]:
                await self._leader.confirm()
            acknowledged = sending.result()
            self._published_at = _time()
        finally:
            sending.cancel()
        reached("relay.after_send")
        for partition, ack in acknowledged.items():
            if ack.first_offset <= sent.get(partition, (-1, 0))[0]:
                raise TopicLost(f"partition {partition} gave offset {ack.first_offset} again")
        now_sent = {partition: (ack.last_batch_offset, ack.position) for partition, ack in acknowledged.items()}
        wish = await self._leader.advance(batch[-1].position, {**sent, **now_sent})
        reached("relay.after_checkpoint")
        if wish is None:
            return following
        await self._rewind(wish)
        return await self._read(self._leader.checkpoint.position)

    async def _read(self, after: int) -> list[StoredEvent]:
        events = await self._leader.read(after, BATCH_EVENTS)
        missing = events[-1].position - after - len(events) if events else 0
        if missing and await self._leader.dropped(after, events[-1].position) != missing:
            raise GapInLog(f"after position {after} come {events[0].position} to {events[-1].position}")
        return events

    async def _check(self) -> None:
        checkpoint = self._leader.checkpoint
        if lost_messages(checkpoint.sent, await self._publisher.end_offsets()):
            raise TopicLost("the topic ends before what it had acknowledged")  # going back looks at wishes, too
        wish = await self._leader.rewind_wanted()
        if wish is not None:
            await self._rewind(wish)
        elif await self._leader.head() < checkpoint.position:
            raise LogBehind("the log ends before what was published; see `triggerhub rewind`")

    async def _rewind(self, wish: int) -> None:
        target = min(wish, self._leader.checkpoint.position)
        await _rewind(self._leader, target, self._publisher.config.partitions)

    async def _sleep(self) -> None:
        if await rest(self._wake, POLL_S) and not self._hurries:
            await asyncio.sleep(LINGER_S)
        self._wake.clear()


def _is_cut(batch: Sequence[StoredEvent]) -> bool:
    """Whether the page that was read was full, so that more may stand behind it."""
    return len(batch) == BATCH_EVENTS or sum(len(e.data) for e in batch) > PAGE_BYTES - MAX_INLINE_DATA


def _time() -> float:
    return asyncio.get_running_loop().time()
