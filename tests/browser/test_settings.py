"""The user's own things in a real browser: password, devices, keys."""

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import ANOTHER_BROWSER, EMAIL, Signed, fill_in, sign_in
from tests.support.system import PASSWORD, System

pytestmark = [pytest.mark.slow]


async def test_a_new_password_signs_other_devices_out_and_lets_in_again(
    system: System, browser: Browser, signed: Signed
) -> None:
    other = await browser.new_context(base_url=system.base, user_agent=ANOTHER_BROWSER)
    elsewhere = await sign_in(other)
    page = signed.page
    await page.goto("/settings")
    device = page.get_by_test_id("session-row").filter(has_text="Firefox on Windows")
    await expect(device).to_have_count(1)
    await page.get_by_test_id("current-password").fill("not it at all")
    await page.get_by_test_id("new-password").fill("another long phrase")
    await page.get_by_test_id("change-password").click()
    await expect(page.get_by_role("alert")).to_contain_text("not your password")
    try:
        await page.get_by_test_id("current-password").fill(PASSWORD)
        await page.get_by_test_id("change-password").click()
        await expect(device).to_have_count(0)
        await elsewhere.page.goto("/zaps")
        await elsewhere.page.wait_for_url("**/login*")
        await fill_in(elsewhere.page, EMAIL, "another long phrase")
        await elsewhere.page.wait_for_url("**/zaps")
    finally:
        await other.close()
        again = await system.call("POST", "/api/v1/auth/signin", {"email": EMAIL, "password": "another long phrase"})
        body = {"current_password": "another long phrase", "new_password": PASSWORD}
        system.token = again["access_token"]
        await system.call("POST", "/api/v1/me/password", body)


async def test_everywhere_means_every_tab_and_every_device(system: System, browser: Browser, welcomed: str) -> None:
    here, there = [await browser.new_context(base_url=system.base) for _ in range(2)]
    first, other = await sign_in(here), await sign_in(there)
    tab = await here.new_page()
    await tab.goto("/runs")
    await expect(tab.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    await first.page.goto("/settings")
    await first.page.get_by_test_id("sign-out-everywhere").click()
    await first.page.get_by_test_id("confirm").click()
    await first.page.wait_for_url("**/login*")
    await tab.wait_for_url("**/login*")
    await other.page.goto("/runs")
    await other.page.wait_for_url("**/login*")
    for context in (here, there):
        await context.close()
    # Everywhere is also where the tests themselves are signed in.
    again = await system.call("POST", "/api/v1/auth/signin", {"email": EMAIL, "password": PASSWORD})
    system.token = again["access_token"]
    assert first.wrong == other.wrong == []
