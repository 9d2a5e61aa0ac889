"""The faults that take too long for `make test`, one after the other on one TriggerHub, each followed by the checker.

`make soak-faults` runs them on the embedded broker, `make soak` on Apache Kafka. tests/faults/README.md lists all.
"""

import asyncio
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from uuid import UUID

import pytest

from tests.support.deployment import ROLES
from tests.support.dying import a_loop_whose_runner_dies
from tests.support.eventually import eventually
from tests.support.evidence import read_log, vitals
from tests.support.load import send, under_load
from tests.support.rig import Rig, points_of
from tests.support.seed import seeded
from tests.support.sink import (
    Fault,
    close_after_headers,
    cut_body,
    drip,
    fail,
    hang,
    held,
    lose_reply,
    running_sink,
)
from tests.support.system import running_system

pytestmark = [pytest.mark.soak, pytest.mark.timeout(400)]

BEYOND_THE_SESSION_S = 9.0
"""Longer than the 6 s after which a broker takes a silent consumer for dead."""
LONG_OUTAGE_S = 75.0
"""Longer than every deadline and back-off on the way to the broker."""


async def test_every_crash_point(rig: Rig) -> None:
    """F1 to F4, with timers to fire."""
    chance = seeded()
    async with rig.sink() as sink:
        sink.fault, sink.share = fail, 0.1
        async with under_load(rig.system, sink, senders=4, pause_s=0.02):
            specs = [[f"{point}:{chance.randint(1, 20)}" for point in points_of(role)] for role in ROLES]
            await asyncio.gather(*(rig.crash(*of_role) for of_role in specs))
        await rig.proven()


@pytest.mark.parametrize("role", ROLES)
async def test_a_process_that_stood_still_is_no_danger_when_it_goes_on(rig: Rig, role: str) -> None:
    """F6: the broker and the database have given it up meanwhile, and it does not know."""
    async with rig.sink() as sink:
        async with under_load(rig.system, sink, senders=4, pause_s=0.02) as load:
            await load.arrived(100)
            await rig.freeze(role, BEYOND_THE_SESSION_S)
            await load.arrived(100)
        await rig.proven(before=vitals(rig.system))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL], ids=["fast", "immediate", "kill"])
async def test_a_database_that_restarts(rig: Rig, how: signal.Signals) -> None:
    """F7."""
    async with rig.sink() as sink:
        async with under_load(rig.system, sink, senders=8) as load:
            await load.arrived(100)
            before = vitals(rig.system)  # with what a process has open while it works
            earlier = await read_log(rig.system.dsn)
            await rig.restart_database(how)
            await load.arrived(200, 60)
        await rig.proven(before=before, earlier=earlier)


async def test_a_database_behind_a_network_that_is_cut_and_then_breaks(rig: Rig) -> None:
    """F8 and F9: nothing arrives on either side, what was sent arrives late, and at last every connection breaks."""
    async with rig.sink() as sink, rig.database_through_a_proxy() as database:
        async with under_load(rig.system, sink, senders=8) as load:
            await load.arrived(100, 60)
            for _ in range(2):
                database.cut()
                answered = len(rig.system.answers)
                await eventually(lambda n=answered: len(rig.system.answers) > n + 24, 30)  # type: ignore[misc]  # n is an int
                assert {answer.status for answer in rig.system.answers[answered + 8 :]} == {503}
                assert await status(rig, "/healthz") == 200
                assert await status(rig, "/readyz") == 503
                database.heal()
                await load.more(100)
                database.reset()
                await load.arrived(100, 60)
        await rig.proven(90)


async def status(rig: Rig, path: str) -> int:
    async with rig.system.http.get(rig.system.base + path) as answer:
        return answer.status


async def test_a_broker_that_is_away_for_longer_than_anybody_waits(rig: Rig) -> None:
    """F13: no back-off or deadline ends in giving up."""
    before = vitals(rig.system)
    async with rig.sink() as sink:
        async with under_load(rig.system, sink, senders=2, pause_s=0.1) as load:
            await load.arrived(50)
            await rig.broker.kill()
            answered, until = len(rig.system.answers), time.monotonic() + LONG_OUTAGE_S
            await eventually(lambda: time.monotonic() > until, LONG_OUTAGE_S + 5)
            assert {answer.status for answer in rig.system.answers[answered:]} == {200}
            await rig.start_broker()
            await load.arrived(200, 60)
        await rig.proven(90, before=before)


