"""One tenant's slow targets, with real processes: what another tenant notices of them."""

import asyncio
import time
from statistics import median

import pytest

from tests.support.eventually import eventually
from tests.support.sink import Sink, running_sink
from tests.support.system import System

RUNS = 100


PATIENCE_S = 5.0
"""The longest that one run may wait: the target that hangs holds each of its runs for much longer."""


async def delivered(system: System, sink: Sink, hook: str, name: str) -> float:
    """The median of the seconds between a webhook and its action, one webhook after the other.

    Other processes of the machine spoil single ones, so of those is only asked that they come at all.
    """
    took: list[float] = []
    for number in range(RUNS):
        sink.arrived.clear()
        began = time.monotonic()
        await system.post_hook(hook, {"n": number}, f"{name} {number}")
        async with asyncio.timeout(PATIENCE_S):
            await sink.arrived.wait()
        took.append(time.monotonic() - began)
    return median(took)


@pytest.mark.slow
async def test_240_runs_at_a_target_that_hangs_delay_no_other_tenant(shared_system: System) -> None:
    """Three zaps of one tenant; also when their runs come back for another try."""
    system = shared_system
    async with running_sink() as slow, running_sink() as quick:
        await system.sign_up()
        hook = (await system.published_zap(quick.url, "{{ trigger.body }}"))["hook_url"]
        await delivered(system, quick, hook, "warm up")
        undisturbed = await delivered(system, quick, hook, "before")
        await system.sign_up()
        release = slow.hold()
        hooks = [(await system.published_zap(slow.url, "{{ trigger.body }}"))["hook_url"] for _ in range(3)]
        runs = await asyncio.gather(
            *(system.post_hook(hooks[n % 3], {"n": n}, f"slow {n}") for n in range(240)),
        )
        await eventually(lambda: slow.count >= 200)
        disturbed = await delivered(system, quick, hook, "during")
        release.set()
        await system.settled(runs)
        undisturbed = max(undisturbed, await delivered(system, quick, hook, "after"))  # the machine has other work, too
        assert disturbed < max(2 * undisturbed, 0.02)
