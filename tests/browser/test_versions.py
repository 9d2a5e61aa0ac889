"""Published versions in a real browser: what each changed and why, and the way back."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Signed
from tests.browser.test_editor import new_zap, opened, saved, setting
from tests.support.system import System

pytestmark = [pytest.mark.slow]


async def test_a_version_says_what_it_changed_and_why_and_can_be_had_again(system: System, signed: Signed) -> None:
    zap = await new_zap(system, "Versions", [setting("one", "first"), setting("two")])
    page = signed.page
    await opened(page, zap)
    await page.get_by_test_id("publish").click()
    await page.get_by_test_id("publish-confirm").click()
    await expect(page.get_by_test_id("zap-status")).to_have_text("On")
    await page.get_by_test_id("step-one").click()
    await page.get_by_label("Values: Value").fill("second")
    await page.get_by_test_id("step-two").click()
    await page.keyboard.press("Alt+ArrowUp")
    await saved(page)
    await page.get_by_test_id("publish").click()
    changes = page.get_by_test_id("diff").get_by_role("listitem")
    await expect(changes).to_have_count(2)
    await expect(changes.first).to_contain_text("steps.one.values.value")
    await expect(changes.first.locator("del")).to_contain_text("first")
    await expect(changes.first.locator("ins")).to_contain_text("second")
    await expect(changes.last).to_contain_text("Order of the steps")
    await page.get_by_test_id("publish-note").fill("Second, because of #7")
    await page.get_by_test_id("publish-confirm").click()
    await expect(page.get_by_test_id("publish")).to_be_disabled()

    await page.get_by_test_id("tab-versions").click()
    newest = page.get_by_test_id("version").first
    await expect(newest.get_by_test_id("version-note")).to_have_text("Second, because of #7")
    await newest.get_by_test_id("compare").click()
    await expect(newest.locator("ins").first).to_contain_text("second")
    await page.get_by_test_id("roll-back").click()
    await expect(page.get_by_role("dialog").locator("ins").first).to_contain_text("first")
    await page.get_by_test_id("confirm").click()
    await expect(page.get_by_test_id("version").last).to_contain_text("Live")
    now = await system.call("GET", f"/api/v1/zaps/{zap['id']}")
    assert (now["version"], now["draft"]["steps"][0]["values"]) == (1, {"value": "first"})
