"""Screens and dialogs held against what is true of all of them: axe, hostile values as text, nothing sideways."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

from playwright.async_api import Browser, Page

from tests.browser.conftest import sign_in
from tests.support.axe import violations

Look: TypeAlias = Callable[[str, str], Awaitable[None]]


@asynccontextmanager
async def examined(
    browser: Browser, base: str, theme: Any, width: int, shots: Path
) -> AsyncIterator[tuple[Page, Look]]:
    """A signed-in page, and how to look at what it shows: under a name, once an element is there by its test id.

    What axe finds, or goes wrong on the page, fails the test at the end. Screenshots go to `shots`.
    """
    context = await browser.new_context(
        base_url=base, color_scheme=theme, bypass_csp=True, viewport={"width": width, "height": 800}
    )
    context.set_default_timeout(10_000)
    signed = await sign_in(context)
    page, found = signed.page, []

    async def look(where: str, shown: str) -> None:
        await page.get_by_test_id(shown).first.wait_for()
        found.extend(await violations(page, where))
        await page.screenshot(path=shots / f"{where}.png")
        assert await page.locator("img[src=x], script:not([src])").count() == 0
        assert await page.evaluate("() => document.documentElement.scrollWidth") <= width, where

    yield page, look
    await context.close()
    assert found == [], found
    assert signed.wrong == []
