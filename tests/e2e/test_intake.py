"""The intake while the database stands still: honest, quick to say so, and back by itself."""

import asyncio
import time
from statistics import median
from uuid import UUID

import aiohttp
import psutil
import pytest

from tests.support.eventually import eventually
from tests.support.evidence import read_log
from tests.support.sink import running_sink
from tests.support.system import System

SENDERS = 16
OUTAGE_ANSWERS = 60
"""Refusals to wait for while the database stands still."""


class Senders:
    """Webhooks one after the other, with what was answered and how long that took."""

    def __init__(self, system: System, url: str) -> None:
        self.system, self.url = system, url
        self.accepted: set[UUID] = set()
        self.refused_s: list[float] = []
        self.done = False

    async def send(self, sender: int) -> None:
        """Repeats what is refused, with the same key, as senders do."""
        number = 0
        while not self.done:
            headers = {"Idempotency-Key": f"{sender}-{number}"}
            began = time.monotonic()
            async with self.system.http.post(self.url, json={"n": number}, headers=headers) as answer:
                body = await answer.json(content_type=None)
                if answer.status == 200:
                    self.accepted.add(UUID(body["run_id"]))
                    number += 1
                else:
                    assert (answer.status, answer.headers["Retry-After"]) == (503, "1"), body
                    self.refused_s.append(time.monotonic() - began)


def postgres_of(system: System) -> list[psutil.Process]:
    """All processes of the database."""
    main = psutil.Process(system.pids()["postgres"])
    return [main, *main.children(recursive=True)]


@pytest.mark.slow
async def test_while_the_database_stands_still_senders_are_told_so_within_two_seconds(shared_system: System) -> None:
    system = shared_system
    async with running_sink() as sink:
        await system.sign_up()
        zap = await system.published_zap(sink.url, {"n": "{{ trigger.body.n }}"})
        senders = Senders(system, zap["hook_url"])
        tasks = [asyncio.create_task(senders.send(number)) for number in range(SENDERS)]
        await eventually(lambda: len(senders.accepted) > 200)
        stopped = postgres_of(system)
        for process in stopped:
            process.suspend()
        try:
            await eventually(lambda: len(senders.refused_s) >= OUTAGE_ANSWERS)
            assert await alive(system)
        finally:
            for process in stopped:
                process.resume()
        before = len(senders.accepted)
        await eventually(lambda: len(senders.accepted) > before + 200)
        senders.done = True
        await asyncio.gather(*tasks)
        assert median(senders.refused_s) < 2.5, "two seconds, and what a busy machine takes"
        assert max(senders.refused_s) < 10, sorted(senders.refused_s)[-5:]
        await system.settled(senders.accepted)
        requests = [event for event in await read_log(system.dsn) if event.type == "zap.run.requested"]
        runs = [event.stream_id for event in requests if zap["id"].encode() in event.data]
        assert len(runs) == len(set(runs))
        assert senders.accepted == set(runs)


async def alive(system: System) -> bool:
    """Liveness does not depend on the database; readiness does."""
    async with system.http.get(system.base + "/healthz") as health:
        assert health.status == 200
    try:
        async with system.http.get(system.base + "/readyz") as ready:
            return ready.status == 503
    except aiohttp.ClientError:
        return False