async def test_targets_of_every_bad_sort_harm_nobody_else(rig: Rig) -> None:
    """F18, F19, F22: each attempt counts, is tried again in time, and a zap beside them waits for none of it."""
    faults: tuple[Fault, ...] = (hang, drip, lose_reply, cut_body, close_after_headers, fail)
    async with AsyncExitStack() as stack:
        zaps, sinks = [], []
        for fault in faults:
            sinks.append(await stack.enter_async_context(rig.sink()))
            sinks[-1].fault = fault
            zaps.append(await rig.system.published_zap(sinks[-1].url, {"n": "{{ trigger.body.n }}"}, timeout_s=1))
        healthy = await stack.enter_async_context(rig.sink())
        await send(rig.system, zaps, 40 * len(zaps))
        async with under_load(rig.system, healthy, senders=2, pause_s=0.02) as load:
            await load.arrived(200)
        await rig.proven(prompt={UUID(load.zap["id"]): 2.0})
        for sink in sinks:
            assert {len(bodies) for bodies in sink.deliveries.values()} == {2}
        assert {len(bodies) for bodies in healthy.deliveries.values()} == {1}


async def test_processes_that_are_asked_to_end_finish_what_they_do(rig: Rig) -> None:
    """F31: a deployment under load; without a crash nothing is even done twice."""
    async with rig.sink() as sink:
        async with under_load(rig.system, sink, senders=4, pause_s=0.02) as load:
            for role in ROLES:
                await load.arrived(50)
                assert await rig.system.restart(rig.names[role]) == 0
                await load.arrived(50)
        await rig.proven()
        assert {len(bodies) for bodies in sink.deliveries.values()} == {1}


async def test_two_relays_and_two_schedulers(rig: Rig) -> None:
    """F5: one leads, each timer fires once; and when the first is killed, the other is there."""
    async with rig.sink() as sink:
        sink.fault, sink.share = fail, 0.5
        others = [await rig.system.start(role) for role in ("relay", "scheduler")]
        async with under_load(rig.system, sink, senders=4, pause_s=0.02) as load:
            await load.arrived(200)
            for role in ("relay", "scheduler"):
                await rig.system.kill(rig.names[role])
            await load.arrived(200)
        for other in others:
            assert await rig.system.stop(other) == 0
        await rig.proven()


async def test_a_loop_of_a_thousand_items_whose_runner_dies_seven_times(rig: Rig) -> None:
    """F3: schedule, request, paths, loop, request; it dies at the first request, in the branch and within the loop."""
    await a_loop_whose_runner_dies(rig, 1_000, (0, 1, 150, 300, 450, 600, 750), scheduled=True)


async def test_read_models_rebuilt_under_load(rig: Rig) -> None:
    """F33."""
    async with rig.sink() as sink:
        async with under_load(rig.system, sink, senders=4) as load:
            for name in ("run_list", "zap_list", "request_list", "run_list"):
                await load.arrived(100)
                code, output = await rig.system.command("rebuild", name)
                assert code == 0, output
        await rig.proven(before=vitals(rig.system))


async def test_runs_go_on_as_they_began_when_their_zap_is_changed_paused_and_deleted(rig: Rig) -> None:
    """F34."""
    async with rig.sink() as sink:
        changed = asyncio.Event()
        sink.fault = held(until=changed)
        zap = await rig.system.published_zap(sink.url, {"version": 1}, {"version": 1})
        path = f"/api/v1/zaps/{zap['id']}"
        await send(rig.system, [zap], 30)
        await eventually(lambda: sink.count == 30, 40)
        config = {"method": "POST", "url": sink.url, "body": {"version": 2}}
        steps = [{"id": name, "kind": "action", "type": "http.request", "config": config} for name in ("send", "send2")]
        draft = {"name": "Test", "trigger": {"type": "webhook.catch", "config": {}}, "steps": steps}
        await rig.system.call("PUT", path, draft, **{"If-Match": "*"})
        for command in ("publish", "pause"):
            await rig.system.call("POST", f"{path}/{command}", {})
        await rig.system.call("DELETE", path)
        changed.set()
        await rig.proven()
        assert len(sink.deliveries) == 60
        assert {body for bodies in sink.deliveries.values() for body in bodies} == {b'{"version":1}'}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that is full soon."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    yield tmp_path
    subprocess.run(["umount", "-l", tmp_path], check=True)


async def test_a_disk_that_is_full_for_a_while(small_disk: Path) -> None:
    """F27: all that `up` writes is on it, so not Apache Kafka. Senders are refused, and nothing needs a repair."""
    async with running_system(small_disk) as system, running_sink() as sink:
        async with under_load(system, sink) as load:
            await load.arrived(100)
            earlier = await read_log(system.dsn)
            ballast = small_disk / "ballast"
            fill(ballast)
            answered = len(system.answers)
            await eventually(lambda: sum(a.status == 503 for a in system.answers[answered:]) > 50, 60)
            ballast.unlink()
            await load.arrived(200, 60)
        await load.proven(earlier=earlier, topic_lost=True)


def fill(ballast: Path) -> None:
    """Take what is free, to the last block."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(65_536)):
            pass
