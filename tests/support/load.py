"""Senders that never give up, and the proof, at the end, that all they were told is true."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from tests.support.eventually import eventually
from tests.support.invariants import Evidence, read_log, violations
from tests.support.sink import Sink
from tests.support.system import System


class Load:
    """Webhooks on their way into one zap that posts to the sink."""

    def __init__(self, system: System, sink: Sink) -> None:
        self._system = system
        self.sink = sink
        self.acknowledged: dict[UUID, bytes] = {}
        self.done = asyncio.Event()

    async def send(self, hook_url: str, sender: int, pause_s: float) -> None:
        """Send webhook after webhook until `done`."""
        number = 0
        while not self.done.is_set():
            key = f"{sender}-{number}"
            run_id = await self._system.post_hook(hook_url, {"n": key}, key)
            self.acknowledged[run_id] = f'{{"n": "{key}"}}'.encode()
            number += 1
            if pause_s:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.done.wait(), pause_s)

    async def more(self, count: int = 200, within_s: float = 30) -> None:
        """Wait until so many more were acknowledged."""
        enough = len(self.acknowledged) + count
        await eventually(lambda: len(self.acknowledged) >= enough, within_s)

    async def arrived(self, count: int, within_s: float = 30) -> None:
        """Wait until so many more have reached the sink."""
        enough = self.sink.count + count
        await eventually(lambda: self.sink.count >= enough, within_s)

    async def proven(self, within_s: float = 60, *, exactly_once: bool = False) -> None:
        """Every acknowledged run has ended in the log and reached the sink, and the read models equal the log."""
        await self._system.settled(self.acknowledged, within_s)
        evidence = Evidence(await read_log(self._system.dsn), self.acknowledged, self.sink.deliveries)
        assert violations(evidence, exactly_once=exactly_once) == []
        await eventually(self._verified, 60, 1)

    async def _verified(self) -> bool:
        code, output = await self._system.command("verify")
        assert code == 0, output
        return True


@asynccontextmanager
async def under_load(system: System, sink: Sink, senders: int = 8, pause_s: float = 0.0) -> AsyncIterator[Load]:
    """Signs up, publishes a zap, and sends to it for as long as the block runs."""
    await system.sign_up()
    zap = await system.published_zap(sink.url, {"n": "{{ trigger.body.n }}"})
    load = Load(system, sink)
    tasks = [asyncio.create_task(load.send(zap["hook_url"], number, pause_s)) for number in range(senders)]
    try:
        yield load
        load.done.set()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
