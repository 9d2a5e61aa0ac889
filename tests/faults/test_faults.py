"""One fault after the other on one TriggerHub, each followed by the checker. README.md here lists all faults."""

import asyncio

import pytest

from tests.support.eventually import eventually
from tests.support.evidence import read_log, vitals
from tests.support.load import send, under_load
from tests.support.rig import Rig, points_of
from tests.support.seed import seeded
from tests.support.sink import held

OUTAGE_S = 30 * 60
WEBHOOKS_PER_S = 1
"""The rate of the outage that is simulated: all that would come in half an hour comes as quickly as it can be sent."""
IN_FLIGHT = 600
CONCURRENCY = 200
"""Actions that the runner has under way at most."""

pytestmark = [pytest.mark.slow]


async def test_processes_that_die_between_two_effects_lose_and_double_nothing(rig: Rig) -> None:
    """Two of the points, by chance; tests/soak/test_faults.py takes all of them, with those that need more time."""
    chance = seeded()
    points = [chance.choice(points_of(role)) for role in ("api", "relay")]
    async with rig.sink() as sink:
        async with under_load(rig.system, sink, senders=4, pause_s=0.02):
            await asyncio.gather(*(rig.crash(f"{point}:{chance.randint(1, 9)}") for point in points))
        await rig.proven()


async def test_a_runner_killed_with_hundreds_of_runs_in_flight_ends_each_with_one_outcome(rig: Rig) -> None:
    async with rig.sink() as sink:
        killed = asyncio.Event()
        sink.fault = held(until=killed)
        zaps = [
            await rig.system.published_zap(sink.url, {"n": "{{ trigger.body.n }}"}, {"second": 2}) for _ in range(6)
        ]
        runs = set(await send(rig.system, zaps, IN_FLIGHT))
        await eventually(lambda: sink.count == CONCURRENCY)
        under_way = set(sink.deliveries)
        earlier = await read_log(rig.system.dsn)
        assert [event.type for event in earlier if event.stream_id in runs] == ["zap.run.requested"] * IN_FLIGHT
        await rig.system.kill(rig.names["runner"])
        killed.set()
        await rig.proven(earlier=earlier)
        assert {key for key, bodies in sink.deliveries.items() if len(bodies) == 2} == under_way
        assert len(sink.deliveries) == 2 * IN_FLIGHT


async def test_half_an_hour_without_the_broker_only_delays(rig: Rig) -> None:
    async with rig.sink() as sink:
        zaps = [await rig.system.published_zap(sink.url, {"n": "{{ trigger.body.n }}"})]
        await rig.system.sign_up("grace@example.com")
        zaps.append(await rig.system.published_zap(sink.url, {"n": "{{ trigger.body.n }}"}))
        await send(rig.system, zaps, 20)
        await eventually(lambda: sink.count == 20)
        before, answered = vitals(rig.system), len(rig.system.answers)
        await rig.broker.kill()
        await send(rig.system, zaps, OUTAGE_S * WEBHOOKS_PER_S)
        assert {answer.status for answer in rig.system.answers[answered:]} == {200}
        assert sink.count == 20, "nothing gets through"
        await rig.start_broker()
        await rig.proven(before=before)
        assert sink.count == OUTAGE_S * WEBHOOKS_PER_S + 20
