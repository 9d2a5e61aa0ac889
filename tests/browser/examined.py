"""Screens and dialogs held against what is true of them all: axe, hostile values as text, nothing sideways or cut."""

import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from playwright.async_api import Browser, Page, ViewportSize

from tests.browser.conftest import browsing
from tests.support.axe import BY_LOOK, violations
from tests.support.system import System

Look: TypeAlias = Callable[..., Coroutine[Any, Any, None]]

LARGE: ViewportSize = {"width": 1280, "height": 800}
MAGNIFIED: ViewportSize = {"width": 640, "height": 400}
"""What twice the size leaves of it, in CSS pixels (WCAG 1.4.4 and 1.4.10)."""
NARROW: ViewportSize = {"width": 360, "height": 740}
CUT = """() => [...document.querySelectorAll('main button, main a, main input, main select')].filter((one) => {
  const {left, right, width} = one.getBoundingClientRect();
  return width > 0 && one.checkVisibility() && !one.closest('.hidden') && (left < 0 || right > innerWidth + 1);
}).map((one) => one.outerHTML.slice(0, 200))"""
"""What can be pressed or filled in, and is not all inside of the window."""


@asynccontextmanager
async def examined(browser: Browser, system: System) -> AsyncIterator[tuple[Page, Look]]:
    """A signed-in page, and how to look at what it shows: under a name, once an element is there by its test id.

    It is light and large, then magnified, then dark and narrow; what those change is in style sheets alone. What axe
    finds fails the test at the end.
    """
    found: list[object] = []
    # axe is put into the page as a script; that the policy holds, other tests see.
    async with browsing(browser, system, color_scheme="light", bypass_csp=True, viewport=LARGE) as signed:
        page = signed.page

        async def look(where: str, shown: str = "") -> None:
            await (page.get_by_test_id(shown) if shown else page.locator("h1, h2")).first.wait_for()
            assert await page.locator("img[src=x], script:not([src])").count() == 0, where
            found.extend(await violations(page, where))
            await page.set_viewport_size(MAGNIFIED)
            await nothing_sideways(page, where)
            assert await page.evaluate(CUT) == [], where
            await page.emulate_media(color_scheme="dark")
            await page.set_viewport_size(NARROW)
            await nothing_sideways(page, where)
            found.extend(await violations(page, f"{where}, dark and narrow", BY_LOOK))
            await page.emulate_media(color_scheme="light")
            await page.set_viewport_size(LARGE)
            await keep(page, where)

        yield page, look
    assert found == [], found


async def nothing_sideways(page: Page, where: str) -> None:
    """All is there without scrolling to the right."""
    assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), where


async def keep(page: Page, name: str) -> None:
    """A picture for whoever wants to see: TRIGGERHUB_TEST_SHOTS says in which folder."""
    if folder := os.environ.get("TRIGGERHUB_TEST_SHOTS"):
        await page.screenshot(path=f"{folder}/{name.replace('/', '_')}.png", full_page=True)
