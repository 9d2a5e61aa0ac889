"""After an erasure the topic forgets, too: its records of before go, once every consumer has passed them."""

import asyncio

import msgspec
import structlog
from aiokafka.errors import KafkaError

from relay.leader import Leader, Sent
from relay.publisher import Publisher
from relay.rewind import passed
from relay.topic import forget_before

log = structlog.get_logger()
LOOK_S = 5.0
"""How often the relay asks whether something was erased."""
AGAIN_S = 60.0
"""How long it waits where the broker refused."""


class _Mark(msgspec.Struct, frozen=True):
    """What the topic held when the erasure at a position had been published: up to the ends of its partitions."""

    erasure: int
    sent: Sent
    ends: dict[int, int]


class Clearing:
    """Goes on from step to step, between two batches. What it has in memory is found again after a restart."""

    def __init__(self, leader: Leader, publisher: Publisher) -> None:
        self._leader = leader
        self._publisher = publisher
        self._mark: _Mark | None = None
        self._next_at = 0.0

    async def step(self) -> None:
        """One step, when it is time. Raises Deposed, and what connections to the database raise."""
        now = asyncio.get_running_loop().time()
        if now < self._next_at:
            return
        self._next_at = now + LOOK_S
        try:
            await self._look()
        except KafkaError as error:
            log.warning("relay.topic_not_cleared", error=repr(error))
            self._next_at = now + AGAIN_S

    async def _look(self) -> None:
        if self._mark is None:
            erasure = await self._leader.erasure()
            if erasure is None or erasure > self._leader.checkpoint.position:
                return
            self._mark = _Mark(erasure, self._leader.checkpoint.sent, await self._publisher.end_offsets())
        if passed(self._mark.sent, await self._leader.consumer_gates()):
            can_forget = await forget_before(self._publisher.config, self._mark.ends)
            await self._leader.cleared(self._mark.erasure)
            if can_forget:
                log.info("relay.topic_cleared", erasure=self._mark.erasure)
            else:
                log.warning("relay.topic_keeps_erased", erasure=self._mark.erasure, until="the broker is started anew")
            self._mark = None
