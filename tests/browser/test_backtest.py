"""A draft beside past runs, in a real browser."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Signed
from tests.browser.test_editor import new_zap, saved, setting
from tests.support.system import System

pytestmark = [pytest.mark.slow]


async def test_a_draft_is_held_against_the_runs_that_were(system: System, signed: Signed) -> None:
    rule = {"field": "trigger.body.total", "operator": "greater_than", "value": 10}
    zap = await new_zap(system, "Backtested", [{"id": "only", "kind": "filter", "condition": rule}, setting("one")])
    await system.call("POST", f"/api/v1/zaps/{zap['id']}/publish", {})
    runs = [await system.post_hook(zap["hook_url"], {"total": total}, key=f"back {total}") for total in (5, 50, 500)]
    await system.settled(runs)
    page = signed.page
    await page.goto(f"/zaps/{zap['id']}?tab=draft")
    await page.get_by_test_id("step-only").click()
    await page.get_by_label("Value", exact=True).fill("100")
    await saved(page)
    await page.get_by_test_id("tab-backtest").click()
    await page.get_by_test_id("backtest-last").fill("10")
    await expect(page.get_by_test_id("backtest-count")).to_have_text("3 runs would be looked at")
    await page.get_by_test_id("backtest-start").click()
    await expect(page.get_by_test_id("job-status")).to_have_text("Done", timeout=30_000)
    await expect(page.get_by_test_id("verdict-same")).to_have_text("Same 2")
    await page.get_by_test_id("verdict-different").click()
    result = page.get_by_test_id("backtest-result")
    await expect(result).to_have_count(1)
    await expect(result).to_contain_text(str(runs[1]))
    await expect(result).to_contain_text("Filtered")
    await result.get_by_role("button", name="What differs").click()
    await expect(result.get_by_test_id("diff")).to_contain_text("status")
