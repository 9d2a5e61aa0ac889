"""Runs that wait, while API, runner and scheduler die between a callback, an answer and what follows from them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from domain.run.children import ChildIds
from tests.support.eventually import pause
from tests.support.evidence import read_log
from tests.support.load import send
from tests.support.rig import Rig
from tests.support.sink import Sink
from tests.support.system import System

RUNS = 40
PAUSE_S = 0.05
pytestmark = [pytest.mark.slow]


async def waiting_zap(system: System, target: str, items: int) -> dict[str, Any]:
    """Pay, wait to be called back, ask, send; with `items` so many times, at once, in a loop."""
    pay = {"id": "pay", "type": "http.request", "config": {"url": target, "body": {"url": "{{ callback.paid.url }}"}}}
    done = {"id": "done", "type": "http.request", "config": {"url": target, "body": {"by": "{{ steps.ok.output.by }}"}}}
    wait = {"id": "paid", "kind": "wait_for", "deadline_s": 3600}
    ask = {"id": "ok", "kind": "approval", "title": "Go on?", "to": [{"role": "editor"}], "deadline_s": 3600}
    trigger = {"type": "webhook.catch", "config": {}}
    steps: list[dict[str, Any]] = [pay, wait, ask, done]
    if items:
        steps = [{"id": "each", "kind": "for_each", "items": list(range(items)), "order": "parallel", "steps": steps}]
    body = {"name": "Waits", "trigger": trigger, "steps": steps}
    zap: dict[str, Any] = await system.call("POST", "/api/v1/zaps", body)
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
    return zap


async def call_back(system: System, sink: Sink) -> None:
    """Post to all URLs that were sent, as somebody does who never knows whether it worked."""
    for key, bodies in list(sink.deliveries.items()):
        if key.endswith(".pay"):
            with suppress(aiohttp.ClientError, OSError):
                async with system.http.post(json.loads(bodies[0])["url"], json={"n": 1}) as answer:
                    assert answer.status in (200, 503), await answer.text()


async def approve(system: System) -> None:
    """Answer on the page of each open approval; it may have been answered a moment ago."""
    with suppress(aiohttp.ClientError, OSError, AssertionError):
        listed = await system.call("GET", "/api/v1/approvals?state=open&limit=100")
        for item in listed["items"]:
            async with system.http.post(item["url"], data={"decision": "approve"}) as answer:
                assert answer.status in (200, 409, 503), await answer.text()


@asynccontextmanager
async def again_and_again(act: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Do it for as long as the block lasts."""

    async def for_ever() -> None:
        while True:
            await act()
            await pause(PAUSE_S)

    task = asyncio.create_task(for_ever())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("items", [0, 4])
async def test_each_is_called_back_and_approved_once_whoever_dies(rig: Rig, items: int) -> None:
    """Runs, or the items of their loops."""
    system = rig.system
    async with rig.sink() as sink:
        zap = await waiting_zap(system, sink.url, items)
        runs = set(await send(system, [zap], RUNS // max(1, items)))
        async with again_and_again(lambda: call_back(system, sink)):
            await rig.crash("api.before_callback:3", "api.after_callback:3")
            await system.ready()
            async with again_and_again(lambda: approve(system)):
                for role in ("runner", "api", "scheduler"):
                    await system.kill(rig.names[role])
                await system.settled(runs)
        await rig.proven()
        log = await read_log(system.dsn)
    if items:
        runs = {ChildIds(run, "each").of(index) for run in runs for index in range(items)}
    assert outcomes(log, runs) == {(run, name): 1 for run in runs for name in ONCE}
    assert len([key for key in sink.deliveries if key.endswith(".done")]) == RUNS


ONCE = ("zap.run.callback_received", "zap.run.approval_asked", "zap.run.approval_answered", "zap.run.completed")


def outcomes(log: Any, runs: set[UUID]) -> dict[tuple[UUID, str], int]:
    """How often each of these happened to each run."""
    found: dict[tuple[UUID, str], int] = {}
    for event in log:
        if event.stream_id in runs and event.type in ONCE:
            found[event.stream_id, event.type] = found.get((event.stream_id, event.type), 0) + 1
    return found
