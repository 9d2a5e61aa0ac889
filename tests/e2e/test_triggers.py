"""Zaps that start by themselves, in a whole system: a poll, a schedule, and one that listens to failures."""

from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.polled import polled_api
from tests.support.sink import running_sink
from tests.support.system import System
from tests.support.topic import Topic


async def published(system: System, trigger: dict[str, Any], url: str) -> str:
    body = {"why": "{{ trigger.body.id | default: 'no item' }}"}
    step = {"id": "send", "kind": "action", "type": "http.request", "config": {"url": url, "body": body}}
    zap = await system.call("POST", "/api/v1/zaps", {"name": "Test", "trigger": trigger, "steps": [step]})
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish")
    return str(zap["id"])


@pytest.mark.slow
async def test_zaps_that_start_by_themselves_do_and_each_turn_is_accounted_for(shared_system: System) -> None:
    system = shared_system
    async with running_sink() as target, running_sink() as ears, polled_api() as api:
        await system.sign_up()
        listener = await published(system, {"type": "zap.failed", "config": {}}, ears.url)
        schedule = await published(system, {"type": "schedule.every", "config": {"every_s": 10}}, target.url)
        target.status = 404
        api.items = [{"id": number} for number in (3, 2, 1)]
        settings = {"request": {"url": api.url}, "items": "body.results", "every_s": 10, "start_from": "all"}
        poll = await published(system, {"type": "http.poll", "config": settings}, target.url)

        async def turns(zap_id: str, status: str) -> Any:
            return (await system.call("GET", f"/api/v1/zaps/{zap_id}/ticks?status={status}"))["items"]

        (fired,) = await eventually(lambda: turns(poll, "fired"))
        assert (fired["kind"], fired["trigger_id"], fired["new_items"]) == ("poll", "trigger", 3)
        runs = [await system.call("GET", f"/api/v1/runs/{run_id}") for run_id in fired["run_ids"]]
        assert [run["trigger"]["body"] for run in runs] == [{"id": 1}, {"id": 2}, {"id": 3}]
        assert {run["source"] for run in runs} == {"poll"}
        ticks = await eventually(lambda: turns(schedule, "fired"))
        assert {tick["kind"] for tick in ticks} == {"schedule"}
        await eventually(lambda: turns(poll, "empty"))
        health = await system.call("GET", f"/api/v1/zaps/{poll}/health")
        assert (health["polls"][0]["failures"], health["polls"][0]["problem"]) == (0, "")
        await eventually(lambda: ears.count >= 3)

        async def heard() -> bool:
            listed = await system.call("GET", f"/api/v1/runs?zap_id={listener}&source=failure")
            return len(listed["items"]) >= 3

        await eventually(heard)


@pytest.mark.slow
async def test_each_message_of_a_topic_is_one_run_through_kills_of_the_scheduler(shared_system: System) -> None:
    system = shared_system
    async with running_sink() as target:
        await system.sign_up()
        topic = Topic(system.topic[0])
        await topic.create(2)
        config = topic.config(every_s=1, max_items=10)
        zap_id = await published(system, {"type": "kafka.message", "config": config}, target.url)
        for turn in range(3):
            for partition in range(2):
                await topic.write(*range(turn * 16, turn * 16 + 16), partition=partition)
            await system.kill("scheduler")

        async def messages() -> Any:
            listed = (await system.call("GET", f"/api/v1/runs?zap_id={zap_id}&source=poll&limit=100"))["items"]
            return listed if len(listed) >= 96 else []

        runs = [await system.call("GET", f"/api/v1/runs/{run['id']}") for run in await eventually(messages, 40)]
        seen = [(run["trigger"]["body"]["partition"], run["trigger"]["body"]["offset"]) for run in runs]
        assert sorted(seen) == [(partition, offset) for partition in range(2) for offset in range(48)]
