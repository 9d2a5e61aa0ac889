"""What a page costs that follows runs for a long time: its heap comes back to where it was."""

import asyncio
import os

import pytest
from playwright.async_api import CDPSession, expect

from tests.browser.conftest import Signed
from tests.browser.test_editor import new_zap, setting
from tests.support.steady import steady
from tests.support.system import System

MINUTES = float(os.environ.get("TRIGGERHUB_SOAK_MINUTES") or 3)
PER_SECOND = 200
WARM_S = 20
pytestmark = [pytest.mark.soak, pytest.mark.timeout(MINUTES * 60 + 300)]


async def heap(session: CDPSession) -> float:
    """Megabytes that are still in use after everything that can be forgotten was."""
    for _ in range(3):
        await session.send("HeapProfiler.collectGarbage")
    used: float = (await session.send("Runtime.getHeapUsage"))["usedSize"]
    return used / 1e6


async def load(system: System, url: str, seconds: float) -> int:
    """Webhooks at a steady rate. Gives how many were answered."""
    sent = set[asyncio.Task[object]]()
    count = 0
    async for count in steady(PER_SECOND, seconds):  # noqa: B007
        task = asyncio.create_task(_sent(system, url))
        sent.add(task)
        task.add_done_callback(sent.discard)
    await asyncio.gather(*sent)
    return count


async def _sent(system: System, url: str) -> object:
    async with system.http.post(url, json={"n": 1}) as response:
        assert response.status == 200
        return await response.read()


async def test_the_heap_is_back_where_it_was_after_minutes_of_live_tail(system: System, signed: Signed) -> None:
    """TRIGGERHUB_SOAK_MINUTES says for how long; 30 is what was promised."""
    zap = await new_zap(system, "Tail", [setting("value")])
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
    page = signed.page
    await page.goto(f"/runs?zap_id={zap['id']}")
    session = await page.context.new_cdp_session(page)
    await load(system, zap["hook_url"], WARM_S)
    await expect(page.get_by_test_id("run-row").first).to_be_visible()
    before = await heap(session)
    count = await load(system, zap["hook_url"], MINUTES * 60)
    after = await heap(session)
    print(f"{count} runs in {MINUTES} min: {before:.1f} MB, then {after:.1f} MB")  # noqa: T201
    assert after < before * 1.25 + 1
