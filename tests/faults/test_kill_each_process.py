"""Every process is SIGKILLed in turn under load: nothing acknowledged is lost, nothing is done twice unmarked."""

import asyncio
from collections.abc import Mapping
from uuid import UUID

import pytest

from tests.support.eventually import eventually
from tests.support.invariants import Evidence, read_log, violations
from tests.support.sink import running_sink
from tests.support.system import System, running_system

VICTIMS = ("api", "relay", "runner", "projector", "scheduler", "broker", "postgres")
SENDERS = 8
LOAD_BETWEEN_KILLS = 200
"""Webhooks that have to be acknowledged after a victim came back, before the next one is killed."""


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_nothing_is_lost_or_doubled_when_each_process_is_killed_in_turn() -> None:
    async with running_system() as system, running_sink() as sink:
        await system.sign_up()
        zap = await system.published_zap(sink.url, {"n": "{{ trigger.body.n }}"})
        acknowledged: dict[UUID, bytes] = {}
        done = asyncio.Event()

        async def sender(name: int) -> None:
            number = 0
            while not done.is_set():
                key = f"{name}-{number}"
                run_id = await system.post_hook(zap["hook_url"], {"n": key}, key)
                acknowledged[run_id] = f'{{"n": "{key}"}}'.encode()
                number += 1

        senders = [asyncio.create_task(sender(name)) for name in range(SENDERS)]
        for victim in VICTIMS:
            await system.kill(victim)
            await _more(acknowledged)
        done.set()
        await asyncio.gather(*senders)
        await system.settled(acknowledged, 60)
        evidence = Evidence(await read_log(system.dsn), acknowledged, sink.deliveries)
        assert violations(evidence, exactly_once=False) == []
        await eventually(lambda: _verified(system), 30, 1)


async def _more(acknowledged: Mapping[UUID, bytes]) -> None:
    enough = len(acknowledged) + LOAD_BETWEEN_KILLS
    await eventually(lambda: len(acknowledged) >= enough, 30)


async def _verified(system: System) -> bool:
    code, output = await system.command("verify")
    assert code == 0, output
    return True
