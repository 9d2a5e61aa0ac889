"""At 200 % of a window of 1280 x 800 all is there, and nothing is scrolled sideways (WCAG 1.4.4 and 1.4.10)."""

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import sign_in
from tests.browser.test_editor import new_zap, setting
from tests.support.system import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
PAGES = ("/zaps", "/runs", "/inbox", "/approvals", "/requests", "/jobs", "/connections", "/variables", "/catalog",
         "/catalog/slack", "/stats", "/audit", "/system", "/settings")  # fmt: skip
CUT = """() => [...document.querySelectorAll('main button, main a, main input, main select')].filter((one) => {
  const {left, right, width} = one.getBoundingClientRect();
  return width > 0 && one.checkVisibility() && !one.closest('.hidden') && (left < 0 || right > innerWidth + 1);
}).map((one) => one.outerHTML.slice(0, 200))"""
"""What can be pressed or filled in, and is not all inside of the window."""


@pytest.mark.usefixtures("welcomed")
async def test_each_screen_can_be_used_at_twice_the_size(system: System, browser: Browser) -> None:
    zap = await new_zap(system, "A zap with quite a long name, so that it has to be broken", [setting("value")])
    # Twice the size in a window is half of its width in CSS pixels, each of which is four on the screen.
    context = await browser.new_context(
        base_url=system.base, viewport={"width": 640, "height": 400}, device_scale_factor=2
    )
    context.set_default_timeout(10_000)
    signed = await sign_in(context)
    page = signed.page
    for path in (*PAGES, f"/zaps/{zap['id']}", f"/zaps/{zap['id']}?tab=draft"):
        await page.goto(path)
        await page.locator("h1, [data-testid=zap-name]").first.wait_for()
        assert await page.evaluate("() => document.documentElement.scrollWidth") <= 640, path
        assert await page.evaluate(CUT) == [], path
    await page.goto("/connections")
    await page.get_by_test_id("new-connection").click()
    await page.get_by_test_id("connection-kind").select_option("oauth2")
    for part in ("part-client_secret", "save-connection"):
        await page.get_by_test_id(part).scroll_into_view_if_needed()
        await expect(page.get_by_test_id(part)).to_be_in_viewport(ratio=1)
    await context.close()
    assert signed.wrong == []
