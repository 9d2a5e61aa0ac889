"""One tenant's slow targets, with real processes: what another tenant notices of them."""

import asyncio
import time

import pytest

from tests.support.eventually import eventually
from tests.support.sink import Sink, held, running_sink
from tests.support.system import System, running_system

RUNS = 100


async def delivered(system: System, sink: Sink, hook: str, name: str) -> float:
    """The 99th percentile of the seconds between a webhook and its action, one webhook after the other."""
    took: list[float] = []
    for number in range(RUNS):
        sink.arrived.clear()
        began = time.monotonic()
        await system.post_hook(hook, {"n": number}, f"{name} {number}")
        async with asyncio.timeout(30):
            await sink.arrived.wait()
        took.append(time.monotonic() - began)
    return sorted(took)[RUNS * 99 // 100 - 1]


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_240_runs_at_a_target_that_hangs_delay_no_other_tenant() -> None:
    """Three zaps of one tenant; also when their runs come back for another try."""
    release = asyncio.Event()
    async with running_system() as system, running_sink() as slow, running_sink() as quick:
        await system.sign_up("bob@example.com")
        hook = (await system.published_zap(quick.url, "{{ trigger.body }}"))["hook_url"]
        await delivered(system, quick, hook, "warm up")
        undisturbed = await delivered(system, quick, hook, "before")
        await system.sign_up("ada@example.com")
        slow.fault, slow.spoiled = held(release), 10**9
        hooks = [(await system.published_zap(slow.url, "{{ trigger.body }}"))["hook_url"] for _ in range(3)]
        runs = await asyncio.gather(
            *(system.post_hook(hooks[n % 3], {"n": n}, f"slow {n}") for n in range(240)),
        )
        await eventually(lambda: slow.count >= 200, 30)
        disturbed = await delivered(system, quick, hook, "during")
        release.set()
        await system.settled(runs, 90)
        undisturbed = max(undisturbed, await delivered(system, quick, hook, "after"))  # the machine has other work, too
        assert disturbed < max(2 * undisturbed, 0.25)
