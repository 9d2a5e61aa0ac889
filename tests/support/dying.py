"""A runner that is killed again and again in the middle of a loop."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from aiohttp import web

from domain.log.event import StoredEvent
from domain.run.children import ChildIds
from sql.process.clock import now
from tests.support.eventually import eventually
from tests.support.evidence import read_log
from tests.support.load import send
from tests.support.rig import Rig
from tests.support.sink import Sink

AT_ONCE = 20
SEEN = {"webhook.catch": "body.n", "schedule.every": "due_at"}
"""What the templates take of each trigger."""
FIRST_ITEM = 2
"""Requests that come before those of the items."""


async def looping_zap(rig: Rig, target: str, count: int, trigger: dict[str, Any]) -> dict[str, Any]:
    """Fetch, take a branch, say so, send each of so many items, and say how many they were."""

    def post(step_id: str, body: object) -> dict[str, Any]:
        return {"id": step_id, "type": "http.request", "config": {"url": target, "body": body}}

    seen = f"trigger.{SEEN[trigger['type']]}"
    each = {
        "id": "each", "kind": "for_each", "items": list(range(count)), "order": "parallel", "limit": AT_ONCE,
        "result": "{{ item }}",
        "steps": [post("send", {"item": "{{ item }}", "of": "{{ loop.count }}", "n": "{{ " + seen + " }}"})],
    }  # fmt: skip
    always = {"field": seen, "operator": "exists"}
    route = {
        "id": "route", "kind": "paths", "paths": [{"id": "all", "condition": always, "steps": [post("enter", 1), each]}]
    }  # fmt: skip
    after = post("after", "{{ steps.each.output.succeeded | default: 0 }}")
    body = {"name": "Loop", "trigger": trigger, "steps": [post("first", 0), route, after]}
    zap: dict[str, Any] = await rig.system.call("POST", "/api/v1/zaps", body)
    await rig.system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
    return zap


async def kill_runner(rig: Rig, sink: Sink, under_way: int) -> set[str]:
    """SIGKILL the runner while so many requests wait for the target's answer. Gives their keys."""
    died, waiting = asyncio.Event(), set[str]()

    async def wait(request: web.Request) -> web.StreamResponse:
        waiting.add(request.headers["Idempotency-Key"])
        await died.wait()
        return web.Response()

    sink.fault = wait
    await eventually(lambda: len(waiting) == under_way)
    sink.fault = None
    await rig.system.kill(rig.names["runner"])
    died.set()
    return waiting


async def started(rig: Rig, target: str, count: int, *, scheduled: bool) -> UUID:
    """The run of such a zap, by a webhook or by the first tick of a schedule."""
    if not scheduled:
        zap = await looping_zap(rig, target, count, {"type": "webhook.catch", "config": {}})
        [run_id] = await send(rig.system, [zap], 1)
        return run_id
    soon = (now() + timedelta(seconds=3)).isoformat()
    trigger = {"type": "schedule.every", "config": {"every_s": 86_400, "anchor": soon}}
    zap = await looping_zap(rig, target, count, trigger)

    async def ticked() -> list[str]:
        ticks = await rig.system.call("GET", f"/api/v1/zaps/{zap['id']}/ticks")
        return [run_id for tick in ticks["items"] for run_id in tick["run_ids"]]

    [run_id] = await eventually(ticked)
    return UUID(run_id)


async def a_loop_whose_runner_dies(rig: Rig, count: int, deaths: Sequence[int], *, scheduled: bool = False) -> None:
    """It dies after so many requests: 0 in the first step, 1 in the branch, then within the loop.

    Each item has one outcome all the same. What was under way comes again, with its key and body, and nothing else.
    """
    again: Counter[str] = Counter()
    async with rig.sink() as sink:
        starting = asyncio.create_task(started(rig, sink.url, count, scheduled=scheduled))
        for enough in deaths:
            await eventually(lambda enough=enough: len(sink.deliveries) >= enough)  # type: ignore[misc]
            again.update(await kill_runner(rig, sink, 1 if enough < FIRST_ITEM else AT_ONCE))
        run_id = await starting
        await rig.system.settled({run_id}, 240)
        await rig.proven()
        log = await read_log(rig.system.dsn)
    assert {key: len(bodies) - 1 for key, bodies in sink.deliveries.items() if len(bodies) > 1} == again
    ids = ChildIds(run_id, "each")
    assert sink.deliveries.keys() == {f"{run_id}.{step}" for step in ("first", "enter", "after")} | {
        f"{ids.of(index)}.send" for index in range(count)
    }
    assert sink.deliveries[f"{run_id}.after"] == [str(count).encode()]
    own = [event for event in log if event.stream_id == run_id]
    print(f"{again.total()} of {len(sink.deliveries):,} requests came again; {len(own)} events of the run")  # noqa: T201
    assert [event.type for event in own].count("zap.run.loop_finished") == 1
    assert results(own) == list(range(count))


def results(own: list[StoredEvent]) -> list[Any]:
    """What the loop's output says of its items."""
    [step] = [e for e in own if e.type == "zap.run.step_succeeded" and msgspec.json.decode(e.data)["step_id"] == "each"]
    items = msgspec.json.decode(step.data)["output"]["items"]
    return [item["result"] for item in items]
