"""Senders that never give up, and the proof, at the end, that all they were told is true."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

from tests.support.eventually import PATIENCE_S, eventually
from tests.support.evidence import collect
from tests.support.invariants import violations
from tests.support.sink import Sink
from tests.support.system import System


class Load:
    """Webhooks on their way into one zap that posts to the sink."""

    def __init__(self, system: System, sink: Sink, zap: dict[str, Any]) -> None:
        self._system = system
        self.sink = sink
        self.zap = zap
        self.acknowledged: set[UUID] = set()
        self.done = asyncio.Event()

    async def send(self, sender: int, pause_s: float) -> None:
        """Send webhook after webhook until `done`."""
        number = 0
        while not self.done.is_set():
            key = f"{self.zap['id']}-{sender}-{number}"
            self.acknowledged.add(await self._system.post_hook(self.zap["hook_url"], {"n": key}, key))
            number += 1
            if pause_s:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.done.wait(), pause_s)

    async def more(self, count: int = 200, within_s: float = PATIENCE_S) -> None:
        """Wait until so many more were acknowledged."""
        enough = len(self.acknowledged) + count
        await eventually(lambda: len(self.acknowledged) >= enough, within_s)

    async def arrived(self, count: int, within_s: float = PATIENCE_S) -> None:
        """Wait until so many more have reached the sink."""
        enough = self.sink.count + count
        await eventually(lambda: self.sink.count >= enough, within_s)

    async def proven(self, within_s: float = PATIENCE_S, *, exactly_once: bool = False, **facts: Any) -> None:
        """Every acknowledged run has ended, and all invariants hold. `facts` as for `collect`."""
        await proven(self._system, within_s, exactly_once=exactly_once, **facts)


async def proven(system: System, within_s: float = PATIENCE_S, *, exactly_once: bool = False, **facts: Any) -> None:
    """Every run that any sender of this system was told of has ended, and all invariants hold."""
    await system.settled(system.acknowledged, within_s)
    found = violations(await collect(system, **facts), exactly_once=exactly_once)
    assert not found, "\n".join([f"{len(found)} violations", *found[:20]])


async def send(system: System, zaps: Sequence[dict[str, Any]], count: int) -> list[UUID]:
    """Webhooks to each of the zaps in turn, many at once. Gives their runs."""
    numbers = iter(range(count))
    runs: list[UUID] = []

    async def sender() -> None:
        for number in numbers:
            url = zaps[number % len(zaps)]["hook_url"]
            runs.append(await system.post_hook(url, {"n": number}, secrets.token_hex()))

    await asyncio.gather(*(sender() for _ in range(50)))
    return runs


@asynccontextmanager
async def under_load(system: System, sink: Sink, senders: int = 8, pause_s: float = 0.0) -> AsyncIterator[Load]:
    """Signs up where nobody has yet, publishes a zap, and sends to it for as long as the block runs."""
    if not system.token:
        await system.sign_up()
    system.sinks.append(sink)
    load = Load(system, sink, await system.published_zap(sink.url, {"n": "{{ trigger.body.n }}"}))
    tasks = [asyncio.create_task(load.send(number, pause_s)) for number in range(senders)]
    try:
        yield load
        load.done.set()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
